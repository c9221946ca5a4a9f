"""The fixture `sandbox_a` creates a sandbox."""

import pytest

from tests.mock_server.controlled_mock import ControlledMock


@pytest.fixture
def sandbox_a(mock: ControlledMock) -> None:
    """Create the sandbox `a`."""
    mock.control("PUT", "/sandboxes/a")
