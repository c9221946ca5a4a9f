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


def fetch_docs_contract(api: Api) -> Any:
    """Return the contract that the docs page loads."""
    return json.loads(Client(api.app, {}).get("/docs/openapi.json").body)


def dereference(root: Any, node: Any) -> Any:
    """Follow the references of a node."""
    while "$ref" in node:
        target = root
        for part in node["$ref"].split("/")[1:]:
            target = target[part]
        node = target
    return node


def get_initial_value(root: Any, parameter: Any) -> Any:
    """Return the value with which Swagger UI prefills a parameter, None if it omits the parameter."""
    schema = dereference(root, parameter["schema"])
    if "example" in parameter:
        return parameter["example"]
    first = schema.get("enum", [None])[0] if parameter.get("required") else None
    return schema.get("example", schema.get("default", first))


def execute_with_examples(api: Api, operation: Operation) -> tuple[int, Any]:
    """Execute an operation as the docs page does with prefilled values; return (status, JSON)."""
    root = fetch_docs_contract(api)
    item = root["paths"][operation.path]
    node = item[operation.method]
    parameters = [dereference(root, p) for p in (*item.get("parameters", ()), *node.get("parameters", ()))]
    path, query = operation.path, {}
    for parameter in parameters:  # parameters of the operation override those of the path item
        value = get_initial_value(root, parameter)
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
    status, content = execute_with_examples(api, operation)
    assert status == operation.envelope.status, content


def test_example_of_workspace_metrics_is_a_series(api: Api) -> None:
    assert len(execute_with_examples(api, OPERATIONS["getWorkspacesMetrics"])[1]["data"]["results"]) > 1


def test_example_keys_follow_the_store(api: Api) -> None:
    def get_example_key() -> Any:
        parameters = fetch_docs_contract(api)["paths"]["/agents/{uuid}"]["delete"]["parameters"]
        return next(p["example"] for p in parameters if p["in"] == "path")

    first = get_example_key()
    assert api.status("deleteAgent", first) == 204
    assert get_example_key() != first
    assert api.status("retrieveAgent", get_example_key()) == 200


def without_examples(root: Any, parameter: Any) -> Any:
    """Return a parameter without its examples, and with the type and the enum of its schema only."""
    schema = dereference(root, parameter["schema"])
    schema = dereference(root, schema["allOf"][0]) if "allOf" in schema else schema
    return {**parameter, "example": 0, "schema": [schema["type"], schema.get("enum")]}


def test_optional_parameters_that_select_records_have_no_example(api: Api) -> None:
    root = fetch_docs_contract(api)
    parameters = [dereference(root, p) for p in root["paths"]["/agents"]["get"]["parameters"]]
    assert len(parameters) > 10
    assert [p["name"] for p in parameters if get_initial_value(root, p) not in (None, p["schema"].get("default"))] == []


def test_only_examples_differ_from_the_contract(api: Api) -> None:
    docs_contract, contract = fetch_docs_contract(api), json.loads(Client(api.app, {}).get("/openapi.json").body)
    for path, item in contract["paths"].items():
        for method in {operation.method for operation in OPERATIONS.values() if operation.path == path}:
            expected = [
                dereference(contract, p) for p in (*item.get("parameters", ()), *item[method].get("parameters", ()))
            ]
            parameters = [
                dereference(docs_contract, p) for p in docs_contract["paths"][path][method].pop("parameters", [])
            ]
            expected_parameters = {(p["name"], p["in"]): without_examples(contract, p) for p in expected}
            docs_parameters = {(p["name"], p["in"]): without_examples(docs_contract, p) for p in parameters}
            assert docs_parameters == expected_parameters
            assert len(parameters) == len(docs_parameters)  # Swagger UI would show a duplicate
            item[method].pop("parameters", None)
        item.pop("parameters", None)
    assert docs_contract == contract


def test_finding_example_keys_writes_nothing(api: Api) -> None:
    before = api.sandbox.store.generation
    fetch_docs_contract(api)
    assert api.sandbox.store.generation == before
