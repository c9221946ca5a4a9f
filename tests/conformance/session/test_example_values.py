"""Requests of the suite to operations without an action."""

from pathlib import Path
from random import Random

import pytest

from conformance.errors import SkipCheck
from conformance.session.example_values import ExampleValues
from conformance.session.payloads import PayloadFactory
from spec.loader import load_contract
from spec.model import Contract
from spec.validators import SchemaValidators

CONTRACT = Path(__file__).parents[2] / "contracts" / "parameters" / "static-operations.yaml"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(CONTRACT)


@pytest.fixture(scope="module")
def examples(contract: Contract) -> ExampleValues:
    return ExampleValues(
        PayloadFactory(contract, "marker", Random(0)), SchemaValidators.from_document(contract.document)
    )


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


def test_operation_without_a_valid_example_is_not_called(contract: Contract, examples: ExampleValues) -> None:
    with pytest.raises(SkipCheck, match="the contract has no valid example of the body, and none can be generated"):
        examples.build_request(contract.operations["importFile"])
