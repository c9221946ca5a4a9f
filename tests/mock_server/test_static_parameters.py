"""Tests query parameters of operations without an action, which follow OpenAPI, and of stored lists."""

import json
from pathlib import Path
from typing import Any

import pytest

from mock_server.web.parameters import OperationParameters
from spec.document import parse_document
from spec.loader import load_contract, parse_contract
from spec.validators import SchemaValidators

LARGE = 2**70


def find_errors(query: str, schema: dict[str, Any], **keywords: Any) -> list[str]:
    """Return the messages for a query with the parameter `limit`."""
    parameter = {"name": "limit", "in": "query", "schema": schema, **keywords}
    operation = {"operationId": "x", "parameters": [parameter], "responses": {"204": {"description": "x"}}}
    root = {"openapi": "3.0.3", "info": {"title": "x", "version": "1"}, "paths": {"/x": {"get": operation}}}
    contract = parse_contract(parse_document(json.dumps(root).encode(), "x.json"))
    schemas = SchemaValidators.from_document(contract.document)
    parameters = OperationParameters.from_operation(contract.document, schemas, contract.operations["x"])
    return [error.message for error in parameters.parse_query(query.encode()).errors]


@pytest.mark.parametrize("query", ["limit=abc&limit=5", "limit=5&limit=5"])
def test_repeated_scalar_is_an_error(query: str) -> None:
    assert find_errors(query, {"type": "integer"}) == ["The limit field must not be repeated."]


def test_repeated_array_is_none() -> None:
    assert find_errors("limit=1&limit=2", {"type": "array", "items": {"type": "integer"}}) == []


def test_blank_value_is_an_error_if_its_schema_rejects_it() -> None:
    assert find_errors("limit=", {"type": "integer"}) == ["The limit field must be an integer."]
    assert find_errors("limit=", {"type": "string"}) == []
    assert find_errors("limit=", {"type": "integer", "nullable": True}) == []
    assert find_errors("limit=", {"type": "integer"}, allowEmptyValue=True) == []


@pytest.mark.parametrize(
    ("items", "messages"),
    [({"type": "string"}, []), ({"type": "integer"}, ["The limit field is required."])],
)
def test_blank_required_array_has_one_empty_text_if_its_schema_accepts_that(
    items: dict[str, Any], messages: list[str]
) -> None:
    assert find_errors("limit=", {"type": "array", "items": items}, required=True) == messages


@pytest.mark.parametrize(
    ("schema", "messages"),
    [
        ({}, []),
        ({"minimum": 1}, []),
        ({"maximum": 10}, ["The limit field must be an integer."]),
        ({"format": "int32"}, ["The limit field must be an integer."]),
        ({"format": "int64"}, ["The limit field must be an integer."]),
    ],
)
def test_integers_beyond_64_bits_are_accepted_without_a_bound(schema: dict[str, Any], messages: list[str]) -> None:
    assert find_errors(f"limit={LARGE}", {"type": "integer", **schema}) == messages


def test_last_value_of_a_repeated_scalar_of_a_stored_list_is_used() -> None:
    folder = Path(__file__).parents[1] / "contracts" / "extensions"
    contract = load_contract(folder / "resource-with-large-integers.yaml")
    schemas = SchemaValidators.from_document(contract.document)
    operation = contract.operations["listStars"]
    parameters = OperationParameters.from_operation(contract.document, schemas, operation)
    parsed = parameters.parse_query(b"limit=a&limit=5&page=")
    assert (parsed.values, parsed.errors) == ({"limit": 5}, ())
