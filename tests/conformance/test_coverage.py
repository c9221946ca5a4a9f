"""Coverage of a contract: what traffic has used, what it only reached, and what it never touched."""

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
from spec.loader import Contract, load_contract

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
def pets() -> Contract:
    """A small contract."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pets.yaml"
        path.write_text(CONTRACT, encoding="utf-8")
        return load_contract(path)


def after(*sent: tuple[str, dict[str, Any], int, Any]) -> CoverageReport:
    """What is covered after requests: operation, what the request has, status, body of the answer."""
    coverage = Coverage(pets())
    for operation, given, status, body in sent:
        asked = pets().operations[operation]
        request = Request(operation, asked.method, asked.path, **given)
        content = b"" if body is None else json.dumps(body).encode()
        coverage.record(asked, Exchange(request, Response(status, {}, content, 0.0)))
    return coverage.build_report(pets().operations.values(), {})


def states(covered: CoverageReport, kind: str) -> dict[str, str]:
    """Name -> state of a kind."""
    return {item.name: item.state for item in covered.items if item.kind == kind}


def test_before_any_request_nothing_is_touched_and_all_is_counted() -> None:
    covered = after()
    assert {kind: covered.total(kind) for kind in ITEM_KINDS} == {
        OPERATIONS: 2, PARAMETERS: 2, STATUSES: 3, BODY_FIELDS: 2, RESPONSE_PROPERTIES: 5, ENUM_VALUES: 3
    }  # fmt: skip
    assert {item.state for item in covered.items} == {"never"}
    assert covered.operations_never_successful == {"listPets": "it was never asked", "createPet": "it was never asked"}


def test_a_success_exercises_what_it_uses_and_shows() -> None:
    pet = {"id": 1, "name": None, "kind": "dog"}
    covered = after(("listPets", {"query": (("kind[]", "cat"), ("tame", ""))}, 200, {"data": [pet]}))
    assert states(covered, OPERATIONS) == {"listPets": "exercised", "createPet": "never"}
    assert states(covered, PARAMETERS) == {"listPets kind": "exercised", "listPets tame": "never"}
    assert states(covered, STATUSES)["listPets 200"] == "exercised"
    shown = states(covered, RESPONSE_PROPERTIES)
    assert (shown["Pet.id"], shown["Pet.name"], shown["Pet.kind"]) == ("exercised", "reached", "exercised")
    assert "Pet.secret" not in shown
    assert sorted(states(covered, ENUM_VALUES).values()) == ["exercised", "exercised", "never"]
    assert states(covered, BODY_FIELDS) == {"NewPet.name": "never", "NewPet.kind": "never"}


def test_what_is_only_refused_is_reached() -> None:
    covered = after(("createPet", {"body": {"name": "x", "kind": "eel"}}, 422, {"message": "no"}))
    assert states(covered, OPERATIONS)["createPet"] == "reached"
    assert states(covered, BODY_FIELDS) == {"NewPet.name": "reached", "NewPet.kind": "reached"}
    assert covered.operations_never_successful["createPet"] == "it answered 422 (1 times)"
    later = after(("createPet", {"body": {"name": "x"}}, 422, None), ("createPet", {"body": {"name": "y"}}, 201, None))
    assert states(later, BODY_FIELDS)["NewPet.name"] == "exercised"


def test_a_later_refusal_takes_nothing_back() -> None:
    covered = after(
        ("createPet", {"body": {"name": "y"}}, 201, None), ("createPet", {"body": {"name": "x"}}, 422, None)
    )
    assert states(covered, BODY_FIELDS)["NewPet.name"] == "exercised"
    assert states(covered, OPERATIONS)["createPet"] == "exercised"


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"null", b"3", b'{"data": {"data": []}}', b"\xff"])
def test_an_answer_of_nonsense_is_nothing(content: bytes) -> None:
    coverage = Coverage(pets())
    asked = pets().operations["listPets"]
    coverage.record(asked, Exchange(Request("listPets", "get", "/pets"), Response(200, {}, content, 0.0)))
    assert states(coverage.build_report([asked], {}), RESPONSE_PROPERTIES)["Pet.id"] == "never"


def test_nothing_that_was_sent_or_answered_is_kept() -> None:
    coverage = Coverage(pets())
    asked = pets().operations["listPets"]
    for number in range(300):
        content = json.dumps({"data": [{"id": number, "name": f"canary-{number}", "x" * number: 1}]}).encode()
        request = Request("listPets", "get", "/pets", query=(("kind", f"canary-{number}"),))
        coverage.record(asked, Exchange(request, Response(200, {}, content, 0.0)))
    assert "canary" not in repr(coverage._covered)
    assert len(coverage._covered) < 10


def test_the_line_names_every_kind() -> None:
    assert after().summary_line() == (
        "coverage: 0 of 2 operations, 0 of 2 parameters, 0 of 3 statuses, 0 of 2 body fields, "
        "0 of 5 answer properties, 0 of 3 enum values"
    )
