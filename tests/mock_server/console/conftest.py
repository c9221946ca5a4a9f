"""The fixture `browser`: a client of the console."""

import pytest

from tests.mock_server.console.browser_client import BrowserClient
from tests.mock_server.controlled_mock import ControlledMock


@pytest.fixture
def browser(mock: ControlledMock) -> BrowserClient:
    """Return a client of the console of `mock`."""
    return BrowserClient(mock)
