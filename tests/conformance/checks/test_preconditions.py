"""Tests of the check of preconditions, on the Athena mock."""

import pytest

from conformance.mutation.faults import MakeFault, on_status, set_status
from conformance.results import Status
from tests.conformance.support.check_runner import CHECKS_BY_ID, find_failures, run_checks_with_session

CHECK = "precondition-is-enforced"
respond_422: MakeFault = on_status(409, set_status(422))


@pytest.mark.parametrize(
    ("operation", "parameter"),
    [
        ("triggerWebhook", "is_active=False"),
        ("createWorkflowExecution", "workflow.is_active=False"),
        ("stopWorkflowExecution", "status=stopped"),
    ],
)
def test_other_status_than_409_fails(operation: str, parameter: str) -> None:
    (failure,) = find_failures(CHECK, operation, respond_422)
    assert failure.requirement.parameter == parameter
    assert failure.message.endswith("got 422, expected 409")
    run_result, session = run_checks_with_session([CHECKS_BY_ID[CHECK]], operation)
    assert [result.status for result in run_result.results] == [Status.PASSED]
    assert not session.client.effects.calls["triggerWebhook"]
