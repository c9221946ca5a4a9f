"""The Schemathesis engine: no failures on the mock, failures on faults, no harmful writes, deterministic by seed."""

import _thread
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from schemathesis.checks import CHECKS as FUNCTIONS
from schemathesis.checks import load_all_checks
from starlette.types import ASGIApp

from conformance.errors import BudgetExhausted, TargetUnreachable, UsageError
from conformance.results import CheckResult, Status
from conformance.schemathesis_engine import DEEP, GATE, SMOKE, Depth, EngineResult, run_engine
from conformance.schemathesis_engine.adapter import DISABLED_CHECKS
from conformance.schemathesis_engine.checks import ENGINE_CHECKS
from conformance.schemathesis_engine.violation_location import find_violations
from conformance.schemathesis_engine.write_guard import BlockedRequest, CaseRequest, WriteGuard
from conformance.session.session import Session
from conformance.transport.client import Budget
from conformance.transport.messages import Request, Response
from mock_server.store import StoredRecord
from tests.conformance.check_runner import mock
from tests.conformance.served import session
from tests.conformance.writing_faults import Answered, Asked, Faulty, Next
from tests.mock_server import library

pytestmark = pytest.mark.slow  # each test is a complete engine run

COVERAGE = Depth(("examples", "coverage"), reruns=1)
SOME = Depth(("examples", "coverage", "fuzzing", "stateful"), max_examples=3, max_steps=4, reruns=1)
Fault = Callable[[Asked, Next, dict[str, Any]], Any]


@dataclass(slots=True)
class Recording:
    """A target that records requests; after `max_requests` it raises `error`."""

    target: Any
    most: int = 10**9
    error: BaseException | None = None
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return str(self.target.base)

    def send(self, request: Request) -> Response:
        if len(self.asked) >= self.most and self.error is not None:
            raise self.error
        body = request.raw_body.decode("utf-8", "replace") if request.raw_body is not None else json.dumps(request.body)
        self.asked.append((request.method, request.target, body))
        answer: Response = self.target.send(request)
        return answer


def begun(fault: Fault | None = None, *, read_only: bool = False) -> Session:
    """A session on a reset mock, optionally with a fault."""
    api = mock()
    api.begin_anew()
    app: ASGIApp = Faulty(api.app, fault) if fault else api.app
    return session(app, api.contract, schemas=api.schemas, read_only=read_only)


def found(run: Session, *names: str, depth: Depth = COVERAGE, seed: int = 1) -> list[EngineResult]:
    """Run the engine on some operations, or on all."""
    asked = [o for o in run.contract.operations.values() if not names or o.id in names]
    return list(run_engine(run, asked, seed=seed, depth=depth, on_result=lambda outcome: None))


def broken(those: list[EngineResult]) -> list[EngineResult]:
    return [one for one in those if one.result.status is Status.FAILED]


def told(those: list[EngineResult]) -> list[str]:
    """Describe the failed results."""
    return [f"{one.result.requirement.fingerprint}: {one.result.message}" for one in broken(those)]


def everything() -> dict[tuple[str, str], StoredRecord]:
    """Every record in the mock's store."""
    api = mock()
    rows = ((name, api.world.store.select(name, "1")) for name in api.contract.resources)
    return {(name, str(record.key)): record for name, records in rows for record in records}


# Conforming targets


