"""Tests of what a share permits, on the Athena mock, with all kinds of recipients and permissions."""

from typing import Any

import pytest

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import (
    MakeFault,
    build_response,
    change_json,
    change_request,
    change_response,
    respond_if,
)
from conformance.results import CheckResult, Status
from conformance.runner.runner import RunResult, run
from tests.conformance.support.asgi_session import session
from tests.conformance.support.check_runner import CHECKS_BY_ID, demo_mock, inject_fault

OPERATION = "shareAgent"
CALLS = 6  # one more than the kinds of shares, so that failures are repeated at most once


def _run(
    make_fault: MakeFault | None = None, *operations: str, calls: int = CALLS, operation: str = OPERATION
) -> RunResult:
    app, api = inject_fault(make_fault, *operations), demo_mock()
    check_session = session(app, api.contract, schemas=api.schemas)
    check_session.update_options(allow_effects=True, max_effect_calls=calls)
    check_session.client.sleep = lambda seconds: api.clock.advance(seconds=seconds)
    checks = [CHECKS_BY_ID["share-permissions-apply"]]
    return run(check_session, checks, [api.contract.operations[operation]], lambda outcome: None)


def _find_failures(make_fault: MakeFault, *operations: str, operation: str = OPERATION) -> dict[str, CheckResult]:
    failures = _run(make_fault, *operations, operation=operation).with_status(Status.FAILED)
    return {failure.requirement.parameter: failure for failure in failures}


def _has_token(request: InterceptedRequest, token: str) -> bool:
    return request.headers.get("authorization") == f"Bearer {token}"


def _act_as_owner(request: InterceptedRequest) -> InterceptedRequest:
    return request.with_token("demo-token") if _has_token(request, "other-token") else request


def test_all_kinds_of_shares_pass_on_the_mock() -> None:
    results = _run().results
    assert {result.status for result in results} == {Status.PASSED}
    labels = {result.requirement.parameter.partition(" ")[0] for result in results}
    assert labels == {"default", "write", "Workspace", "repeated", "second"}


def test_limit_of_calls_skips_further_shares() -> None:
    results = _run(calls=1).results
    skipped = {result.requirement.parameter for result in results if result.status is Status.SKIPPED}
    assert skipped == {"write", "Workspace", "second recipient"}


def test_record_is_listed_once_also_with_several_shares() -> None:
    repeat = change_json(
        lambda _, body: {**body, "data": [row for row in body["data"] for _ in row.get("shares", [1])]}
    )
    assert "second recipient is_shared" in _find_failures(repeat, "listAgents")


def _keep_permission() -> Fault:
    """A second share of a record with the same recipient does not change the permission."""
    permissions: dict[tuple[str, str], str] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        recipient = request.key, str(request.json_object.get("entity_id"))
        stored = permissions.setdefault(recipient, request.json_object.get("permission", "read"))
        return await call_next(request.with_json({**request.json_object, "permission": stored}))

    return fault


def test_repeated_share_that_keeps_the_permission_contradicts_the_request() -> None:
    failures = _find_failures(_keep_permission, OPERATION)
    assert failures.keys() == {"repeated permission"}  # both permissions may apply
    assert failures["repeated permission"].is_contradiction


@pytest.mark.parametrize("permission", ["default", "write"])
def test_recipient_may_not_delete(permission: str) -> None:
    assert f"{permission} delete" in _find_failures(change_request(_act_as_owner), "deleteAgent")


def test_recipient_with_the_first_permission_may_not_update() -> None:
    failures = _find_failures(change_request(_act_as_owner), "updateAgent")
    assert list(failures) == ["default update"]


def test_recipient_with_write_permission_may_update() -> None:
    forbid = respond_if(lambda request: _has_token(request, "other-token"), build_response(403, {"message": "No."}))
    assert list(_find_failures(forbid, "updateAgent")) == ["write update"]


def test_default_permission_blocks_because_the_default_is_documented() -> None:
    fault = change_request(lambda request: request.with_json({"permission": "write", **request.json_object}))
    failure = _find_failures(fault, OPERATION)["default permission"]
    assert "got 'write', expected 'read' (the default)" in failure.message
    assert failure.is_blocking()


def test_share_with_a_tenant_that_gives_its_members_no_access() -> None:
    hide = respond_if(lambda request: _has_token(request, "viewer-token"), build_response(404, {"message": "No."}))
    assert list(_find_failures(hide, "retrieveAgent")) == ["Workspace visible"]


def _replace_share() -> Fault:
    """A second share of a record ends the first one: the recipient cannot retrieve the record any more."""
    shared: dict[str, int] = {}

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if _has_token(request, "other-token") and shared.get(request.key, 0) > 1:
            return build_response(404, {"message": "No."})
        response = await call_next(request)
        if request.operation.id == OPERATION and response.is_success:
            shared[request.key] = shared.get(request.key, 0) + 1
        return response

    return fault


def test_second_share_that_ends_the_first_is_a_contradiction() -> None:
    failures = _find_failures(_replace_share, OPERATION, "retrieveAgent")
    assert list(failures) == ["second recipient"]
    assert failures["second recipient"].is_contradiction


def test_filter_that_ignores_shares_with_a_tenant() -> None:
    def drop(request: InterceptedRequest, page: Any) -> Any:
        is_filtered = dict(request.query).get("is_shared") in ("1", "true")
        return {**page, "data": [r for r in page["data"] if not (is_filtered and r["uuid"] in shared_with_tenant)]}

    def log_share(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedResponse:
        if request.operation.id == OPERATION and request.json_object.get("entity_type") == "workspace":
            shared_with_tenant.add(request.key)
        return response.with_json(drop(request, response.json)) if request.operation.id == "listAgents" else response

    shared_with_tenant = set[str]()
    failures = _find_failures(change_response(log_share), OPERATION, "listAgents")
    assert list(failures) == ["Workspace is_shared"]


def test_record_that_refers_to_the_shared_one_is_hidden() -> None:
    failures = _find_failures(change_request(_act_as_owner), "retrieveMemory")
    assert list(failures) == ["default Memory"]
    assert not failures["default Memory"].is_contradiction


@pytest.mark.parametrize(
    ("fault_operation", "failure"),
    [("patchWorkflowExecution", "update with PATCH"), ("deleteWorkflowExecution", "delete")],
)
def test_share_permission_applies_to_each_operation_of_the_records_below(fault_operation: str, failure: str) -> None:
    failures = _find_failures(change_request(_act_as_owner), fault_operation, operation="shareWorkflow")
    result = failures[f"default WorkflowExecution {failure}"]
    assert result.is_contradiction is (failure != "delete")  # PUT denies what PATCH does


def test_share_with_write_permission_applies_to_the_records_below() -> None:
    forbid = respond_if(lambda request: _has_token(request, "other-token"), build_response(403, {"message": "No."}))
    failures = _find_failures(forbid, "patchWorkflowExecution", operation="shareWorkflow")
    assert list(failures) == ["write WorkflowExecution update with PATCH"]
