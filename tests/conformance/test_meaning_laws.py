"""Laws on relations, named actions, accounts and what is admitted: kept on the sound mock, each broken by its fault."""

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from conformance.checks import CHECKS as ALL
from conformance.checks.support.check import Check
from conformance.checks.validation import rejected_input, responses
from conformance.checks.writes import crud
from conformance.errors import SkipCheck
from conformance.results import Status
from tests.conformance.judging import LAWS, MEANING, amiss, judge, judged, mock
from tests.conformance.writing_faults import Answered, Asked, Next, is_written_in_php

pytestmark = pytest.mark.slow  # each case is many requests to a mock that is served anew

DEMO, OTHER = "demo-token", "other-token"
ELSEWHERE = "00000000-0000-4000-8000-00000000dead"

Memory = dict[str, Any]


@pytest.mark.parametrize("law", MEANING, ids=lambda law: law.id)
def test_a_law_is_kept_by_the_sound_mock(law: Check) -> None:
    found = judge([law])
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in found.with_status(Status.FAILED)]
    assert any(found.with_status(Status.PASSED))
    assert not found.records_not_deleted


# Faults ---------------------------------------------------------------------------------------------------------


def item(asked: Asked, folder: str, method: str = "GET") -> bool:
    """Whether a request is about one record of a collection."""
    return asked.method == method and asked.path.startswith(f"/{folder}/") and asked.path.count("/") == 2


def by_other(asked: Asked) -> bool:
    return OTHER in asked.headers.get("authorization", "")


