"""The fixture `api`: Athena's contract with the dataset `demo`."""

import pytest

from tests.mock_server.athena import Api, served


@pytest.fixture
def api() -> Api:
    """Return the API with its initial data, and the clock at the epoch."""
    found = served()
    found.reset()
    return found
