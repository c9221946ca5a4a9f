"""Responses of Laravel without changes: where they differ from the proposal they are contract gaps, never failures.

The contract states the differences in its introduction.
"""

import json

import pytest

from conformance.mutation.fault_injection import InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, change_response
from conformance.results import CheckResult, Status
from tests.conformance.support.check_runner import (
    CHECKS_BY_ID,
    REJECTION_CHECKS,
    find_failures,
    run_checks_with_session,
)


def respond_422(status: int, field: str) -> MakeFault:
    """Return 422 with a message for `field` instead of `status`."""
    message = f"The {field} field is invalid."
    body = json.dumps({"message": message, "errors": {field: [message]}}).encode()

    def change(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        if response.status != status or not request.has_documented_method:
            return response
        return InterceptedResponse(422, {"content-type": "application/json"}, body)

    return change_response(change)


def name_the_model(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
    """Return Laravel's message for a record that does not exist."""
    if response.status != 404:
        return response
    return response.with_json({"message": f"No query results for model [App\\Models\\Agent] {request.key}"})


def list_blocking(failures: list[CheckResult]) -> list[str]:
    """Describe the failures that block a release."""
    return [f"{f.requirement.check}: {f.message}" for f in failures if f.is_blocking()]


@pytest.mark.parametrize(
    ("check", "operation", "status", "field"),
    [
        ("malformed-json-is-400", "createMessage", 400, "content"),
        ("malformed-json-is-400", "createAgent", 400, "name"),
        ("unsupported-media-type-is-415", "createMessage", 415, "content"),
        ("wrong-credentials-are-401", "signIn", 401, "email"),
    ],
)
def test_other_status_of_laravel_is_a_contract_gap(check: str, operation: str, status: int, field: str) -> None:
    failures = find_failures(check, operation, respond_422(status, field))
    assert {f.requirement.provenance for f in failures} == {"inferred"}
    assert all(f"got 422, expected {status}" in f.message for f in failures)
    assert list_blocking(failures) == []


@pytest.mark.parametrize("operation", ["createMessage", "createThread"])
def test_unknown_record_in_the_body_may_be_a_validation_error(operation: str) -> None:
    run_result, _ = run_checks_with_session(
        REJECTION_CHECKS, operation, respond_422(404, "thread_uuid"), fault_operations=[operation]
    )
    assert any(result.status is Status.PASSED for result in run_result.results)
    assert list_blocking(list(run_result.with_status(Status.FAILED))) == []


def test_message_of_a_missing_record_is_not_checked() -> None:
    run_result, _ = run_checks_with_session(
        [CHECKS_BY_ID["unknown-record-is-404"], CHECKS_BY_ID["response-matches-schema"]],
        "retrieveAgent",
        change_response(name_the_model),
        fault_operations=["retrieveAgent"],
    )
    assert any(result.requirement.check == "unknown-record-is-404" for result in run_result.with_status(Status.PASSED))
    assert list(run_result.with_status(Status.FAILED)) == []