async def leads_nowhere(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    if item(asked, "threads") and answered.status == 200 and answered.body["data"].get("agent"):
        return answered.with_data(agent={**answered.body["data"]["agent"], "uuid": ELSEWHERE})
    return answered


async def never_counts(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    return answered.with_data(threads_count=0) if item(asked, "agents") and answered.status == 200 else answered


async def keeps_old_names(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """Threads embed an agent as it was when it was first embedded."""
    answered: Answered = await ask(asked)
    if asked.path.startswith("/threads") and answered.raw and answered.status < 300:
        body = answered.body
        for row in body["data"] if isinstance(body["data"], list) else [body["data"]]:
            if row.get("agent"):
                row["agent"] = memory.setdefault(row["agent"]["uuid"], row["agent"])
        return answered.showing(body)
    return answered


async def answers_something_else(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    if asked.path.endswith("/run") and answered.status == 200:
        return answered.with_data(answer={**answered.body["data"]["answer"], "content": "what is not stored"})
    return answered


async def stores_no_generated(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    return answered.with_data(uuid=ELSEWHERE) if asked.path.endswith("/generate") else answered


async def starts_another(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    if asked.path.endswith("/webhook") and answered.status == 201:
        return answered.with_data(workflow={**answered.body["data"]["workflow"], "uuid": ELSEWHERE})
    return answered


async def stops_twice(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, status=200) if asked.path.endswith("/stop") and answered.status == 409 else answered


async def goes_on_after_its_stop(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    if asked.path.endswith("/stop"):
        memory["stopped"] = asked.path.split("/")[2]
    if item(asked, "workflow-executions") and asked.path.endswith(memory.get("stopped", "never")):
        return answered.with_data(status="running")
    return answered


async def shares_with_nobody(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    if item(asked, "agents") and by_other(asked):
        return replace(answered, status=404, raw=b'{"message": "Not found."}')
    return answered


async def lets_readers_write(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked.by(DEMO) if item(asked, "workflows", "PUT") else asked)
    return answered


async def shows_agents_to_all(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked.by(DEMO) if item(asked, "agents") else asked)
    return answered


async def remembers_what_was_shared(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    if item(asked, "agents") and by_other(asked):
        if answered.status == 200:
            memory[asked.path] = answered
        answered = memory.get(asked.path, answered)
    return answered


async def counts_once(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """Figures as they were first computed."""
    if not asked.path.endswith("/metrics"):
        answered: Answered = await ask(asked)
        return answered
    key = f"{asked.path} {asked.query} {asked.raw!r}"
    if key not in memory:
        memory[key] = await ask(asked)
    kept: Answered = memory[key]
    return kept


async def narrows_nothing(asked: Asked, ask: Next, memory: Memory) -> Answered:
    if asked.path.endswith("/metrics") and isinstance(asked.body, dict):
        asked = asked.saying({name: value for name, value in asked.body.items() if name != "thread_uuid"})
    answered: Answered = await ask(asked)
    return answered


async def adds_one(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    if asked.path.endswith("/count") and answered.status == 200:
        return answered.with_data(total=answered.body["data"]["total"] + 1)
    return answered


async def is_somebody_else(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    return answered.with_data(id=999) if asked.path == "/user" and answered.status == 200 else answered


async def is_always_the_first(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked.by(DEMO) if asked.path == "/user" and by_other(asked) else asked)
    return answered


async def gives_it_away(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    if (asked.method, asked.path) == ("POST", "/prompts") and answered.status == 201:
        return answered.with_data(user={**answered.body["data"]["user"], "id": 999})
    return answered


async def calls_it_invalid(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, status=422) if asked.path.endswith("/sign-in") and answered.status == 401 else answered


async def signs_in_as_another(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    return answered.with_data(token=OTHER) if asked.path.endswith("/sign-in") and answered.status == 200 else answered


async def logs_nobody_out(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = Answered(204, {}, b"") if asked.path.endswith("/logout") else await ask(asked)
    return answered


async def knows_one_order_less(asked: Asked, ask: Next, memory: Memory) -> Answered:
    answered: Answered = await ask(asked)
    if asked.path == "/threads" and "sort_by=updated_at" in asked.query:
        return replace(answered, status=422)
    return answered


async def has_short_names(asked: Asked, ask: Next, memory: Memory) -> Answered:
    body = asked.body
    if asked.method == "POST" and isinstance(body, dict) and len(str(body.get("title", ""))) > 100:
        asked = asked.saying({})
    answered: Answered = await ask(asked)
    return answered


@pytest.mark.parametrize(
    ("law", "operation", "fault", "about"),
    [
        ("references-resolve", "retrieveThread", leads_nowhere, "data.agent"),
        ("relation-count-follows-writes", "createThread", never_counts, "Agent.threads_count"),
        ("embedded-follows-updates", "updateAgent", keeps_old_names, "retrieveThread data.agent"),
        ("action-result-is-stored", "runAgent", answers_something_else, "data.answer"),
        ("action-result-is-stored", "generateAgent", stores_no_generated, "data"),
        ("action-result-concerns-record", "triggerWebhook", starts_another, "data"),
        ("terminal-state-is-final", "stopWorkflowExecution", stops_twice, "again"),
        ("terminal-state-is-final", "stopWorkflowExecution", goes_on_after_its_stop, "stays"),
        ("sharing-grants-access", "shareAgent", shares_with_nobody, "seen"),
        ("sharing-grants-access", "shareWorkflow", lets_readers_write, "only read"),
        ("sharing-grants-access", "shareAgent", shows_agents_to_all, "before"),
        ("unsharing-revokes-access", "shareAgent", remembers_what_was_shared, ""),
        ("metric-follows-writes", "getAgentsMetrics", counts_once, "calculation=accumulated_count"),
        ("metric-follows-writes", "getWorkspacesMetrics", counts_once, "entity=agents metric=created"),
        (
            "metric-matches-list",
            "getMessagesMetrics",
            narrows_nothing,
            "calculation=accumulated_count thread_uuid",
        ),
        ("metric-parts-add-up", "countWorkflowExecutions", adds_one, ""),
        ("token-identifies-account", "getAuthenticatedUser", is_somebody_else, "self"),
        ("token-identifies-account", "getAuthenticatedUser", is_always_the_first, "other"),
        ("creator-owns-record", "createPrompt", gives_it_away, "user"),
        ("wrong-credentials-are-401", "signIn", calls_it_invalid, "nobody's"),
        ("wrong-credentials-are-401", "signIn", calls_it_invalid, "wrong"),
        ("login-token-works", "signIn", signs_in_as_another, "works"),
        ("logout-revokes-token", "logout", logs_nobody_out, "ended"),
        ("valid-parameter-accepted", "listThreads", knows_one_order_less, "sort_by updated_at"),
        ("valid-body-accepted", "storeCommandRoomTask", has_short_names, "title maxLength"),
    ],
)
def test_a_law_finds_its_fault(law: str, operation: str, fault: Any, about: str) -> None:
    assert not amiss(law, operation, fault, about)


# No false alarms ------------------------------------------------------------------------------------------------

LATE = timedelta(seconds=2)


async def shows_writes_late(asked: Asked, ask: Next, memory: Memory) -> Answered:
    """New records are retrieved, listed and counted two seconds after they were made."""
    answered: Answered = await ask(asked)
    now = mock().watch.at
    made: dict[str, datetime] = memory.setdefault("made", {})
    if asked.method == "POST" and answered.status == 201:
        made[answered.body["data"].get("uuid", "")] = now
    if asked.method != "GET" or answered.status != 200:
        return answered
    fresh = {key for key, at in made.items() if now - at < LATE}
    if asked.path.rpartition("/")[2] in fresh:
        return replace(answered, status=404, raw=b'{"message": "Not found."}')
    body = answered.body
    if isinstance(body.get("data"), list) and "meta" in body:
        rows = [row for row in body["data"] if row.get("uuid") not in fresh]
        total = body["meta"]["total"] - len(body["data"]) + len(rows)
        return answered.showing({**body, "data": rows, "meta": {**body["meta"], "total": total}})
    return answered


@pytest.mark.parametrize("law", MEANING, ids=lambda law: law.id)
def test_writes_that_are_seen_two_seconds_late_break_nothing(law: Check) -> None:
    found = judge([law], None, shows_writes_late)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in found.with_status(Status.FAILED)]


@pytest.mark.parametrize("law", MEANING, ids=lambda law: law.id)
def test_another_way_to_write_the_same_is_not_called_broken(law: Check) -> None:
    found = judge([law], None, is_written_in_php)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in found.with_status(Status.FAILED)]


# Reach and harm -------------------------------------------------------------------------------------------------

WRITING = [*rejected_input.CHECKS, *crud.CHECKS, *MEANING, *responses.CHECKS]
# Their resource can be neither made nor, being somebody's, written to.
OUT_OF_REACH = {"updateWorkspace", "deleteWorkspace"}


def snapshot() -> dict[tuple[str, str], list[Any]]:
    """Every row of every list, for both tokens."""
    lists = [o.id for o in mock().contract.operations.values() if o.action == "list"]
    return {(name, token): _rows(name, token) for name in lists for token in (DEMO, OTHER)}


def _rows(name: str, token: str) -> list[Any]:
    api, rows, page = mock(), [], 1
    while True:
        reply = api.send(name, query={"per_page": 100, "page": page}, token=token)
        rows += reply.json["data"]
        if len(reply.json["data"]) < 100:
            return rows
        page += 1


def test_all_laws_together_reach_every_operation_use_what_is_dear_once_and_leave_no_trace() -> None:
    mock().begin_anew()
    before = snapshot()
    found, session = judged(WRITING)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in found.with_status(Status.FAILED)]
    assert not found.records_not_deleted
    succeeded = Counter(name for name, status in session.call_counts.elements() if 200 <= status < 300)
    operations = session.contract.operations
    assert operations.keys() - succeeded.keys() == OUT_OF_REACH
    assert {name: succeeded[name] for name, o in operations.items() if o.effects and succeeded[name] > 1} == {}
    assert snapshot() == before


def test_what_has_effects_outside_is_not_used_unless_it_is_allowed() -> None:
    found, session = judged([*MEANING, *responses.CHECKS], effects=False)
    dear = {name for name, o in session.contract.operations.items() if o.effects}
    assert not [name for name, _ in session.call_counts if name in dear]
    assert {o.requirement.operation for o in found.with_status(Status.SKIPPED)} >= dear


def test_an_expensive_operation_is_used_as_often_as_it_may_be() -> None:
    _, session = judged([])
    operation = session.contract.operations["runPrompt"]
    session.max_effect_calls = 2
    session.charge_call(operation)
    session.charge_call(operation)
    with pytest.raises(SkipCheck, match=r"runPrompt was used 2 times, as often as it may be: --max-expensive"):
        session.charge_call(operation)


async def begins_with_workflows_off(asked: Asked, ask: Next, memory: Memory) -> Answered:
    if (asked.method, asked.path) == ("POST", "/workflows") and isinstance(asked.body, dict):
        asked = asked.saying({"is_active": False, **asked.body})
    answered: Answered = await ask(asked)
    return answered


def test_an_action_that_a_fresh_record_forbids_is_tried_on_one_with_every_flag_set() -> None:
    found, session = judged([LAWS["action-result-concerns-record"]], "triggerWebhook", begins_with_workflows_off)
    assert [o.status for o in found.results] == [Status.PASSED]
    assert session.call_counts["triggerWebhook", 409] == session.call_counts["triggerWebhook", 201] == 1


def test_every_law_has_a_name_of_its_own() -> None:
    names = Counter(law.id for law in ALL)
    assert not [name for name, times in names.items() if times > 1]
