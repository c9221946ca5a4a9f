"""Which parts of the contract the recorded requests used."""

import pytest

from tests.mock_server.athena import athena_contract
from tests.mock_server.controlled_mock import ControlledMock

pytestmark = pytest.mark.usefixtures("sandbox_a")


def test_operations_are_counted_by_status(mock: ControlledMock) -> None:
    mock.call("a", "GET", "/agents")
    mock.call("a", "GET", "/agents", token="wrong")
    mock.call("a", "GET", "/no-such-path")
    operations = mock.control("GET", "/sandboxes/a/coverage")["operations"]
    assert [item["operation"] for item in operations] == list(athena_contract().operations)
    called = {item["operation"]: item["statuses"] for item in operations if item["requests"]}
    assert called == {"listAgents": {"200": 1, "401": 1}}


def test_inferred_facts_that_requests_used_are_listed(mock: ControlledMock) -> None:
    for _ in range(2):
        mock.call("a", "GET", "/threads?sort_by=name&unknown=1")
    mock.call("a", "POST", "/agents", {"name": "x", "instruction": "y", "unknown": 1})
    facts = mock.control("GET", "/sandboxes/a/coverage")["inferred"]
    counts = {(fact["operation"], fact["kind"], fact["name"]): fact["requests"] for fact in facts}
    assert counts["listThreads", "parameter", "sort_by"] == 2
    assert counts["createAgent", "status", "201"] == 1
    assert not any(fact["name"] == "unknown" for fact in facts)


def test_documented_facts_are_not_listed(mock: ControlledMock) -> None:
    mock.call("a", "GET", "/messages")
    facts = mock.control("GET", "/sandboxes/a/coverage")["inferred"]
    assert [fact["kind"] for fact in facts] == ["status"]  # the page shows the operation, but no status
