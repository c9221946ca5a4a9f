"""Laws on writes: kept on the sound mock, and each broken by a fault of its own."""

import json
from typing import Any

import pytest

from conformance.checks.support.check import Check
from conformance.checks.support.values import contains, equal
from conformance.checks.writes import crud
from conformance.results import Status
from tests.conformance.check_runner import LAWS, amiss, broken, judge
from tests.conformance.writing_faults import Answered, Asked, Next, is_written_in_php

DEMO = "demo-token"


@pytest.mark.parametrize("law", crud.CHECKS, ids=lambda law: law.id)
def test_a_law_is_kept_by_the_sound_mock(law: Check) -> None:
    found = judge([law])
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in found.with_status(Status.FAILED)]
    # In process no server puts a Date into an answer: see test_further_laws.
    assert any(found.with_status(Status.PASSED)) or {o.message for o in found.results} == {"the answer has no Date"}
    assert not found.records_not_deleted


def item(asked: Asked, method: str) -> bool:
    """Whether a request is about one record."""
    return asked.method == method and asked.path.count("/") == 2


def days(count: int) -> str:
    return f"2026-01-{1 + count % 28:02d}T00:00:00Z"


async def forgets_the_description(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    body = asked.body
    if asked.method == "POST" and isinstance(body, dict):
        asked = asked.saying({n: v for n, v in body.items() if n != "description"})
    answered: Answered = await ask(asked)
    return answered


async def stores_nothing(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Lists without what was created."""
    answered: Answered = await ask(asked)
    if asked.method == "GET" and asked.path == "/prompts":
        return answered.showing({**answered.body, "data": []})
    return answered


async def has_three_bytes_a_character(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if asked.method == "POST":
        text = json.dumps(json.loads(answered.raw), ensure_ascii=False)
        return answered.showing(json.loads("".join(c if ord(c) < 0x10000 else "?" for c in text)))
    return answered


async def lists_no_child(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if asked.method == "GET" and "thread_uuid=" in asked.query:
        return answered.showing({**answered.body, "data": []})
    return answered


async def gives_one_key(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    key = "00000000-0000-4000-8000-000000000001"
    return answered.with_data(uuid=key) if asked.method == "POST" else answered


async def takes_stamps(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if asked.method == "POST" and "created_at" in asked.body:
        return answered.with_data(created_at=asked.body["created_at"])
    return answered


async def overwrites_the_description(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if asked.method == "PUT" and "description" not in asked.body:
        asked = asked.saying({**asked.body, "description": f"written over by {asked.body}"})
    answered: Answered = await ask(asked)
    return answered


async def counts_updates(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if asked.method == "PUT" and "name" in asked.body:
        memory["count"] = memory.get("count", 0) + 1
        asked = asked.saying({**asked.body, "name": f"{memory['count']}"})
    answered: Answered = await ask(asked)
    return answered


async def stores_before_it_refuses(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if asked.method == "PUT" and answered.status == 422:
        await ask(asked.saying({"name": asked.body["name"]}))
    return answered


async def writes_for_strangers(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if asked.method == "PUT" and answered.status == 401:
        await ask(asked.by(DEMO))
    return answered


async def moves_created(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    memory["puts"] = memory.get("puts", 0) + (asked.method == "PUT")
    return answered.with_data(created_at=days(memory["puts"])) if item(asked, "GET") else answered


async def turns_updated_back(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    memory["puts"] = memory.get("puts", 0) + (asked.method == "PUT")
    return answered.with_data(updated_at=days(20 - memory["puts"])) if item(asked, "GET") else answered


async def stamps_no_update(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if item(asked, "GET") and answered.status == 200:
        stamp = memory.setdefault(asked.path, answered.body["data"]["updated_at"])
        return answered.with_data(updated_at=stamp)
    return answered


async def stamps_when_read(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    memory["reads"] = memory.get("reads", 0) + 1
    return answered.with_data(updated_at=days(memory["reads"])) if item(asked, "GET") else answered


async def updates_siblings(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """An update without its WHERE."""
    answered: Answered = await ask(asked)
    if item(asked, "PUT"):
        memory["name"] = asked.body["name"]
    return answered.with_data(**memory) if item(asked, "GET") and answered.status == 200 else answered


async def deletes_nothing(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if asked.method != "DELETE":
        answered: Answered = await ask(asked)
        return answered
    return Answered(204, {}, b"")


async def creates_twice(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if (asked.method, asked.path) == ("POST", "/workflows"):
        await ask(asked)
    answered: Answered = await ask(asked)
    return answered


@pytest.mark.parametrize(
    ("law", "operation", "fault", "about"),
    [
        ("reads-have-no-side-effects", "retrieveAgent", stamps_when_read, ""),
        ("create-adds-one-record", "createWorkflow", creates_twice, ""),
        ("create-is-stored", "createAgent", forgets_the_description, "description"),
        ("create-is-stored", "createPrompt", stores_nothing, "in the list"),
        ("text-round-trip", "createMessage", has_three_bytes_a_character, "content emoji"),
        ("child-listed-by-parent", "createMessage", lists_no_child, "thread_uuid"),
        ("identifiers-are-unique", "createPrompt", gives_one_key, ""),
        ("server-set-fields-protected", "createPrompt", takes_stamps, "created_at"),
        ("update-changes-only-sent-fields", "updateAgent", overwrites_the_description, "name"),
        ("update-is-idempotent", "updateAgent", counts_updates, ""),
        ("rejected-write-has-no-effect", "updateAgent", stores_before_it_refuses, "description"),
        ("rejected-write-has-no-effect", "updatePrompt", writes_for_strangers, "token"),
        ("created-timestamp-constant", "updateAgent", moves_created, "created_at"),
        ("updated-timestamp-monotonic", "updateThread", turns_updated_back, "updated_at"),
        ("updated-timestamp-advances", "updateThread", stamps_no_update, "updated_at"),
        ("writes-leave-others-unchanged", "updatePrompt", updates_siblings, "Prompt"),
        ("delete-removes-record", "deleteThread", deletes_nothing, "retrieve"),
        ("delete-removes-record", "deleteThread", deletes_nothing, "list"),
        ("delete-removes-record", "deleteThread", deletes_nothing, "delete"),
    ],
)
def test_a_law_finds_its_fault(law: str, operation: str, fault: Any, about: str) -> None:
    assert not amiss(law, operation, fault, about)


def test_an_emoji_that_is_lost_is_found_in_a_documented_field() -> None:
    found = broken("text-round-trip", "createMessage", has_three_bytes_a_character)
    assert {o.requirement.parameter for o in found} == {"content emoji"}
    assert {o.requirement.provenance for o in found} == {"documented"}


# These compare what was sent with what is shown, record by record; the slow tests ask the others too.
COMPARING = ("create-is-stored", "update-changes-only-sent-fields", "updated-timestamp-monotonic")
DRESSED = [pytest.param(law, id=law.id, marks=() if law.id in COMPARING else pytest.mark.slow) for law in crud.CHECKS]


@pytest.mark.parametrize("law", DRESSED)
def test_another_way_to_write_the_same_is_not_called_broken(law: Check) -> None:
    found = judge([LAWS[law.id]], None, is_written_in_php)
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in found.with_status(Status.FAILED)]


def test_values_that_say_the_same() -> None:
    assert equal({"a": 1, "b": [1.0]}, {"b": [1], "a": 1.0})
    assert equal("2026-01-15T10:30:00Z", "2026-01-15T10:30:00.999999+00:00")
    assert equal(" text ", "text")
    assert not equal(True, 1)
    assert not equal("one", "two")
    assert contains({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}})
    assert not contains({"a": 1}, {})
