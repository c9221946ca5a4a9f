"""A request that violates a documented keyword and succeeds blocks; one that violates an inferred keyword is a gap.

The contract of the clinic only infers its 422 responses.
"""

from dataclasses import replace
from functools import cache

import pytest

from conformance.checks.registry import CHECKS
from conformance.mutation.fault_injection import Fault, FaultInjector
from conformance.mutation.faults import MakeFault, on_status, set_status
from conformance.mutation.in_process_mock import create_session
from conformance.mutation.validation import AcceptInvalidField
from conformance.results import CheckResult, Status
from conformance.runner.runner import run
from spec.document import parse_document
from spec.loader import parse_contract
from spec.model import Contract
from spec.validators import SchemaValidators
from tests.conformance.support.clinic import SEED, demo_clinic
from tests.conformance.support.clinic_faults import CLINIC
from tests.mock_process import ROOT

CHECK, OPERATION = "invalid-field-is-422", "createPatient"
VIOLATIONS = [
    ("name", "required", "Rex"),
    ("name", "minLength", "Rex"),
    ("name", "maxLength", "Rex"),
    ("species", "enum", "cat"),
    ("weight", "minimum", 1),
    ("weight", "maximum", 1),
]


@cache
def document_keywords() -> Contract:
    """Load the contract of the clinic with documented keywords in the body of the operation."""
    document = parse_document((ROOT / "tests" / "foreign" / "clinic.yaml").read_bytes(), "clinic.yaml")
    schemas = document.root["components"]["schemas"]
    body = document.root["paths"]["/patients"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    fields = schemas["PatientRequest"]["properties"]
    body["x-source"] = {"required": "documented"}
    fields["name"]["x-source"] = dict.fromkeys(["minLength", "maxLength"], "documented")
    fields["weight"]["x-source"] = dict.fromkeys(["type", "minimum", "maximum"], "documented")
    schemas["Species"]["x-source"] = {"enum": "documented"}
    return parse_contract(document)


def accept_violation(name: str, keyword: str, valid_value: object) -> MakeFault:
    """Accept bodies whose only violation is one keyword of one field."""
    body = CLINIC.operations[OPERATION].request_body
    assert body is not None
    schemas, pointer = SchemaValidators.from_document(CLINIC.document), body.pointer
    return lambda: AcceptInvalidField(schemas, pointer, name, keyword, valid_value)


def find_failures(contract: Contract, fault: Fault) -> list[CheckResult]:
    """Return the failures of the check on a clinic with a fault, with another contract of the same API."""
    mock = demo_clinic()
    mock.reset()
    app = FaultInjector.create(mock.app, CLINIC, fault, [OPERATION])
    session = create_session(replace(mock, contract=contract), app, SEED)
    checks = [check for check in CHECKS if check.id == CHECK]
    run_result = run(session, checks, [contract.operations[OPERATION]], lambda _: None)
    return list(run_result.with_status(Status.FAILED))


@pytest.mark.parametrize(("name", "keyword", "valid_value"), VIOLATIONS)
@pytest.mark.parametrize("is_documented", [True, False])
def test_accepted_violation_blocks_if_the_keyword_is_documented(
    name: str, keyword: str, valid_value: object, is_documented: bool
) -> None:
    contract = document_keywords() if is_documented else CLINIC
    (failure,) = find_failures(contract, accept_violation(name, keyword, valid_value)())
    assert failure.requirement.parameter == f"{name} {keyword}"
    assert failure.message.endswith("got 201, expected 422")
    assert failure.requirement.provenance == ("documented" if is_documented else "inferred")
    assert failure.is_blocking() is is_documented


def test_accepted_value_of_another_type_is_a_gap_although_the_type_is_documented() -> None:
    (failure,) = find_failures(document_keywords(), accept_violation("weight", "type", 1)())
    assert failure.requirement.parameter == "weight type"
    assert not failure.is_blocking()


def test_rejection_with_another_status_is_a_gap_although_the_keywords_are_documented() -> None:
    failures = find_failures(document_keywords(), on_status(422, set_status(400))())
    assert {f"{name} {keyword}" for name, keyword, _ in VIOLATIONS} <= {f.requirement.parameter for f in failures}
    assert all("got 400, expected 422" in failure.message for failure in failures)
    assert not any(failure.is_blocking() for failure in failures)
