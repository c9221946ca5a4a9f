"""Details that distinguish schema violations: the key, the type or the enum value."""

import json
from typing import Any

import jsonschema_rs
import pytest

from conformance.responses.findings import format_path, inspect_response, violation_details
from conformance.transport.messages import Exchange, Request, Response
from spec.loader import load_contract
from spec.validators import SchemaValidators
from tests.mock_process import ROOT
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


@pytest.mark.parametrize(("content_type", "is_reported"), [("text/plain", False), ("application/json", True)])
def test_undocumented_415_is_a_violation_for_documented_media_types_only(content_type: str, is_reported: bool) -> None:
    contract = load_contract(ROOT / "examples" / "tasks-with-state.yaml")
    operation = contract.operations["createTask"]
    request = Request(operation.id, operation.method, operation.path, headers={"Content-Type": content_type})
    content = b'{"error": {"status": 415, "message": "No."}}'
    exchange = Exchange(request, Response(415, {"content-type": "application/json"}, content, 0.0))
    schemas = SchemaValidators.from_document(contract.document)
    checks = [finding.check for finding in inspect_response(schemas, operation, exchange)]
    assert checks == (["status-is-documented"] if is_reported else [])
