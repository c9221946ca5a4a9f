"""Athena with its demo data, begun anew for each test."""

import pytest

from tests.mock_server.athena import Api, served


@pytest.fixture
def api() -> Api:
    """Athena as a test finds it: nothing was written yet, and its clock stands at the epoch."""
    found = served()
    found.begin_anew()
    return found