async def hears_the_bearer_alone(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Ignore the other scheme if the bearer token is valid."""
    headers = {name: value for name, value in asked.headers.items() if name != "x-multiplai-authorization"}
    good = asked.headers.get("authorization") == "Bearer demo-token"
    answered: Answered = await ask(replace(asked, headers=headers) if good else asked)
    return answered


def test_one_satisfied_security_scheme_is_sufficient() -> None:
    those = found(begun(hears_the_bearer_alone), "getAuthenticatedUserByAppToken")
    assert any(one.result.requirement.check == "engine-ignored-auth" for one in those)
    assert not told(those)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mock_has_no_failures(seed: int) -> None:
    before, run = begun_with_all()
    those = found(run, depth=GATE, seed=seed)
    assert not told(those)
    assert not run.clean_up()
    assert {key: record for key, record in everything().items() if key in before} == before


def begun_with_all() -> tuple[dict[tuple[str, str], StoredRecord], Session]:
    run = begun()
    return everything(), run


def test_smoke_run_has_no_failures_and_deletes_its_records() -> None:
    run = begun()
    those = found(run, depth=SMOKE)
    assert not told(those)
    assert sum(one.result.status is Status.PASSED for one in those) > 200
    assert not run.clean_up()


# Faults


async def fails_on_long_names(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    body = asked.body
    if asked.method == "POST" and isinstance(body, dict) and len(str(body.get("name", ""))) > 200:
        return Answered(500, {"content-type": "application/json"}, b'{"message":"Server Error"}')
    answered: Answered = await ask(asked)
    return answered


async def is_a_teapot(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, status=418) if asked.method == "GET" and answered.status == 200 else answered


async def shows_a_number(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return answered.with_data(name=7) if asked.method == "POST" and answered.status == 201 else answered


async def knows_everybody(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked.by("demo-token"))
    return answered


async def says_no_media_type(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    return replace(answered, headers={n: v for n, v in answered.headers.items() if n != "content-type"})


async def takes_any_name(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    body = asked.body
    if isinstance(body, dict) and "name" in body and not isinstance(body["name"], str):
        asked = asked.saying({**body, "name": "taken"})
    answered: Answered = await ask(asked)
    return answered


async def takes_any_page(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(replace(asked, query=re.sub(r"(^|&)per_page=[^&]*", "", asked.query)))
    return answered


async def deletes_nothing(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if asked.method == "DELETE":
        answered = await ask(replace(asked, method="GET"))
        return Answered(204, {}, b"") if answered.status == 200 else answered
    kept: Answered = await ask(asked)
    return kept


def refusal(name: str) -> Answered:
    said = {"message": "The given data was invalid.", "errors": {name: ["The field is invalid."]}}
    return Answered(422, {"content-type": "application/json"}, json.dumps(said).encode())


async def refuses_tags(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    if asked.method == "POST" and isinstance(asked.body, dict) and "tags" in asked.body:
        return refusal("tags")
    answered: Answered = await ask(asked)
    return answered


async def shows_its_stack(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if answered.status == 422:
        return answered.showing({**answered.body, "message": "SQLSTATE[22001]: too long"})
    return answered


@pytest.mark.parametrize(
    ("check", "operation", "fault", "pointer", "parameter"),
    [
        ("not-a-server-error", "createPrompt", fails_on_long_names, "#/paths/~1prompts/post", ""),
        ("no-traceback", "createPrompt", shows_its_stack, "#/paths/~1prompts/post", None),
        ("status-code-conformance", "listPrompts", is_a_teapot, "#/paths/~1prompts/get/responses", "418"),
        (
            "response-schema-conformance",
            "createPrompt",
            shows_a_number,
            "/properties/name",
            "data.name integer",
        ),
        ("ignored-auth", "listPrompts", knows_everybody, "#/paths/~1prompts/get", ""),
        ("ignored-auth", "createPrompt", knows_everybody, "#/paths/~1prompts/post", ""),
        ("content-type-conformance", "listPrompts", says_no_media_type, None, "200"),
        ("positive-data-acceptance", "createPrompt", refuses_tags, "#/paths/~1prompts/post/responses", "422"),
        ("negative-data-rejection", "createPrompt", takes_any_name, "/properties/name", "name"),
        ("negative-data-rejection", "listPrompts", takes_any_page, "/schema", "per_page"),
    ],
)
def test_check_detects_fault(
    check: str, operation: str, fault: Fault, pointer: str | None, parameter: str | None
) -> None:
    those = [one for one in broken(found(begun(fault), operation)) if one.result.requirement.check == f"engine-{check}"]
    assert those
    assert {one.result.requirement.operation for one in those} == {operation}
    assert all(one.result.message and one.result.evidence and one.failed_runs == one.total_runs == 2 for one in those)
    assert parameter in (None, *(one.result.requirement.parameter for one in those))
    assert any(one.result.requirement.pointer.endswith(pointer or "") for one in those)


def test_use_after_free_is_detected_in_stateful_phase() -> None:
    depth = Depth(("stateful",), max_examples=30, max_steps=6, reruns=1)
    those = broken(found(begun(deletes_nothing), "createPrompt", "retrievePrompt", "deletePrompt", depth=depth))
    laws = {one.result.requirement.check: one for one in those}
    assert "engine-use-after-free" in laws
    one = laws["engine-use-after-free"]
    assert [shown.request.method for shown in one.result.evidence][-2:] == ["delete", "get"]
    assert one.failed_runs == one.total_runs


@pytest.mark.parametrize(
    ("status", "expected", "stumbles"),
    [(418, [("engine-status-code-conformance", 1, 2)], 0), (500, [], 1)],  # a 500 is retried at once
)
def test_transient_failure_is_not_deterministic(
    status: int, expected: list[tuple[str, int, int]], stumbles: int
) -> None:
    async def fails_once(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
        memory["count"] = memory.get("count", 0) + 1
        if memory["count"] == 20:
            return Answered(status, {"content-type": "application/json"}, b'{"message":"Odd"}')
        answered: Answered = await ask(asked)
        return answered

    run = begun(fails_once)
    those = broken(found(run, "listPrompts"))
    assert [(one.result.requirement.check, one.failed_runs, one.total_runs) for one in those] == expected
    assert len(run.retrier.recovered) == stumbles


def test_server_error_is_blocking() -> None:
    those = broken(found(begun(fails_on_long_names), "createPrompt"))
    assert all(one.result.requirement.is_blocking(strict=False) for one in those)


# Common server behavior


async def is_laravel(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Trim texts and convert integral floats."""
    body = asked.body
    if isinstance(body, dict):
        asked = asked.saying({name: trimmed(value) for name, value in body.items()})
    answered: Answered = await ask(asked)
    return answered


def trimmed(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def test_server_that_trims_texts_passes() -> None:
    assert not told(found(begun(is_laravel), "createPrompt", "updatePrompt", "createThread", depth=SOME))


@pytest.mark.parametrize(
    ("name", "broken"), [("with[]", True), ("with", True), ("filters[]", False), ("filters", True)]
)
def test_brackets_are_accepted_for_arrays_only(name: str, broken: bool) -> None:
    run = begun()
    asked = next(
        o for o in run.contract.operations.values() if name.removesuffix("[]") in {p.name for p in o.parameters}
    )
    places = find_violations(run, asked, Request(asked.id, "get", asked.path, {}, ((name, "\U00033af6"),)))
    assert (name.removesuffix("[]") in {place.parameter for place in places}) is broken


async def refuses_odd_texts(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Reject control characters, long texts and blank texts."""
    name = asked.body.get("name") if isinstance(asked.body, dict) else None
    if isinstance(name, str) and (len(name) > 100 or not name.isprintable() or not name.strip()):
        return refusal("name")
    answered: Answered = await ask(asked)
    return answered


def test_server_that_rejects_unusual_texts_passes() -> None:
    assert not told(found(begun(refuses_odd_texts), "createPrompt", "updatePrompt"))


async def routes_as_frameworks_do(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """OPTIONS allows every method; GET of an unknown path below /agents is 404."""
    if asked.method == "OPTIONS":
        return Answered(200, {"allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}, b"")
    answered: Answered = await ask(asked)
    if asked.method == "GET" and answered.status == 405 and asked.path.startswith("/agents/"):
        return Answered(404, {"content-type": "application/json"}, b'{"message":"No query results"}')
    return answered


def test_router_that_combines_routes_passes() -> None:
    names = ("createPrompt", "updatePrompt", "getAgentsMetrics", "generateAgent")
    assert not told(found(begun(routes_as_frameworks_do), *names))


async def hides_from_strangers(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    answered: Answered = await ask(asked)
    if answered.status == 401:
        return Answered(404, {"content-type": "application/json"}, b'{"message":"Not found"}')
    return answered


def test_404_instead_of_401_is_not_ignored_auth() -> None:
    those = broken(found(begun(hides_from_strangers), "retrievePrompt"))
    assert "engine-ignored-auth" not in {one.result.requirement.check for one in those}


async def cannot_sign_in(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    return Answered(500, {"content-type": "application/json"}, b'{"message":"Server Error"}')


def test_failure_of_limited_operation_is_rerun() -> None:
    those = broken(found(begun(cannot_sign_in), "signIn"))
    assert "engine-not-a-server-error" in {one.result.requirement.check for one in those}
    assert all(one.failed_runs == one.total_runs for one in those)


# No harmful writes


def test_existing_records_are_not_changed() -> None:
    names = ("updatePrompt", "deletePrompt", "listPrompts", "createMessage", "updateMessage", "deleteMessage", "logout")
    before, run = begun_with_all()
    recording = Recording(run.target)
    run.target = recording
    found(run, *names, "listMessages", "updateWorkspace", "deleteWorkspace", depth=SOME)
    foreign = {key for _, key in before}
    for method, target, _ in recording.asked:
        named = target.partition("?")[0].rpartition("/")[2]
        assert method not in ("put", "delete") or named not in foreign, f"{method} {target}"
    assert not run.clean_up()
    assert {key: record for key, record in everything().items() if key in before} == before


def test_blocked_operation_is_skipped_with_reason() -> None:
    those = found(begun(), "deleteWorkspace", "logout")
    missed = {o.requirement.operation: o.message for o in (one.result for one in those) if o.status is Status.SKIPPED}
    assert missed["deleteWorkspace"] == "the contract has no operation to create a Workspace"
    assert missed["logout"] == "the contract defines no operation to create what logout acts on"


def test_effects_are_skipped_and_read_only_run_only_reads() -> None:
    run = begun(read_only=True)
    recording = Recording(run.target)
    run.target = recording
    those = found(run, "shareAgent", "createPrompt", "listPrompts")
    assert {method for method, _, _ in recording.asked} <= {"get", "options"}
    said = {o.requirement.operation: o.message for o in (one.result for one in those) if o.status is Status.SKIPPED}
    assert said == {"shareAgent": "the run is read-only", "createPrompt": "the run is read-only"}
    assert [o.result.message for o in found(begun(), "shareAgent")] == [
        "shareAgent has effects outside (mail): --allow-effects"
    ]


def test_sign_in_calls_are_limited() -> None:
    run = begun()
    found(run, "signIn", depth=SOME)
    assert 0 < sum(times for (name, _), times in run.call_counts.items() if name == "signIn") <= 5


def test_texts_have_marker_and_addresses_are_reserved() -> None:
    run = begun()
    recording = Recording(run.target)
    run.target = recording
    found(run, "createPrompt", "createWorkflow", "createAgent", depth=SOME)
    made = [body for method, _, body in recording.asked if method == "post"]
    assert sum(run.payloads.marker in body for body in made) > len(made) / 5
    addresses = {found for body in made for found in re.findall(r'"[a-z]+://([^/"?#]+)', body)}
    assert addresses <= {"example.com"} or all(one.endswith(("example.com", ".invalid")) for one in addresses)


# Determinism and aborts


def asked_with(seed: int) -> list[tuple[str, str, str]]:
    """The requests to a reset mock, with identifiers replaced by placeholders."""
    run = begun()
    recording = Recording(run.target)
    run.target = recording
    found(run, "createPrompt", "retrievePrompt", "updatePrompt", "deletePrompt", depth=SOME, seed=seed)
    names: dict[str, str] = {}

    def placeholder(match: re.Match[str]) -> str:
        return names.setdefault(match.group(), f"<{len(names)}>")

    uuid = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
    return [
        (method, uuid.sub(placeholder, target), uuid.sub(placeholder, body)) for method, target, body in recording.asked
    ]


def test_equal_seeds_send_equal_requests() -> None:
    first = asked_with(1)
    assert len(first) > 100
    assert asked_with(1) == first
    assert asked_with(2) != first


@pytest.mark.parametrize("error", [BudgetExhausted("used up"), TargetUnreachable("gone"), KeyboardInterrupt()])
def test_abort_error_stops_the_engine(error: BaseException) -> None:
    run = begun()
    run.target = Recording(run.target, 40, error)
    asked = [o for o in run.contract.operations.values() if "rompt" in o.id]
    heard: list[CheckResult] = []
    with pytest.raises(type(error)):
        list(run_engine(run, asked, seed=1, depth=COVERAGE, on_result=heard.append))
    assert any(outcome.status is Status.PASSED for outcome in heard)
    assert not any(outcome.status is Status.FAILED for outcome in heard)


def test_failure_without_rerun_is_inconclusive() -> None:
    run = begun(is_a_teapot)
    run.target = Recording(run.target, 15, BudgetExhausted("used up"))
    heard: list[CheckResult] = []
    with pytest.raises(BudgetExhausted):
        list(run_engine(run, [run.contract.operations["listPrompts"]], seed=1, depth=COVERAGE, on_result=heard.append))
    assert not any(outcome.status is Status.FAILED for outcome in heard)
    assert any(outcome.message.startswith("failed once") for outcome in heard)


def test_budget_includes_engine_requests() -> None:
    run = begun()
    run.target.budget = Budget(25, None)  # type: ignore[attr-defined]
    with pytest.raises(BudgetExhausted):
        found(run, "listPrompts")


def test_engine_writes_no_files_and_restores_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = hypothesis.settings.default
    found(begun(), "createPrompt", depth=SOME)
    assert hypothesis.settings.default == before
    assert not list(tmp_path.iterdir())


def test_schemathesis_import_is_deferred() -> None:
    code = "import sys, conformance.schemathesis_engine, conformance.cli.main; print('schemathesis' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert ran.stdout.strip() == "False"


def test_missing_schemathesis_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("conformance.schemathesis_engine.results")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "schemathesis.core.failures", None)
    with pytest.raises(UsageError, match=r"needs the package 'schemathesis.*athena-contract\[engine"):
        found(begun(), "listPrompts")


def test_installed_schemathesis_version_is_pinned() -> None:
    said = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert said["project"]["optional-dependencies"]["engine"] == [f"schemathesis=={version('schemathesis')}"]


def test_every_schemathesis_check_is_mapped_or_disabled() -> None:
    load_all_checks()
    assert set(FUNCTIONS.get_all_names()) - set(DISABLED_CHECKS) == {
        name for name in ENGINE_CHECKS if name != "no_traceback"
    }
    assert all(
        check.requirement.endswith(".") and check.check_id.startswith("engine-") for check in ENGINE_CHECKS.values()
    )


def test_interrupt_stops_the_engine() -> None:
    run = begun()

    class Interrupting(Recording):
        def send(self, request: Request) -> Response:
            if len(self.asked) == 30:
                _thread.interrupt_main()
            return Recording.send(self, request)

    run.target = Interrupting(run.target)
    with pytest.raises(KeyboardInterrupt):
        found(run, "listPrompts", "createPrompt", "listAgents", depth=SOME)


# Write guard


def guarded(path: str, operation: str = "updatePrompt", body: Any = None) -> CaseRequest:
    run = begun()
    guard = WriteGuard(run, 1)
    sent = CaseRequest({"uuid": path}, {}, {"name": "x"} if body is None else body, is_valid=True)
    return guard.authorize(run.contract.operations[operation], sent, uses_run_token=True)


def test_write_to_foreign_record_is_redirected() -> None:
    run = begun()
    guard, foreign = WriteGuard(run, 1), mock().seeded("Prompt")
    sent = CaseRequest({"uuid": foreign}, {}, {"name": "x"}, is_valid=True)
    admitted = guard.authorize(run.contract.operations["updatePrompt"], sent, uses_run_token=True)
    assert admitted.path["uuid"] in [made.key for made in run.write_log.created_records]
    assert admitted.path["uuid"] != foreign


@pytest.mark.parametrize(
    "path", ["..", ".", "", "a/b", "%2e%2e", "x?y", " ", "\\", "x11111111-1111-4111-8111-111111111111y"]
)
def test_write_with_ambiguous_path_is_blocked(path: str) -> None:
    with pytest.raises(BlockedRequest):
        guarded(path)


def test_path_value_that_is_no_key_is_sent_unchanged() -> None:
    assert guarded("not-a-uuid").path == {"uuid": "not-a-uuid"}


@pytest.mark.parametrize("path", ["12", "12abc", "-1", "1.0"])
def test_integer_key_never_references_foreign_record(path: str) -> None:
    run = begun()
    prompt = run.contract.resources["Prompt"]
    numbered = replace(
        prompt,
        attributes={
            **prompt.attributes,
            prompt.key_attribute: replace(prompt.attributes[prompt.key_attribute], type="integer"),
        },
    )
    run.contract = replace(run.contract, resources={**run.contract.resources, "Prompt": numbered})
    sent = CaseRequest({"uuid": path}, {}, {"name": "x"}, is_valid=True)
    try:
        admitted = WriteGuard(run, 1).authorize(run.contract.operations["updatePrompt"], sent, uses_run_token=True)
    except BlockedRequest:
        return
    assert admitted.path["uuid"] in [made.key for made in run.write_log.created_records]


# Other contracts


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_mock_of_another_contract_has_no_failures(seed: int) -> None:
    run = session(library.app(of=library.world()), library.library(), seed)
    those = found(run, depth=SOME, seed=seed)
    assert not told(those)
    assert sum(one.result.status is Status.PASSED for one in those) > 90
    assert not run.clean_up()


async def takes_any_title(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    body = asked.body
    if asked.method == "POST" and isinstance(body, dict) and body.get("title") is not None:
        asked = asked.saying({**body, "title": "taken"})
    answered: Answered = await ask(asked)
    return answered


def test_fault_in_another_contract_is_detected() -> None:
    served: ASGIApp = Faulty(library.app(of=library.world()), takes_any_title)
    those = broken(found(session(served, library.library()), "createBook"))
    laws = {
        (o.requirement.check, o.requirement.operation, o.requirement.parameter) for o in (one.result for one in those)
    }
    assert laws == {("engine-negative-data-rejection", "createBook", "title")}


def test_depths_increase() -> None:
    assert set(SMOKE.phases) < set(GATE.phases) == set(DEEP.phases)
    assert SMOKE.max_examples <= GATE.max_examples < DEEP.max_examples
