"""Requests of the suite to operations without an action."""

import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

from conformance.errors import SkipCategory, SkipCheck
from conformance.session.example_values import ExampleValues
from conformance.session.payloads import PayloadFactory
from spec.loader import load_contract
from spec.model import Contract
from spec.validators import SchemaValidators
from tests.spec.contract_edits import load_edited_contract

CONTRACT = Path(__file__).parents[2] / "contracts" / "parameters" / "static-operations.yaml"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(CONTRACT)


@pytest.fixture(scope="module")
def examples(contract: Contract) -> ExampleValues:
    return build_examples(contract)


def build_examples(contract: Contract) -> ExampleValues:
    return ExampleValues(
        PayloadFactory(contract, "marker", Random(0)), SchemaValidators.from_document(contract.document)
    )


def create_examples(*edits: tuple[str, Any]) -> ExampleValues:
    """Return the examples of an edited contract."""
    return build_examples(load_edited_contract("library", *edits))


def test_request_has_valid_values_for_all_required_parameters(contract: Contract, examples: ExampleValues) -> None:
    request = examples.build_request(contract.operations["getFile"])
    assert request.path["team"] == "T42"
    assert 1 <= int(request.path["number"]) <= 9
    assert request.query == {"fields": ["a", "b"]}
    assert request.headers == {"X-Trace": "full", "Cookie": "theme=true"}
    assert request.body is None


def test_body_has_examples_of_properties_and_no_read_only_ones(contract: Contract, examples: ExampleValues) -> None:
    body = examples.build_request(contract.operations["putFile"]).body
    assert body.keys() == {"name", "size"}
    assert body["name"] == "notes"
    assert body["size"] >= 0


def test_body_is_generated_for_constraints_of_any_kind(contract: Contract, examples: ExampleValues) -> None:
    assert re.fullmatch("[a-c]{5}", examples.build_request(contract.operations["importFile"]).body)


def test_operation_without_a_valid_value_is_not_called() -> None:
    impossible = {"type": "string", "minLength": 5, "maxLength": 4}
    edits = (
        ("#/paths/~1books/post/requestBody/content/application~1json/schema", impossible),
        ("#/paths/~1books/post/x-action", "static"),
    )
    operation = load_edited_contract("library", *edits).operations["createBook"]
    with pytest.raises(SkipCheck, match=r"no valid example of the body, and none .* is longer than 4 char") as skip:
        create_examples(*edits).build_body(operation)
    assert skip.value.reason.category is SkipCategory.NO_VALID_REQUEST


OBJECT = {"type": "object", "required": ["x", "y"], "properties": {"x": {"enum": [1]}, "y": {"enum": ["a"]}}}


@pytest.mark.parametrize(
    ("style", "explode", "expected"),
    [
        ("deepObject", True, {"area[x]": "1", "area[y]": "a"}),
        ("form", True, {"x": "1", "y": "a"}),
        ("form", False, {"area": "x,1,y,a"}),
    ],
)
def test_objects_in_queries_are_sent_in_the_style_of_their_parameter(
    style: str, explode: bool, expected: dict[str, str]
) -> None:
    parameter = {"name": "area", "in": "query", "required": True, "style": style, "explode": explode, "schema": OBJECT}
    edits = (("#/paths/~1authors/get/parameters/0", parameter),)
    operation = load_edited_contract("library", *edits).operations["listAuthors"]
    assert create_examples(*edits).encode_parameters(operation, "query").items() >= expected.items()
