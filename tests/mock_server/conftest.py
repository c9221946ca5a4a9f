"""The fixture `api`: Athena's contract with the dataset `demo`."""

import pytest

from tests.mock_server.athena import Api, shared_api


@pytest.fixture
def api() -> Api:
    """Return the API with its initial data, and the clock at the epoch."""
    shared = shared_api()
    shared.reset()
    return shared
