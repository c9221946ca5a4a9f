"""Checks of relations, actions, accounts and accepted input: they pass on the mock, and each fails for its fault."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from conformance.checks.support.check import Check
from conformance.checks.validation.responses import RESPONSE_CHECKS
from conformance.errors import SkipCheck
from conformance.results import Status
from tests.conformance.check_runner import (
    ACCESS_AND_ACTION_CHECKS,
    CHECKS_BY_ID,
    REJECTION_CHECKS,
    WRITE_CHECKS,
    demo_mock,
    find_unexpected_failures,
    run_checks,
    run_checks_with_session,
)
from tests.conformance.fault_injection import CallNext, FaultRequest, FaultResponse, serialize_like_php

pytestmark = pytest.mark.slow  # each case sends many requests to a reset mock

DEMO, OTHER = "demo-token", "other-token"
UNKNOWN_KEY = "00000000-0000-4000-8000-00000000dead"

Memory = dict[str, Any]


@pytest.mark.parametrize("check", ACCESS_AND_ACTION_CHECKS, ids=lambda check: check.id)
def test_check_passes_on_the_mock(check: Check) -> None:
    run_result = run_checks([check])
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in run_result.with_status(Status.FAILED)]
    assert any(run_result.with_status(Status.PASSED))
    assert not run_result.records_not_deleted


# Faults


def is_record_request(request: FaultRequest, collection: str, method: str = "GET") -> bool:
    """Return whether a request addresses one record of a collection."""
    return request.method == method and request.path.startswith(f"/{collection}/") and request.path.count("/") == 2


def is_other_account(request: FaultRequest) -> bool:
    return OTHER in request.headers.get("authorization", "")


async def break_reference(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if is_record_request(request, "threads") and response.status == 200 and response.body["data"].get("agent"):
        return response.with_data(agent={**response.body["data"]["agent"], "uuid": UNKNOWN_KEY})
    return response


async def return_zero_count(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return (
        response.with_data(threads_count=0)
        if is_record_request(request, "agents") and response.status == 200
        else response
    )


async def embed_old_names(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """Threads embed an agent with the values of its first embedding."""
    response: FaultResponse = await call_next(request)
    if request.path.startswith("/threads") and response.raw and response.status < 300:
        body = response.body
        for row in body["data"] if isinstance(body["data"], list) else [body["data"]]:
            if row.get("agent"):
                row["agent"] = memory.setdefault(row["agent"]["uuid"], row["agent"])
        return response.with_json(body)
    return response


async def return_another_answer(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.path.endswith("/run") and response.status == 200:
        return response.with_data(answer={**response.body["data"]["answer"], "content": "another answer"})
    return response


async def return_unknown_key(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return response.with_data(uuid=UNKNOWN_KEY) if request.path.endswith("/generate") else response


async def return_another_workflow(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.path.endswith("/webhook") and response.status == 201:
        return response.with_data(workflow={**response.body["data"]["workflow"], "uuid": UNKNOWN_KEY})
    return response


async def accept_second_stop(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, status=200) if request.path.endswith("/stop") and response.status == 409 else response


async def run_after_stop(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.path.endswith("/stop"):
        memory["stopped"] = request.path.split("/")[2]
    if is_record_request(request, "workflow-executions") and request.path.endswith(memory.get("stopped", "never")):
        return response.with_data(status="running")
    return response


async def hide_shared_agents(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if is_record_request(request, "agents") and is_other_account(request):
        return replace(response, status=404, raw=b'{"message": "Not found."}')
    return response


async def allow_readers_to_write(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(
        request.with_token(DEMO) if is_record_request(request, "workflows", "PUT") else request
    )
    return response


async def show_agents_to_all(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(
        request.with_token(DEMO) if is_record_request(request, "agents") else request
    )
    return response


async def keep_shared_agents_visible(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if is_record_request(request, "agents") and is_other_account(request):
        if response.status == 200:
            memory[request.path] = response
        response = memory.get(request.path, response)
    return response


async def return_first_metrics(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """Every metric keeps its first value."""
    key = f"{request.path} {request.query} {request.raw!r}"
    if request.path.endswith("/metrics") and key in memory:
        first: FaultResponse = memory[key]
        return first
    response: FaultResponse = await call_next(request)
    memory[key] = response
    return response


async def ignore_thread_filter(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    if request.path.endswith("/metrics") and isinstance(request.body, dict):
        request = request.with_json({name: value for name, value in request.body.items() if name != "thread_uuid"})
    response: FaultResponse = await call_next(request)
    return response


async def increase_total(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.path.endswith("/count") and response.status == 200:
        return response.with_data(total=response.body["data"]["total"] + 1)
    return response


async def return_another_account(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return response.with_data(id=999) if request.path == "/user" and response.status == 200 else response


async def return_first_account(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(
        request.with_token(DEMO) if request.path == "/user" and is_other_account(request) else request
    )
    return response


async def return_another_owner(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if (request.method, request.path) == ("POST", "/prompts") and response.status == 201:
        return response.with_data(user={**response.body["data"]["user"], "id": 999})
    return response


async def return_422_for_401(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return replace(response, status=422) if request.path.endswith("/sign-in") and response.status == 401 else response


async def return_token_of_another(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    return response.with_data(token=OTHER) if request.path.endswith("/sign-in") and response.status == 200 else response


async def ignore_logout(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = (
        FaultResponse(204, {}, b"") if request.path.endswith("/logout") else await call_next(request)
    )
    return response


async def reject_sort_by_update(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    response: FaultResponse = await call_next(request)
    if request.path == "/threads" and "sort_by=updated_at" in request.query:
        return replace(response, status=422)
    return response


async def reject_long_titles(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    body = request.body
    if request.method == "POST" and isinstance(body, dict) and len(str(body.get("title", ""))) > 100:
        request = request.with_json({})
    response: FaultResponse = await call_next(request)
    return response


@pytest.mark.parametrize(
    ("check", "operation", "fault", "about"),
    [
        ("model-create", "createThread", break_reference, "agent"),
        ("model-create", "createThread", return_zero_count, "threads_count"),
        ("model-update", "updateAgent", embed_old_names, "agent.name"),
        ("action-result-is-stored", "runAgent", return_another_answer, "data.answer"),
        ("action-result-is-stored", "generateAgent", return_unknown_key, "data"),
        ("action-result-concerns-record", "triggerWebhook", return_another_workflow, "data"),
        ("terminal-state-is-final", "stopWorkflowExecution", accept_second_stop, "again"),
        ("terminal-state-is-final", "stopWorkflowExecution", run_after_stop, "stays"),
        ("sharing-grants-access", "shareAgent", hide_shared_agents, "visible"),
        ("sharing-grants-access", "shareWorkflow", allow_readers_to_write, "read-only"),
        ("sharing-grants-access", "shareAgent", show_agents_to_all, "before"),
        ("unsharing-revokes-access", "shareAgent", keep_shared_agents_visible, ""),
        ("metric-follows-writes", "getAgentsMetrics", return_first_metrics, "calculation=accumulated_count"),
        ("metric-follows-writes", "getWorkspacesMetrics", return_first_metrics, "entity=agents metric=created"),
        (
            "metric-matches-list",
            "getMessagesMetrics",
            ignore_thread_filter,
            "calculation=accumulated_count thread_uuid",
        ),
        ("metric-parts-add-up", "countWorkflowExecutions", increase_total, ""),
        ("token-identifies-account", "getAuthenticatedUser", return_another_account, "self"),
        ("token-identifies-account", "getAuthenticatedUser", return_first_account, "other"),
        ("creator-owns-record", "createPrompt", return_another_owner, "user"),
        ("wrong-credentials-are-401", "signIn", return_422_for_401, "unknown login"),
        ("wrong-credentials-are-401", "signIn", return_422_for_401, "wrong password"),
        ("login-token-works", "signIn", return_token_of_another, "works"),
        ("logout-revokes-token", "logout", ignore_logout, "ended"),
        ("valid-parameter-accepted", "listThreads", reject_sort_by_update, "sort_by updated_at"),
        ("valid-body-accepted", "storeCommandRoomTask", reject_long_titles, "title maxLength"),
    ],
)
def test_check_fails_for_its_fault(check: str, operation: str, fault: Any, about: str) -> None:
    assert not find_unexpected_failures(check, operation, fault, about)


# Conforming variants

DELAY = timedelta(seconds=2)


async def delay_reads(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    """New records are visible two seconds after their creation."""
    response: FaultResponse = await call_next(request)
    now = demo_mock().clock.now
    created: dict[str, datetime] = memory.setdefault("made", {})
    if request.method == "POST" and response.status == 201:
        created[response.body["data"].get("uuid", "")] = now
    if request.method != "GET" or response.status != 200:
        return response
    recent = {key for key, at in created.items() if now - at < DELAY}
    if request.path.rpartition("/")[2] in recent:
        return replace(response, status=404, raw=b'{"message": "Not found."}')
    body = response.body
    if isinstance(body.get("data"), list) and "meta" in body:
        rows = [row for row in body["data"] if row.get("uuid") not in recent]
        total = body["meta"]["total"] - len(body["data"]) + len(rows)
        return response.with_json({**body, "data": rows, "meta": {**body["meta"], "total": total}})
    return response


@pytest.mark.parametrize("check", ACCESS_AND_ACTION_CHECKS, ids=lambda check: check.id)
def test_check_passes_with_reads_delayed_by_two_seconds(check: Check) -> None:
    run_result = run_checks([check], None, delay_reads)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in run_result.with_status(Status.FAILED)]


@pytest.mark.parametrize("check", ACCESS_AND_ACTION_CHECKS, ids=lambda check: check.id)
def test_check_passes_with_the_notation_of_php(check: Check) -> None:
    run_result = run_checks([check], None, serialize_like_php)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in run_result.with_status(Status.FAILED)]


# Coverage and effects

WRITING_CHECKS = [*REJECTION_CHECKS, *WRITE_CHECKS, *ACCESS_AND_ACTION_CHECKS, *RESPONSE_CHECKS]
# Their resource has no create operation, and other records must not be changed.
UNREACHABLE_OPERATIONS = {"updateWorkspace", "deleteWorkspace"}


def snapshot() -> dict[tuple[str, str], list[Any]]:
    """Return every row of every list, for both tokens."""
    lists = [o.id for o in demo_mock().contract.operations.values() if o.action == "list"]
    return {(name, token): _rows(name, token) for name in lists for token in (DEMO, OTHER)}


def _rows(name: str, token: str) -> list[Any]:
    api, rows, page = demo_mock(), [], 1
    while True:
        reply = api.send(name, query={"per_page": 100, "page": page}, token=token)
        rows += reply.json["data"]
        if len(reply.json["data"]) < 100:
            return rows
        page += 1


def test_all_checks_reach_every_operation_use_effects_once_and_delete_all_records() -> None:
    demo_mock().reset()
    before = snapshot()
    run_result, session = run_checks_with_session(WRITING_CHECKS)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in run_result.with_status(Status.FAILED)]
    assert not run_result.records_not_deleted
    succeeded = Counter(name for name, status in session.responses.call_counts.elements() if 200 <= status < 300)
    operations = session.contract.operations
    assert operations.keys() - succeeded.keys() == UNREACHABLE_OPERATIONS
    assert {name: succeeded[name] for name, o in operations.items() if o.effects and succeeded[name] > 1} == {}
    assert snapshot() == before


def test_operation_with_effects_is_not_called_without_permission() -> None:
    run_result, session = run_checks_with_session([*ACCESS_AND_ACTION_CHECKS, *RESPONSE_CHECKS], effects=False)
    effect_operations = {name for name, o in session.contract.operations.items() if o.effects}
    assert not [name for name, _ in session.responses.call_counts if name in effect_operations]
    assert {o.requirement.operation for o in run_result.with_status(Status.SKIPPED)} >= effect_operations


def test_operation_with_effects_is_called_up_to_its_limit() -> None:
    _, session = run_checks_with_session([])
    operation = session.contract.operations["runPrompt"]
    session.update_options(max_effect_calls=2)
    session.client.charge_call(operation)
    session.client.charge_call(operation)
    with pytest.raises(SkipCheck, match=r"runPrompt was called 2 times, the limit of --max-effect-calls"):
        session.client.charge_call(operation)


async def create_inactive_workflows(request: FaultRequest, call_next: CallNext, memory: Memory) -> FaultResponse:
    if (request.method, request.path) == ("POST", "/workflows") and isinstance(request.body, dict):
        request = request.with_json({"is_active": False, **request.body})
    response: FaultResponse = await call_next(request)
    return response


def test_action_that_a_new_record_rejects_is_tried_with_every_flag_set() -> None:
    run_result, session = run_checks_with_session(
        [CHECKS_BY_ID["action-result-concerns-record"]], "triggerWebhook", create_inactive_workflows
    )
    assert [o.status for o in run_result.results] == [Status.PASSED]
    assert (
        session.responses.call_counts["triggerWebhook", 409]
        == session.responses.call_counts["triggerWebhook", 201]
        == 1
    )
