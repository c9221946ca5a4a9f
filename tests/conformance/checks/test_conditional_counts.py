"""Tests of counts with a condition, on the Athena mock."""

from typing import Any

from conformance.mutation.fault_injection import InterceptedRequest
from conformance.mutation.faults import change_json
from conformance.results import Status
from tests.conformance.support.check_runner import CHECKS_BY_ID, find_failures, run_checks_with_session

CHECK, OPERATION = "conditional-count-agrees", "listWorkflowExecutions"
CONDITIONAL, TOTAL = "pending_workflow_approvals_count", "workflow_approvals_count"


def _count_all(request: InterceptedRequest, page: Any) -> Any:
    return {**page, "data": [{**row, CONDITIONAL: row[TOTAL]} if TOTAL in row else row for row in page["data"]]}


def test_condition_without_an_effect_is_a_gap() -> None:
    (failure,) = find_failures(CHECK, OPERATION, change_json(_count_all))
    assert failure.requirement.parameter == CONDITIONAL
    assert "the condition status pending has no effect" in failure.message
    assert not failure.is_blocking()


def test_counts_of_the_mock_agree() -> None:
    run_result, _ = run_checks_with_session([CHECKS_BY_ID[CHECK]], OPERATION)
    assert {result.status for result in run_result.results} == {Status.PASSED}
