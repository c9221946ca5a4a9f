"""The fixture `mock`: a mock with named sandboxes and the control API; `sandbox_a` creates a sandbox in it."""

import pytest

from tests.mock_server.controlled_mock import ControlledMock


@pytest.fixture
def mock() -> ControlledMock:
    return ControlledMock.create()


@pytest.fixture
def sandbox_a(mock: ControlledMock) -> None:
    """Create the sandbox `a`."""
    mock.control("PUT", "/sandboxes/a")
