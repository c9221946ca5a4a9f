"""The fixture `mock`: a mock with named sandboxes and the control API."""

import pytest

from tests.mock_server.controlled_mock import ControlledMock


@pytest.fixture
def mock() -> ControlledMock:
    return ControlledMock.create()
