"""Laws on refusals and on any answer: kept on the sound mock, and each broken by a fault of its own."""

from dataclasses import replace
from typing import Any

import pytest

from conformance.checks.support.check import Check
from conformance.checks.validation import rejected_input, responses
from conformance.results import Status
from tests.conformance.judging import LAWS, amiss, broken, judge, judged
from tests.conformance.writing_faults import Answered, Asked, Next

DEMO = "demo-token"


@pytest.mark.parametrize("law", [*rejected_input.CHECKS, *responses.CHECKS], ids=lambda law: law.id)
def test_a_law_is_kept_by_the_sound_mock(law: Check) -> None:
    found = judge([law])
    assert not [f"{o.requirement.fingerprint}: {o.message}" for o in found.with_status(Status.FAILED)]
    assert any(found.with_status(Status.PASSED))
    assert not found.records_not_deleted


async def fails(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, status=500) if asked.method == "GET" and answered.status == 200 else answered


async def shows_its_inside(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    trace = {"message": "Server Error", "exception": "QueryException", "trace": []}
    return replace(answered, status=500).showing(trace) if asked.method == "GET" else answered


async def answers_another_status(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, status=202) if answered.status == 200 else answered


async def answers_as_html(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, headers={**answered.headers, "content-type": "text/html"})


async def leaves_a_property_out(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if asked.method != "GET" or answered.status != 200:
        return answered
    body = answered.body
    for row in body["data"]:
        del row["content"]
    return answered.showing(body)


async def takes_anybody(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    known: Answered = await ask(asked.by(DEMO))
    return known


async def forbids_strangers(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, status=403) if answered.status == 401 else answered


async def knows_no_tenants(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Any token gets everything; who it is, and the tenants that it enters, are still told right."""
    apart = asked.path.startswith(("/user", "/workspaces")) or "authorization" not in asked.headers
    known: Answered = await ask(asked if apart else asked.by(DEMO))
    return known


async def finds_everything(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, status=200) if answered.status == 404 else answered


async def allows_silently(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, headers={n: v for n, v in answered.headers.items() if n != "allow"})


async def calls_it_unprocessable(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, status=422) if answered.status in (400, 415) else answered


async def ignores_the_page_size(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    query = "&".join(pair for pair in asked.query.split("&") if not pair.startswith("per_page="))
    answered: Answered = await ask(replace(asked, query=query))
    return answered


async def names_another_field(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if answered.status != 422:
        return answered
    body = answered.body
    return answered.showing({**body, "errors": {"something": next(iter(body["errors"].values()))}})


async def cuts_long_names(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    body = asked.body
    if isinstance(body, dict) and isinstance(body.get("name"), str):
        asked = asked.saying({**body, "name": body["name"][:255]})
    answered: Answered = await ask(asked)
    return answered


async def takes_another_scheme(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    basic = asked.headers.get("authorization", "").startswith("Basic")
    answered: Answered = await ask(asked.by(DEMO) if basic else asked)
    return answered


async def logs_nobody_out(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = Answered(204, {}, b"") if asked.path.endswith("/logout") else await ask(asked)
    return answered


async def has_a_page_for_everything(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, status=200) if asked.path.startswith("/conformance") else answered


async def looks_not_into_files(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    body = asked.body
    if isinstance(body, dict) and isinstance(body.get("files"), list):
        asked = asked.saying({name: value for name, value in body.items() if name != "files"})
    answered: Answered = await ask(asked)
    return answered


@pytest.mark.parametrize(
    ("law", "operation", "fault", "about"),
    [
        ("no-server-error", "listAgents", fails, ""),
        ("no-traceback", "retrievePrompt", shows_its_inside, "500"),
        ("status-is-documented", "retrieveAgent", answers_another_status, "202"),
        ("content-type-is-json", "listThreads", answers_as_html, "200"),
        ("response-matches-schema", "listMessages", leaves_a_property_out, "data.[] content"),
        ("unauthenticated-access-denied", "listAgents", takes_anybody, "no token"),
        ("unauthenticated-is-401", "deleteAgent", forbids_strangers, "no token"),
        ("tenant-isolation", "retrievePrompt", knows_no_tenants, ""),
        ("tenant-isolation", "updatePrompt", knows_no_tenants, ""),
        ("tenant-isolation", "deletePrompt", knows_no_tenants, ""),
        ("tenant-isolation", "listMessages", knows_no_tenants, ""),
        ("tenant-isolation", "triggerWebhook", knows_no_tenants, ""),
        ("tenant-isolation", "createMessage", knows_no_tenants, ""),
        ("unauthenticated-access-denied", "listPrompts", logs_nobody_out, "a logged-out token"),
        ("unauthenticated-access-denied", "retrieveAgent", takes_another_scheme, "another scheme"),
        ("unauthenticated-access-denied", "deletePrompt", takes_another_scheme, "another scheme"),
        ("unknown-path-is-404", "retrieveWorkspace", has_a_page_for_everything, ""),
        ("invalid-field-is-422", "createMessage", looks_not_into_files, "files.0.key type"),
        ("unknown-record-is-404", "retrieveThread", finds_everything, ""),
        ("unsupported-method-is-405", "listAgents", allows_silently, "put"),
        ("malformed-json-is-400", "createPrompt", calls_it_unprocessable, ""),
        ("unsupported-media-type-is-415", "updatePrompt", calls_it_unprocessable, ""),
        ("invalid-parameter-is-422", "listAgents", ignores_the_page_size, "per_page minimum"),
        ("invalid-field-is-422", "createMessage", names_another_field, "content required"),
        ("invalid-field-is-422", "updateAgent", cuts_long_names, "name maxLength"),
    ],
)
def test_a_law_finds_its_fault(law: str, operation: str, fault: Any, about: str) -> None:
    assert not amiss(law, operation, fault, about)


def test_a_cut_name_is_the_only_thing_that_is_found() -> None:
    found = broken("invalid-field-is-422", "updateAgent", cuts_long_names)
    assert [o.requirement.parameter for o in found] == ["name maxLength"]
    assert "answered 200, due: 422" in found[0].message


def test_a_property_that_an_example_shows_is_told_with_its_place() -> None:
    (found,) = broken("response-matches-schema", "listMessages", leaves_a_property_out)
    assert found.requirement.pointer == "#/components/schemas/Message"
    assert found.requirement.provenance == "documented"
    assert found.requirement.is_blocking(strict=False)


def test_a_token_of_the_same_tenant_judges_no_tenant_and_says_so() -> None:
    tokens = {"self": DEMO, "other": "viewer-token"}
    found, _ = judged([LAWS["tenant-isolation"]], "retrievePrompt", tokens=tokens)
    (outcome,) = found.results
    assert outcome.status is Status.SKIPPED
    assert outcome.message == "the other token enters the same Workspace: --other-token-env"
