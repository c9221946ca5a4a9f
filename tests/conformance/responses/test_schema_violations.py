"""Details that distinguish schema violations: the key, the type or the enum value."""

import json
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest

from conformance.responses.findings import format_path, inspect_response, iter_causes, violation_details
from conformance.transport.messages import Exchange, Request, Response
from spec.validators import SchemaValidators
from tests.conformance.support.notes_server import load_contract
from tests.mock_server.athena import athena_contract, athena_schemas

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "count": {"type": "integer"},
        "one": {"anyOf": [{"type": "object", "required": ["id"]}, {"type": "null"}]},
        "rows": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["kind"],
    "additionalProperties": False,
}

OBJECT = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "string"}}}


def describe_violations(value: Any) -> list[str]:
    """Return the path and the detail of each violation."""
    violations = jsonschema_rs.Draft202012Validator(SCHEMA).iter_errors(value)
    return sorted(
        f"{format_path(violation.instance_path)} {detail}".strip()
        for violation in violations
        for detail in violation_details(str(violation.schema_path[-1]), violation)
    )


@pytest.mark.parametrize(
    ("value", "details"),
    [
        ({}, ["kind"]),
        ({"kind": "a", "x": 1, "y": 2}, ["x", "y"]),
        ({"kind": "c"}, ["kind c"]),
        ({"kind": "a", "count": "7"}, ["count string"]),
        ({"kind": "a", "count": None}, ["count null"]),
        ({"kind": "a", "one": {}}, ["one required id"]),
        ({"kind": "a", "one": []}, ["one type array"]),
        ({"kind": "a", "rows": [1, 2, "x"]}, ["rows.[] string"]),
    ],
)
def test_violation_details(value: Any, details: list[str]) -> None:
    assert describe_violations(value) == details


@pytest.mark.parametrize(
    ("alternatives", "value", "causes"),
    [
        ([OBJECT, {"type": "null"}], {"x": "1"}, ["anyOf/0/properties/x/type"]),
        ([{"type": "string"}, OBJECT], {"x": "1", "y": 1}, ["anyOf/1/properties/x/type", "anyOf/1/properties/y/type"]),
        ([{"type": ["object", "null"], "enum": [None]}, OBJECT], {"x": "1"}, ["anyOf/1/properties/x/type"]),
        (
            [{"anyOf": [OBJECT, {"type": "null"}]}, {"type": "string"}],
            {"x": "1"},
            ["anyOf/0/anyOf/0/properties/x/type"],
        ),
        ([{"type": "integer"}, {"type": "string", "maxLength": 2}], "abc", ["anyOf/1/maxLength"]),
        ([OBJECT, {"type": "null"}], 1, ["anyOf"]),
        ([OBJECT, {"type": "object", "required": ["z"]}], {"x": "1"}, ["anyOf"]),
        ([{"enum": ["a"]}, {"type": "string", "maxLength": 2}], "abc", ["anyOf"]),
    ],
)
def test_violation_of_alternatives_is_located_in_the_one_with_the_type_of_the_value(
    alternatives: list[Any], value: Any, causes: list[str]
) -> None:
    violations = jsonschema_rs.Draft202012Validator({"anyOf": alternatives}).iter_errors(value)
    assert sorted("/".join(map(str, cause.schema_path)) for cause in iter_causes(violations)) == causes


def test_unsafe_text_of_target_is_hashed() -> None:
    (name,) = describe_violations({"kind": "\x1b[31m secret token"})
    assert name.startswith("kind #")
    assert len(name) == len("kind #") + 8


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {"content-type": "text/html; charset=UTF-8"}])
@pytest.mark.parametrize(("status", "is_blocking"), [(200, True), (401, False)])
def test_undeclared_content_type_of_a_success_blocks_whatever_its_provenance(
    headers: dict[str, str], status: int, is_blocking: bool
) -> None:
    operation = athena_contract().operations["listThreads"]
    body: dict[str, Any] = {"data": [], "links": {}, "meta": {}} if status == 200 else {"message": "Unauthenticated."}
    response = Response(status, headers, json.dumps(body).encode(), 0.0)
    exchange = Exchange(Request(operation.id, operation.method, operation.path), response)
    findings = {f.check: f.provenance_independent for f in inspect_response(athena_schemas(), operation, exchange)}
    assert findings["content-type-is-json"] is is_blocking


@pytest.mark.parametrize(
    ("status", "expected"), [(200, ["content-type-is-json", "response-matches-schema"]), (204, [])]
)
def test_status_without_body_has_no_media_type_whatever_the_contract_documents(
    status: int, expected: list[str]
) -> None:
    contract = load_contract()
    operation = contract.operations["retrieveNote"]
    operation = replace(operation, responses={status: operation.responses[200]})
    exchange = Exchange(Request(operation.id, operation.method, operation.path), Response(status, {}, b"", 0.0))
    findings = inspect_response(SchemaValidators.from_document(contract.document), operation, exchange)
    assert [finding.check for finding in findings] == expected


@pytest.mark.parametrize(
    ("media_type", "expected"),
    [("text/plain", []), ("Application/JSON; charset=utf-8", ["status-is-documented"]), ("", ["status-is-documented"])],
)
def test_415_is_documented_by_the_media_types_of_the_body(media_type: str, expected: list[str]) -> None:
    contract = load_contract()
    operation = contract.operations["createNote"]
    responses = {**operation.responses, 400: None}
    responses.pop(415, None)
    headers = {"content-type": media_type} if media_type else {}
    request = Request(operation.id, operation.method, operation.path, raw_body=b"x", headers=headers)
    exchange = Exchange(request, Response(415, {}, b"", 0.0))
    schemas = SchemaValidators.from_document(contract.document)
    findings = inspect_response(schemas, replace(operation, responses=responses), exchange)
    assert [finding.check for finding in findings] == expected


@pytest.mark.parametrize(
    ("documented", "expected"),
    [((), []), ((400,), ["status-is-documented"]), ((422,), [])],
)
def test_422_for_a_body_is_implied_if_no_status_for_invalid_input_is_documented(
    documented: tuple[int, ...], expected: list[str]
) -> None:
    contract = load_contract()
    operation = contract.operations["createNote"]
    success = {status: pointer for status, pointer in operation.responses.items() if status < 300}
    operation = replace(operation, responses=success | dict.fromkeys(documented))
    exchange = Exchange(Request(operation.id, operation.method, operation.path), Response(422, {}, b"", 0.0))
    findings = inspect_response(SchemaValidators.from_document(contract.document), operation, exchange)
    assert [finding.check for finding in findings] == expected
