"""Laws on what can be found, on counts from nothing, on deletions, stamps and siblings: each with its fault.

That they are kept by the sound mock and by an ordinary backend is tested with their groups.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from conformance.checks.support.check import Check
from conformance.results import Status
from tests.conformance.check_runner import LAWS, LISTED, amiss, broken, judge
from tests.conformance.test_writing_laws import item
from tests.conformance.writing_faults import Answered, Asked, Next, is_written_in_php

pytestmark = pytest.mark.slow  # each case is many requests to a mock that is served anew

DEMO = "demo-token"


def lists(asked: Asked, path: str) -> dict[str, str]:
    """The query of a list; nothing of other requests."""
    is_it = asked.method == "GET" and asked.path == path
    return dict(parse_qsl(asked.query, keep_blank_values=True)) if is_it else {}


@pytest.mark.parametrize("law", LISTED, ids=lambda law: law.id)
@pytest.mark.parametrize("dress", [None, is_written_in_php])
def test_it_is_kept_by_the_sound_mock_and_in_another_dress(law: Check, dress: Callable[..., Any] | None) -> None:
    found = judge([law], None, dress)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in found.with_status(Status.FAILED)]
    assert any(found.with_status(Status.PASSED))
    assert not found.records_not_deleted


# What can be found ----------------------------------------------------------------------------------------------


async def searches_everywhere(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """An OR without brackets: who searches finds what is anybody's."""
    loose = bool(lists(asked, "/agents").get("search"))
    answered: Answered = await ask(asked.by(DEMO) if loose else asked)
    return answered


