"""Effects of checks on the target: operations with effects, permission and limit, existing records, read-only runs."""

from collections import Counter
from typing import Any

import pytest

from conformance.checks.registry import CHECKS
from conformance.checks.support.check import Check
from conformance.checks.validation.responses import RESPONSE_CHECKS
from conformance.errors import SkipCheck
from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import change_body, change_json
from conformance.results import FailureKind, Status
from conformance.runner.runner import run
from tests.conformance.support.asgi_session import TOKENS, session
from tests.conformance.support.check_runner import (
    ACCESS_AND_ACTION_CHECKS,
    CHECKS_BY_ID,
    REJECTION_CHECKS,
    WRITE_CHECKS,
    demo_mock,
    find_failures,
    run_checks,
    run_checks_with_session,
)
from tests.mock_server.athena import athena_contract

WRITING_CHECKS = [*REJECTION_CHECKS, *WRITE_CHECKS, *ACCESS_AND_ACTION_CHECKS, *RESPONSE_CHECKS]
# Their resource has no create operation, and other records must not be changed.
UNREACHABLE_OPERATIONS = {"updateWorkspace", "deleteWorkspace"}


def snapshot() -> dict[tuple[str, str], list[Any]]:
    """Return every row of every list, for both tokens."""
    lists = [o.id for o in demo_mock().contract.operations.values() if o.action == "list"]
    return {(name, token): _rows(name, token) for name in lists for token in TOKENS.values()}


def _rows(name: str, token: str) -> list[Any]:
    api, rows, page = demo_mock(), [], 1
    while True:
        reply = api.send(name, query={"per_page": 100, "page": page}, token=token)
        rows += reply.json["data"]
        if len(reply.json["data"]) < 100:
            return rows
        page += 1


@pytest.mark.slow
def test_all_checks_reach_every_operation_use_effects_once_and_delete_all_records() -> None:
    demo_mock().reset()
    before = snapshot()
    run_result, check_session = run_checks_with_session(WRITING_CHECKS)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in run_result.with_status(Status.FAILED)]
    assert not run_result.records_not_deleted
    succeeded = Counter(name for name, status in check_session.responses.call_counts.elements() if 200 <= status < 300)
    operations = check_session.contract.operations
    assert operations.keys() - succeeded.keys() == UNREACHABLE_OPERATIONS
    assert {name: succeeded[name] for name, o in operations.items() if o.effects and succeeded[name] > 1} == {}
    assert snapshot() == before


@pytest.mark.slow
def test_operation_with_effects_is_not_called_without_permission() -> None:
    checks = [*ACCESS_AND_ACTION_CHECKS, *RESPONSE_CHECKS]
    run_result, check_session = run_checks_with_session(checks, effects=False)
    effect_operations = {name for name, o in check_session.contract.operations.items() if o.effects}
    assert not [name for name, _ in check_session.responses.call_counts if name in effect_operations]
    assert {o.requirement.operation for o in run_result.with_status(Status.SKIPPED)} >= effect_operations


def test_invalid_response_of_an_effect_that_may_not_be_repeated_fails() -> None:
    empty_result = change_json(lambda request, body: {} if request.operation.id == "runPrompt" else body)
    run_result = run_checks(list(CHECKS), "runPrompt", empty_result)
    failures = {o.requirement.check: o.failure_kind for o in run_result.with_status(Status.FAILED)}
    assert failures["response-matches-schema"] is FailureKind.NOT_REPEATED


def test_operation_with_effects_is_called_up_to_its_limit() -> None:
    _, check_session = run_checks_with_session([])
    operation = check_session.contract.operations["runPrompt"]
    check_session.update_options(max_effect_calls=2)
    check_session.client.charge_call(operation)
    check_session.client.charge_call(operation)
    with pytest.raises(SkipCheck, match=r"runPrompt was called 2 times, the limit of --max-effect-calls"):
        check_session.client.charge_call(operation)


@pytest.mark.slow
def test_accepted_call_with_effects_is_sent_once_per_run() -> None:
    accepted_tokens: list[str] = []

    async def record_accepted(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request.with_token(TOKENS["self"]))
        if request.operation.id == "runAgent" and response.is_success:
            accepted_tokens.append(request.headers.get("authorization", ""))
        return response

    assert find_failures("unauthenticated-access-denied", "runAgent", lambda: record_accepted)
    assert set(accepted_tokens) == {""}


@pytest.mark.slow
def test_action_that_a_new_record_rejects_is_tried_with_every_flag_set() -> None:
    run_result, check_session = run_checks_with_session(
        [CHECKS_BY_ID["action-result-concerns-record"]],
        "triggerWebhook",
        change_body(lambda body: {"is_active": False, **body}),
        fault_operations=["createWorkflow"],
    )
    assert [o.status for o in run_result.results] == [Status.PASSED]
    assert (
        check_session.responses.call_counts["triggerWebhook", 409]
        == check_session.responses.call_counts["triggerWebhook", 201]
        == 1
    )


LIST_AGENTS = athena_contract().operations["listAgents"]
LIST_CHECKS = {
    check.id: check
    for check in CHECKS
    if check.affected_by_other_clients and check.applies_to(athena_contract(), LIST_AGENTS)
}


@pytest.mark.parametrize("check", LIST_CHECKS.values(), ids=LIST_CHECKS)
def test_read_only_run_sends_only_get(check: Check) -> None:
    api, methods = demo_mock(), set()
    api.reset()

    async def record_methods(scope: Any, receive: Any, send: Any) -> None:
        methods.add(scope["method"])
        await api.app(scope, receive, send)

    check_session = session(record_methods, api.contract, schemas=api.schemas, read_only=True)
    run_result = run(check_session, [check], [LIST_AGENTS], lambda _: None)
    assert not list(run_result.with_status(Status.FAILED))
    assert methods == {"GET"}
