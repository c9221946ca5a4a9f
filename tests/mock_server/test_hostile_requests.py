"""Hostile requests to every operation: bounded messages and responses, and a correct error for a large body."""

import asyncio
import json
import sys
from typing import Any

import pytest

from bench.stall import HostileRequest, iter_hostile_values, iter_requests, send
from mock_server.web.body import DEFAULT_MAX_BODY_BYTES, MAX_CONTAINERS
from mock_server.web.validation import MAX_LISTED_ERRORS
from mock_server.web.violations import MAX_EXCERPT_VALUES, find_violations
from spec.validators import SchemaValidators
from tests.mock_server.athena import Api, athena_contract
from tests.spec.contract_edits import load_edited_contract

MAX_BODY_BYTES = 60_000
MAX_RESPONSE_BYTES = 64 * 1024  # in addition to twice the request
OPERATIONS = athena_contract().operations
WITH_BODY = [name for name, operation in OPERATIONS.items() if operation.request_body is not None]
FIELD = "#/components/schemas/Room/properties/name"


@pytest.fixture(scope="module")
def requests_by_operation() -> dict[str, list[HostileRequest]]:
    from tests.mock_server.athena import shared_api

    api = shared_api()
    api.reset()
    requests: dict[str, list[HostileRequest]] = {}
    for request in iter_requests(api.contract, api.sandbox, MAX_BODY_BYTES):
        requests.setdefault(request.operation.id, []).append(request)
    return requests


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_BODY)
def test_response_to_a_hostile_body_is_bounded(
    api: Api, name: str, requests_by_operation: dict[str, list[HostileRequest]]
) -> None:
    requests = [request for request in requests_by_operation.get(name, ()) if request.body]
    if OPERATIONS[name].action not in ("delete", "logout"):
        assert len(requests) > 20
    loop = asyncio.new_event_loop()
    for request in requests:
        api.reset()  # what earlier requests stored would be in the response too
        response = loop.run_until_complete(send(api.app, request))
        assert response.status < 500, (request.kind, response)
        assert len(response.body) <= MAX_RESPONSE_BYTES + 2 * len(request.body), request.kind
        errors = json.loads(response.body).get("errors", {}) if response.status == 422 else {}
        assert sum(map(len, errors.values())) <= MAX_LISTED_ERRORS, request.kind
    loop.close()


def count_calls(api: Api, request: HostileRequest) -> int:
    """Return how many Python functions are called to respond to a request."""
    count = 0

    def on_event(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    loop = asyncio.new_event_loop()
    previous = sys.getprofile()
    sys.setprofile(on_event)
    try:
        response = loop.run_until_complete(send(api.app, request))
    finally:
        sys.setprofile(previous)
        loop.close()
    assert response.status < 500, (request.kind, response)
    return count


@pytest.mark.parametrize("name", ["createWorkflow", "getWorkflowExecutionsMetrics"])
@pytest.mark.slow
def test_calls_for_a_large_body_are_bounded(api: Api, name: str) -> None:
    operation = OPERATIONS[name]
    target = f"{api.contract.base_path}{operation.path}"
    for kind, body in iter_hostile_values(DEFAULT_MAX_BODY_BYTES):
        # Two calls for each container (numbers, duplicate keys), a few for each value of the excerpt.
        count = count_calls(api, HostileRequest(operation, kind, target, body))
        assert count <= 2 * MAX_CONTAINERS + 20 * MAX_EXCERPT_VALUES, kind


def test_further_errors_are_counted(api: Api) -> None:
    reply = api.send("createWorkflow", body={"name": "W", "nodes": [1] * 300})
    assert reply.status == 422
    assert sum(map(len, reply.json["errors"].values())) == MAX_LISTED_ERRORS
    assert reply.json["message"].endswith("(and 299 more errors)")


def test_errors_of_a_large_array_are_counted_at_least(api: Api) -> None:
    reply = api.send("createWorkflow", body={"name": "W", "edges": [1] * 100_000})
    assert sum(map(len, reply.json["errors"].values())) == MAX_LISTED_ERRORS
    assert "(and at least" in reply.json["message"]


def test_only_listed_error_of_a_large_body_may_have_more(api: Api) -> None:
    reply = api.send("createWorkflow", body={"name": "W", "edges": ["edge"] * 100_000 + [1]})
    (messages,) = reply.json["errors"].values()
    assert reply.json["message"] == f"{messages[0]} (there may be more errors)"


@pytest.mark.parametrize("index", [0, 3, MAX_EXCERPT_VALUES, 4_321, 4_999])
def test_single_wrong_item_is_found_anywhere(api: Api, index: int) -> None:
    edges: list[Any] = ["edge"] * 5_000
    edges[index] = 1
    reply = api.send("createWorkflow", body={"name": "W", "edges": edges})
    assert (reply.status, list(reply.json["errors"])) == (422, [f"edges.{index}"])


def test_required_property_behind_many_others_is_not_missing(api: Api) -> None:
    names = {f"unknown{number}": 1 for number in range(5_000)}
    reply = api.send("createWorkflow", body={**names, "description": 5, "name": "W"})
    assert (reply.status, list(reply.json["errors"])) == (422, ["description"])


def test_too_many_items_are_an_error(api: Api) -> None:
    reply = api.send("createWorkflow", body={"name": "W", "edges": ["edge"] * 20_000})
    assert (reply.status, list(reply.json["errors"])) == (422, ["edges"])


def test_long_field_names_are_shortened(api: Api) -> None:
    body = {"name": "A", "profile_photo_config": {"k" * 50_000: 1}}
    reply = api.send("createAgent", body=body)
    assert len(reply.body) < 5_000


@pytest.mark.parametrize("wrong", [1, [], {"a": 1}])
def test_violations_in_alternatives_are_found_with_bounded_work(wrong: Any) -> None:
    schema = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}
    contract = load_edited_contract("museum", (FIELD, schema))
    validator = SchemaValidators.from_document(contract.document).get(FIELD, "write")
    violations = find_violations(validator, [wrong] * 100_000)
    assert not violations.is_complete
    assert violations.violations or violations.invalid_field is not None


def test_filled_prompt_has_a_maximum_length(api: Api) -> None:
    body = {"name": "P", "content": "{{a}}" * 10_000}
    key = api.data("createPrompt", body=body)["uuid"]
    reply = api.call("runPrompt", key, {"variables": {"a": "x" * 1_000}})
    assert (reply.status, list(reply.json["errors"])) == (422, ["variables"])
