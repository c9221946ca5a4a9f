"""The fixtures `api`, Athena's contract with the dataset `demo`, and `mock`, the same with the control API."""

from collections.abc import Iterator
from functools import lru_cache

import orjson
import pytest

from mock_server.control import app
from spec.document import Document
from spec.loader import parse_contract
from spec.model import Contract
from tests.mock_server.athena import Api, shared_api
from tests.mock_server.controlled_mock import ControlledMock


@pytest.fixture
def api() -> Api:
    """Return the API with its initial data, and the clock at the epoch."""
    shared = shared_api()
    shared.reset()
    return shared


@pytest.fixture(scope="session", autouse=True)
def parse_control_contract_once() -> Iterator[None]:
    """Parse the contract of the control API once: every mock has the same one, which takes 50 ms."""
    documents: dict[bytes, Document] = {}

    @lru_cache(maxsize=16)
    def parse(root: bytes) -> Contract:
        return parse_contract(documents.pop(root))

    def parse_once(document: Document) -> Contract:
        root = orjson.dumps(document.root)
        documents[root] = document
        return parse(root)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "parse_contract", parse_once)
        yield


@pytest.fixture
def mock() -> ControlledMock:
    """Return a mock with named sandboxes and the control API."""
    return ControlledMock.create()
