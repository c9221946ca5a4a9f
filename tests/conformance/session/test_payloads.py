"""Values that the suite generates for request bodies."""

from random import Random
from typing import Any

import pytest

from conformance.session.payloads import PayloadFactory
from spec.model import Relation
from spec.validators import SchemaValidators
from tests.spec.contract_edits import load_edited_contract

MARKER = "conformance-0000aaaa"


@pytest.fixture
def payloads() -> PayloadFactory:
    return PayloadFactory(load_edited_contract("library"), MARKER, Random(0))


@pytest.mark.parametrize("max_length", [10, 20, 21, 25, 30, 60])
def test_texts_of_a_maximum_length_are_distinct(payloads: PayloadFactory, max_length: int) -> None:
    texts = [payloads.generate_value({"type": "string", "maxLength": max_length}, "label") for _ in range(20)]
    assert len(set(texts)) == len(texts)
    assert max(map(len, texts)) <= max_length


def test_text_contains_the_marker_if_it_has_room(payloads: PayloadFactory) -> None:
    assert MARKER in payloads.generate_value({"type": "string", "maxLength": 26}, "label")


FIELD = "#/components/schemas/CreateAuthorRequest/properties/name"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 10, "exclusiveMinimum": True, "multipleOf": 7},
        {"type": "array", "minItems": 2, "uniqueItems": True, "items": {"enum": ["a", "b"]}},
        {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}},
        {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4}$"},
    ],
)
def test_field_is_valid_for_constraints_of_any_kind(schema: dict[str, Any]) -> None:
    contract = load_edited_contract("library", (FIELD, schema))
    schemas = SchemaValidators.from_document(contract.document)
    payloads = PayloadFactory(contract, MARKER, Random(0), schemas)
    operation = contract.operations["createAuthor"]
    value = payloads.build_field(operation, operation.body_fields["name"], provide_parent)["name"]
    assert schemas.get(FIELD, "write").is_valid(value)


def test_body_has_what_a_part_of_its_schema_requires() -> None:
    pointer = "#/components/schemas/CreateAuthorRequest"
    condition = {"not": {"required": ["name"]}}, {"required": ["genre"]}
    contract = load_edited_contract("library", (f"{pointer}/anyOf", list(condition)))
    schemas = SchemaValidators.from_document(contract.document)
    body = PayloadFactory(contract, MARKER, Random(0), schemas).build(
        contract.operations["createAuthor"], provide_parent
    )
    assert {"name", "genre"} <= body.keys()


def provide_parent(relation: Relation) -> tuple[str, Any]:
    return relation.targets[0], "00000000-0000-4000-8000-000000000001"
