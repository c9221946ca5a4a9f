"""Coverage of a contract: items that are covered, partially covered and uncovered."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conformance.session.coverage import (
    BODY_FIELDS,
    ENUM_VALUES,
    ITEM_KINDS,
    OPERATIONS,
    PARAMETERS,
    RESPONSE_PROPERTIES,
    STATUSES,
    Coverage,
    CoverageReport,
)
from conformance.transport.messages import Exchange, Request, Response
from spec.loader import load_contract
from spec.model import Contract

CONTRACT = """\
openapi: 3.0.3
info: {title: Small, version: '1'}
servers: [{url: https://localhost/api}]
paths:
  /pets:
    get:
      operationId: listPets
      tags: [Pet]
      parameters:
        - {name: kind, in: query, schema: {type: array, maxItems: 9, items: {$ref: '#/components/schemas/Kind'}}}
        - {name: tame, in: query, schema: {type: boolean}}
      responses:
        '200':
          description: Pets.
          content:
            application/json:
              schema:
                type: object
                required: [data]
                properties: {data: {type: array, maxItems: 99, items: {$ref: '#/components/schemas/Pet'}}}
        '404': {description: None.}
    post:
      operationId: createPet
      tags: [Pet]
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/NewPet'}}}
      responses:
        '201':
          description: A pet.
          content:
            application/json:
              schema: {type: object, required: [data], properties: {data: {$ref: '#/components/schemas/Pet'}}}
components:
  schemas:
    Kind: {type: string, enum: [cat, dog, eel]}
    Pet:
      type: object
      required: [id]
      x-resource: {collection: pets, key: id}
      properties:
        id: {type: integer, minimum: 1, maximum: 99, readOnly: true}
        name: {type: string, maxLength: 9, nullable: true}
        kind: {allOf: [{$ref: '#/components/schemas/Kind'}], default: cat}
        secret: {type: string, maxLength: 9, writeOnly: true, nullable: true}
    NewPet:
      type: object
      properties:
        name: {type: string, maxLength: 9, nullable: true}
        kind: {$ref: '#/components/schemas/Kind'}
"""


@cache
def load_pets() -> Contract:
    """Load a small contract."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pets.yaml"
        path.write_text(CONTRACT, encoding="utf-8")
        return load_contract(path)


def measure_coverage(*exchanges: tuple[str, dict[str, Any], int, Any]) -> CoverageReport:
    """Return the coverage after exchanges: operation, request arguments, status, response body."""
    coverage = Coverage(load_pets())
    for name, arguments, status, body in exchanges:
        operation = load_pets().operations[name]
        request = Request(name, operation.method, operation.path, **arguments)
        content = b"" if body is None else json.dumps(body).encode()
        coverage.record(operation, Exchange(request, Response(status, {}, content, 0.0)))
    return coverage.build_report(load_pets().operations.values(), {})


def get_states(report: CoverageReport, kind: str) -> dict[str, str]:
    """Return name -> state of one kind."""
    return {item.name: item.state for item in report.items if item.kind == kind}


def test_without_requests_everything_is_uncovered() -> None:
    report = measure_coverage()
    assert {kind: report.total(kind) for kind in ITEM_KINDS} == {
        OPERATIONS: 2, PARAMETERS: 2, STATUSES: 3, BODY_FIELDS: 2, RESPONSE_PROPERTIES: 5, ENUM_VALUES: 3
    }  # fmt: skip
    assert {item.state for item in report.items} == {"uncovered"}
    assert report.operations_never_successful == {
        "listPets": "never called",
        "createPet": "never called",
    }


def test_success_covers_request_and_response() -> None:
    pet = {"id": 1, "name": None, "kind": "dog"}
    report = measure_coverage(("listPets", {"query": (("kind[]", "cat"), ("tame", ""))}, 200, {"data": [pet]}))
    assert get_states(report, OPERATIONS) == {"listPets": "covered", "createPet": "uncovered"}
    assert get_states(report, PARAMETERS) == {"listPets kind": "covered", "listPets tame": "uncovered"}
    assert get_states(report, STATUSES)["listPets 200"] == "covered"
    properties = get_states(report, RESPONSE_PROPERTIES)
    assert (properties["Pet.id"], properties["Pet.name"], properties["Pet.kind"]) == (
        "covered",
        "partially",
        "covered",
    )
    assert "Pet.secret" not in properties
    assert sorted(get_states(report, ENUM_VALUES).values()) == ["covered", "covered", "uncovered"]
    assert get_states(report, BODY_FIELDS) == {"NewPet.name": "uncovered", "NewPet.kind": "uncovered"}


def test_rejected_request_covers_partially() -> None:
    report = measure_coverage(("createPet", {"body": {"name": "x", "kind": "eel"}}, 422, {"message": "no"}))
    assert get_states(report, OPERATIONS)["createPet"] == "partially"
    assert get_states(report, BODY_FIELDS) == {"NewPet.name": "partially", "NewPet.kind": "partially"}
    assert report.operations_never_successful["createPet"] == "got 422 (1 time)"
    later = measure_coverage(
        ("createPet", {"body": {"name": "x"}}, 422, None), ("createPet", {"body": {"name": "y"}}, 201, None)
    )
    assert get_states(later, BODY_FIELDS)["NewPet.name"] == "covered"


def test_later_rejection_does_not_reduce_coverage() -> None:
    report = measure_coverage(
        ("createPet", {"body": {"name": "y"}}, 201, None), ("createPet", {"body": {"name": "x"}}, 422, None)
    )
    assert get_states(report, BODY_FIELDS)["NewPet.name"] == "covered"
    assert get_states(report, OPERATIONS)["createPet"] == "covered"


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"null", b"3", b'{"data": {"data": []}}', b"\xff"])
def test_invalid_response_body_covers_nothing(content: bytes) -> None:
    coverage = Coverage(load_pets())
    operation = load_pets().operations["listPets"]
    coverage.record(operation, Exchange(Request("listPets", "get", "/pets"), Response(200, {}, content, 0.0)))
    assert get_states(coverage.build_report([operation], {}), RESPONSE_PROPERTIES)["Pet.id"] == "uncovered"


def test_values_of_exchanges_are_not_stored() -> None:
    coverage = Coverage(load_pets())
    operation = load_pets().operations["listPets"]
    for number in range(300):
        content = json.dumps({"data": [{"id": number, "name": f"canary-{number}", "x" * number: 1}]}).encode()
        request = Request("listPets", "get", "/pets", query=(("kind", f"canary-{number}"),))
        coverage.record(operation, Exchange(request, Response(200, {}, content, 0.0)))
    assert "canary" not in repr(coverage._covered)
    assert len(coverage._covered) < 10


def test_summary_line_has_all_kinds() -> None:
    assert measure_coverage().summary_line() == (
        "coverage: 0 of 2 operations, 0 of 2 parameters, 0 of 3 statuses, 0 of 2 body fields, "
        "0 of 5 response properties, 0 of 3 enum values"
    )