async def filters_everywhere(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    loose = bool(lists(asked, "/messages").get("thread_uuid"))
    answered: Answered = await ask(asked.by(DEMO) if loose else asked)
    return answered


async def fails_on_an_apostrophe(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    failed = Answered(500, {"content-type": "application/json"}, b'{"message": "Server Error"}')
    return failed if "'" in lists(asked, "/agents").get("search", "") else answered


async def takes_signs_for_patterns(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """LIKE with what was sent put in as it is: signs stand for any text."""
    said = lists(asked, "/prompts")
    term = said.get("search", "")
    if "%" in term or "_" in term:
        said["search"] = term.replace("%", "_").partition("_")[0]
        asked = replace(asked, query=urlencode(said))
    answered: Answered = await ask(asked)
    return answered


async def sorts_by_when_it_was_made(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if lists(asked, "/prompts").get("sort_by") == "updated_at":
        asked = replace(asked, query=asked.query.replace("updated_at", "created_at"))
    answered: Answered = await ask(asked)
    return answered


# What a write does ----------------------------------------------------------------------------------------------


async def counts_one_too_few(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if item(asked, "GET") and asked.path.startswith("/agents/") and answered.status == 200:
        return answered.with_data(threads_count=max(0, answered.body["data"]["threads_count"] - 1))
    return answered


async def lists_a_count_of_none(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if lists(asked, "/agents") and answered.status == 200:
        rows = [{**row, "threads_count": 0} for row in answered.body["data"]]
        return answered.showing({**answered.body, "data": rows})
    return answered


async def forgets_nothing(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Threads are there still when their agent is gone."""
    answered: Answered = await ask(asked)
    if item(asked, "GET") and asked.path.startswith("/threads/"):
        if answered.status == 200:
            memory[asked.path] = answered
        kept: Answered = memory.get(asked.path, answered)
        return kept
    if (asked.method, asked.path) == ("POST", "/threads") and answered.status == 201:
        memory[f"/threads/{answered.body['data']['uuid']}"] = Answered(200, answered.headers, answered.raw)
    return answered


async def deletes_what_is_needed(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Says that it deleted what the contract has it refuse to delete."""
    answered: Answered = await ask(asked)
    return Answered(204, {}, b"") if asked.method == "DELETE" and answered.status == 409 else answered


async def refuses_to_delete_parents(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if item(asked, "DELETE") and asked.path.startswith("/agents/"):
        return Answered(409, {"content-type": "application/json"}, b'{"message": "In use."}')
    answered: Answered = await ask(asked)
    return answered


async def moves_created_within_the_second(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Stamps of whole seconds, and an update that makes created what updated is."""
    answered: Answered = await ask(asked)
    if item(asked, "GET") and answered.status == 200 and asked.path.startswith("/threads/"):
        data = answered.body["data"]
        return answered.with_data(created_at=f"{data['updated_at'][:19]}Z")
    return answered


async def updates_one_more(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """What is sent for a message is stored in the one before it too."""
    answered: Answered = await ask(asked)
    if (asked.method, asked.path) == ("POST", "/messages") and answered.status == 201:
        memory.setdefault("made", []).append(answered.body["data"]["uuid"])
    if item(asked, "PUT") and asked.path.startswith("/messages/"):
        before = [key for key in memory.get("made", []) if key not in asked.path]
        await ask(replace(asked, path=f"/messages/{before[-1]}"))
    return answered


async def deletes_one_more(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if (asked.method, asked.path) == ("POST", "/messages") and answered.status == 201:
        memory.setdefault("made", []).append(answered.body["data"]["uuid"])
    if item(asked, "DELETE") and asked.path.startswith("/messages/"):
        before = [key for key in memory.get("made", []) if key not in asked.path]
        await ask(replace(asked, path=f"/messages/{before[-1]}"))
    return answered


def dated(hours: float) -> Callable[..., Any]:
    """An answer whose Date is so far from the stamps."""

    async def fault(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
        answered: Answered = await ask(asked)
        if asked.method == "POST" and answered.status == 201:
            made = datetime.fromisoformat(answered.body["data"]["created_at"]) + timedelta(hours=hours, seconds=20)
            return Answered(201, {**answered.headers, "date": format_datetime(made)}, answered.raw)
        return answered

    return fault


async def takes_null(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Null for a text that may not be null is as nothing."""
    if asked.method == "PUT" and isinstance(asked.body, dict):
        asked = asked.saying({n: v for n, v in asked.body.items() if v is not None})
    answered: Answered = await ask(asked)
    return answered


async def is_ascii_only(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if asked.method == "PUT" and not str(asked.body.get("name", "")).isascii():
        refusal = b'{"message": "Invalid.", "errors": {"name": ["Invalid."]}}'
        return Answered(422, {"content-type": "application/json"}, refusal)
    answered: Answered = await ask(asked)
    return answered


async def knows_no_months(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if "granularity=monthly" in asked.query:
        refusal = b'{"message": "Invalid.", "errors": {"granularity": ["Invalid."]}}'
        return Answered(422, {"content-type": "application/json"}, refusal)
    answered: Answered = await ask(asked)
    return answered


async def lets_strangers_run(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Any bearer will do for what calls a model."""
    stranger = asked.headers.get("authorization", "").startswith("Bearer conformance")
    answered: Answered = await ask(asked.by(DEMO) if stranger else asked)
    return answered


async def lets_strangers_count(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    basic = asked.path == "/workspaces/metrics" and asked.headers.get("authorization", "").startswith("Basic")
    answered: Answered = await ask(asked.by(DEMO) if basic else asked)
    return answered


@pytest.mark.parametrize(
    ("law", "operation", "fault", "about"),
    [
        ("search-hides-other-tenants", "listAgents", searches_everywhere, "search:name"),
        ("search-hides-other-tenants", "listAgents", searches_everywhere, "search:description"),
        ("search-hides-other-tenants", "listMessages", filters_everywhere, "thread_uuid:thread.uuid"),
        ("any-search-text-accepted", "listAgents", fails_on_an_apostrophe, "an apostrophe"),
        ("search-wildcards-are-literal", "listPrompts", takes_signs_for_patterns, "%"),
        ("search-wildcards-are-literal", "listPrompts", takes_signs_for_patterns, "_"),
        ("sort-by-update-time-correct", "listPrompts", sorts_by_when_it_was_made, "sort_by=updated_at"),
        ("relation-count-starts-at-zero", "createThread", counts_one_too_few, "Agent.threads_count"),
        ("relation-count-starts-at-zero", "createThread", lists_a_count_of_none, "Agent.threads_count"),
        ("on-delete-rule-applied", "deleteAgent", forgets_nothing, "Thread.agent cascade"),
        ("on-delete-rule-applied", "deleteAgent", refuses_to_delete_parents, "Thread.agent cascade"),
        ("on-delete-rule-applied", "deleteProvider", deletes_what_is_needed, "Account.provider refuse"),
        ("created-timestamp-constant", "updateThread", moves_created_within_the_second, "created_at"),
        ("created-timestamp-correct", "createThread", dated(-2), "created_at"),
        ("created-timestamp-correct", "createThread", dated(5.5), "created_at"),
        ("writes-leave-others-unchanged", "updateMessage", updates_one_more, "one of another parent"),
        ("writes-leave-others-unchanged", "deleteMessage", deletes_one_more, "one of another parent"),
        ("invalid-field-is-422", "updatePrompt", takes_null, "name nullable"),
        ("valid-body-accepted", "updatePrompt", is_ascii_only, "name type beyond ASCII"),
        ("valid-parameter-accepted", "getWorkspacesMetrics", knows_no_months, "granularity monthly"),
        ("unauthenticated-access-denied", "runAgent", lets_strangers_run, "a token that nobody has"),
        ("unauthenticated-access-denied", "getWorkspacesMetrics", lets_strangers_count, "another scheme"),
    ],
)
def test_a_law_finds_its_fault(law: str, operation: str, fault: Any, about: str) -> None:
    assert not amiss(law, operation, fault, about)


@pytest.mark.parametrize(("hours", "kept"), [(0.0, True), (0.1, False), (500, False)])
def test_a_clock_that_is_off_by_no_zone_is_not_judged(hours: float, kept: bool) -> None:
    found = judge([LAWS["created-timestamp-correct"]], "createThread", dated(hours))
    assert [o.status for o in found.results] == [Status.PASSED if kept else Status.SKIPPED]


def test_what_is_dear_is_given_away_once_to_strangers_in_each_judging() -> None:
    asked: list[str] = []

    async def counts(request: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
        answered: Answered = await ask(request.by(DEMO))
        if request.path.endswith("/run") and answered.status < 300:
            asked.append(request.headers.get("authorization", ""))
        return answered

    assert broken("unauthenticated-access-denied", "runAgent", counts)
    assert set(asked) == {""}
