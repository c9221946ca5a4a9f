"""Invalid values that look valid, and texts that a target normalizes: what is reported, and that it does not block."""

import pytest

from conformance.checks.registry import CHECKS
from conformance.mutation.faults import MakeFault, change_body
from conformance.results import CheckResult, Status
from tests.conformance.support import clinic_faults as faults
from tests.conformance.support.clinic import inject_fault, run_checks

BY_ID = {check.id: check for check in CHECKS}


def find_failures(check_id: str, operation: str, make_fault: MakeFault) -> dict[str, CheckResult]:
    """Return the failures of a check on an operation with a fault, by parameter."""
    run_result = run_checks([BY_ID[check_id]], [operation], inject_fault(make_fault, operation))
    return {failure.requirement.parameter: failure for failure in run_result.with_status(Status.FAILED)}


def trim(name: str) -> MakeFault:
    """One text is stored without the white space around it."""
    return change_body(lambda body: {n: v.strip() if n == name else v for n, v in body.items()})


def test_trimmed_text_of_a_confirmed_property_is_a_gap() -> None:
    failures = find_failures("text-stored-as-sent", "createPatient", faults.trim_texts)
    assert failures.keys() == {"name", "story"}
    assert failures["name"].message.endswith(" as sent (the target trims text); the contract does not state this")
    assert not any(failure.is_blocking() for failure in failures.values())


def test_message_names_properties_whose_text_is_not_trimmed() -> None:
    (failure,) = find_failures("text-stored-as-sent", "createPatient", trim("name")).values()
    assert (
        "the target trims text, but stores Patient.story unchanged); the contract does not state this"
        in failure.message
    )


@pytest.mark.parametrize(
    ("make_fault", "parameter", "message"),
    [
        (faults.convert_insured, "insured type", "insured 1 (type): got 201, expected a client error"),
        (faults.convert_day, "born format", "born '2024-02-30' (format): got 201, expected a client error"),
    ],
)
def test_accepted_value_is_reported_alone(make_fault: MakeFault, parameter: str, message: str) -> None:
    failures = find_failures("near-valid-field-is-rejected", "createPatient", make_fault)
    assert failures.keys() == {parameter}
    assert failures[parameter].message == message
    assert not failures[parameter].is_blocking()
