"""Tests that the examples of the docs page refer to existing records and succeed."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from spec.model import Operation
from tests.asgi import Client
from tests.mock_server.athena import Api, athena_contract

OPERATIONS = athena_contract().operations
BEARER = {"authorization": "Bearer demo-token"}


def description(api: Api) -> Any:
    """The contract as the docs page is given it."""
    return json.loads(Client(api.app, {}).get("/docs/openapi.json").body)


def followed(root: Any, node: Any) -> Any:
    """A node behind its reference."""
    while "$ref" in node:
        at = root
        for part in node["$ref"].split("/")[1:]:
            at = at[part]
        node = at
    return node


def filled_in(root: Any, parameter: Any) -> Any:
    """What Swagger UI fills in for a parameter, None where it leaves it out."""
    schema = followed(root, parameter["schema"])
    if "example" in parameter:
        return parameter["example"]
    first = schema.get("enum", [None])[0] if parameter.get("required") else None
    return schema.get("example", schema.get("default", first))


def sent_as_filled_in(api: Api, operation: Operation) -> tuple[int, Any]:
    """(status, JSON) of an operation that is executed on the docs page without a change."""
    root = description(api)
    item = root["paths"][operation.path]
    node = item[operation.method]
    parameters = [followed(root, p) for p in (*item.get("parameters", ()), *node.get("parameters", ()))]
    path, query = operation.path, {}
    for parameter in parameters:  # an operation's own are later, and win
        value = filled_in(root, parameter)
        if parameter["in"] == "path":
            path = operation.path.replace(f"{{{parameter['name']}}}", str(value))
        elif parameter["in"] == "query" and value is not None:
            query[parameter["name"]] = value
    content = node.get("requestBody", {}).get("content", {}).get("application/json", {})
    target = f"{root['servers'][0]['url'].removeprefix('http://localhost:8000')}{path}?{urlencode(query, doseq=True)}"
    reply = Client(api.app, BEARER).request(operation.method.upper(), target, data=content.get("example"))
    return reply.status, reply.json if reply.body else None


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_succeeds_with_its_examples(api: Api, name: str) -> None:
    operation = OPERATIONS[name]
    status, answer = sent_as_filled_in(api, operation)
    assert status == operation.envelope.status, answer


def test_example_of_workspace_metrics_is_a_series(api: Api) -> None:
    assert len(sent_as_filled_in(api, OPERATIONS["getWorkspacesMetrics"])[1]["data"]["results"]) > 1


def test_example_keys_follow_the_store(api: Api) -> None:
    def named() -> Any:
        parameters = description(api)["paths"]["/agents/{uuid}"]["delete"]["parameters"]
        return next(p["example"] for p in parameters if p["in"] == "path")

    first = named()
    assert api.status("deleteAgent", first) == 204
    assert named() != first
    assert api.status("retrieveAgent", named()) == 200


def test_only_examples_differ_from_the_contract(api: Api) -> None:
    shown, contract = description(api), json.loads(Client(api.app, {}).get("/openapi.json").body)
    for path, item in contract["paths"].items():
        for method in {operation.method for operation in OPERATIONS.values() if operation.path == path}:
            expected = [
                followed(contract, p) for p in (*item.get("parameters", ()), *item[method].get("parameters", ()))
            ]
            kept = [followed(shown, p) for p in shown["paths"][path][method].pop("parameters", [])]
            names = {(p["name"], p["in"]): {**p, "example": 0} if p["in"] == "path" else p for p in expected}
            node = {(p["name"], p["in"]): {**p, "example": 0} if p["in"] == "path" else p for p in kept}
            assert node == names
            assert len(kept) == len(node)  # Swagger UI would show both of two alike
            item[method].pop("parameters", None)
        item.pop("parameters", None)
    assert shown == contract


def test_finding_example_keys_writes_nothing(api: Api) -> None:
    before = api.sandbox.store.generation
    description(api)
    assert api.sandbox.store.generation == before
