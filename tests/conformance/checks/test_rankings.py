"""Tests of the checks of rankings, on the Athena mock."""

from typing import Any

from conformance.mutation.fault_injection import InterceptedRequest
from conformance.mutation.faults import change_json, change_request, ignore_parameters
from conformance.results import Status
from tests.conformance.support.check_runner import CHECKS_BY_ID, find_failures, run_checks

SCOPE_CHECK, TENANT_CHECK, RANKING = "filtered-ranking-is-subset", "ranking-hides-other-tenants", "getAgentLeaderboard"
OWNER_TOKEN, OTHER_TOKEN = "demo-token", "other-token"
SCOPE = "workspace_uuid"


def _is_scoped(request: InterceptedRequest) -> bool:
    return bool(dict(request.query).get(SCOPE))


def _omit_first_row(request: InterceptedRequest, body: Any) -> Any:
    """The ranking of a workspace lacks its first agent."""
    return {**body, "data": body["data"][1:]} if _is_scoped(request) else body


def _count_one_more(request: InterceptedRequest, body: Any) -> Any:
    """The numbers of a workspace differ from those of all workspaces."""
    rows = [{**row, "threads_count": row["threads_count"] + 1} for row in body["data"]]
    return {**body, "data": rows} if _is_scoped(request) else body


def _respond_to_other_tenant_as_owner(request: InterceptedRequest) -> InterceptedRequest:
    """A request with a workspace is not restricted to the workspaces of the caller."""
    is_other = request.headers.get("authorization") == f"Bearer {OTHER_TOKEN}"
    return request.with_token(OWNER_TOKEN) if is_other and _is_scoped(request) else request


def test_ranking_without_a_fault_passes() -> None:
    run_result = run_checks([CHECKS_BY_ID[SCOPE_CHECK], CHECKS_BY_ID[TENANT_CHECK]], RANKING)
    assert {result.status for result in run_result.results} == {Status.PASSED}


def test_ranking_that_lacks_a_record_of_the_scope_fails() -> None:
    (failure,) = find_failures(SCOPE_CHECK, RANKING, change_json(_omit_first_row))
    assert "expected the row of the unrestricted ranking" in failure.message
    assert failure.is_contradiction


def test_ranking_with_other_numbers_in_the_scope_fails() -> None:
    (failure,) = find_failures(SCOPE_CHECK, RANKING, change_json(_count_one_more))
    assert "threads_count" in failure.message


def test_scope_that_the_target_ignores_does_not_block() -> None:
    failures = find_failures(SCOPE_CHECK, RANKING, ignore_parameters(SCOPE))
    assert not any(failure.is_blocking() for failure in failures)


def test_ranking_of_another_tenant_blocks() -> None:
    (failure,) = find_failures(TENANT_CHECK, RANKING, change_request(_respond_to_other_tenant_as_owner))
    assert failure.requirement.parameter == SCOPE
    assert failure.is_blocking()
