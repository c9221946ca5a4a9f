"""The Schemathesis engine: no failures on the mock, failures on faults, no harmful writes, deterministic by seed."""

import _thread
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from schemathesis.checks import CHECKS as FUNCTIONS
from schemathesis.checks import load_all_checks

from conformance.errors import BudgetExhausted, SkipCategory, TargetUnreachable
from conformance.mutation.fault_injection import (
    CallNext,
    Fault,
    FaultInjector,
    InterceptedRequest,
    InterceptedResponse,
)
from conformance.mutation.faults import (
    MakeFault,
    build_response,
    change_body,
    change_request,
    change_response,
    change_value,
    ignore_parameters,
    on_status,
    respond_if,
    set_status,
)
from conformance.results import CheckResult, Status
from conformance.schemathesis_engine import DEEP, GATE, SMOKE, Depth, EngineResult, run_engine
from conformance.schemathesis_engine.adapter import DISABLED_CHECKS
from conformance.schemathesis_engine.checks import ENGINE_CHECKS, RESPONSE_CHECKS
from conformance.schemathesis_engine.violation_location import find_violations
from conformance.schemathesis_engine.write_guard import BlockedRequest, CaseRequest, WriteGuard
from conformance.session.operation_lookup import OperationLookup
from conformance.session.session import Session
from conformance.transport.client import Budget
from conformance.transport.messages import Request, Response
from mock_server.store import StoredRecord
from tests.conformance.support.asgi_session import session
from tests.conformance.support.check_runner import demo_mock, inject_fault
from tests.mock_process import ROOT
from tests.mock_server import library_contract

pytestmark = pytest.mark.slow  # each test is a complete engine run

COVERAGE = Depth(("examples", "coverage"), reruns=1)
ALL_PHASES = Depth(("examples", "coverage", "fuzzing", "stateful"), max_examples=3, max_steps=4, reruns=1)


@dataclass(slots=True)
class RecordingTarget:
    """A target that records requests; after `max_requests` it raises `error`."""

    target: Any
    max_requests: int = 10**9
    error: BaseException | None = None
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return str(self.target.base)

    @property
    def tokens(self) -> Mapping[str, str]:
        return dict(self.target.tokens)

    def send(self, request: Request) -> Response:
        if len(self.requests) >= self.max_requests and self.error is not None:
            raise self.error
        body = request.raw_body.decode("utf-8", "replace") if request.raw_body is not None else json.dumps(request.body)
        self.requests.append((request.method, request.target, body))
        answer: Response = self.target.send(request)
        return answer


def new_session(make_fault: MakeFault | None = None, *, read_only: bool = False) -> Session:
    """A session on a reset mock, optionally with a fault."""
    app, api = inject_fault(make_fault), demo_mock()
    return session(app, api.contract, schemas=api.schemas, read_only=read_only)


def run_engine_on(run: Session, *names: str, depth: Depth = COVERAGE, seed: int = 1) -> list[EngineResult]:
    """Run the engine on some operations, or on all."""
    request = [o for o in run.contract.operations.values() if not names or o.id in names]
    return list(run_engine(run, request, seed=seed, depth=depth))


def find_failed_results(results: list[EngineResult]) -> list[EngineResult]:
    return [item for item in results if item.result.status is Status.FAILED]


def describe_failures(results: list[EngineResult]) -> list[str]:
    """Describe the failed results."""
    return [f"{item.result.requirement.fingerprint}: {item.result.message}" for item in find_failed_results(results)]


def all_records() -> dict[tuple[str, str], StoredRecord]:
    """Every record in the mock's store."""
    api = demo_mock()
    rows = ((name, api.sandbox.store.select(name)) for name in api.contract.resources)
    return {(name, str(record.key)): record for name, records in rows for record in records}


# Conforming targets


def has_good_token(request: InterceptedRequest) -> bool:
    return request.headers.get("authorization") == "Bearer demo-token"


# Ignore the other scheme if the bearer token is valid.
ignore_other_scheme = change_request(
    lambda q: q.with_headers({"x-multiplai-authorization": None}) if has_good_token(q) else q
)


def test_one_satisfied_security_scheme_is_sufficient() -> None:
    results = run_engine_on(new_session(ignore_other_scheme), "getAuthenticatedUserByAppToken")
    assert any(item.result.requirement.check == "engine-ignored-auth" for item in results)
    assert not describe_failures(results)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_mock_has_no_failures(seed: int) -> None:
    before, run = new_session_with_records()
    results = run_engine_on(run, depth=GATE, seed=seed)
    assert not describe_failures(results)
    assert not run.clean_up()
    assert {key: record for key, record in all_records().items() if key in before} == before


def new_session_with_records() -> tuple[dict[tuple[str, str], StoredRecord], Session]:
    run = new_session()
    return all_records(), run


def test_smoke_run_has_no_failures_and_deletes_its_records() -> None:
    run = new_session()
    results = run_engine_on(run, depth=SMOKE)
    assert not describe_failures(results)
    assert sum(item.result.status is Status.PASSED for item in results) > 200
    assert not run.clean_up()


# Faults


def build_validation_error(name: str) -> InterceptedResponse:
    """Build a 422 response."""
    return build_response(422, {"message": "The given data was invalid.", "errors": {name: ["The field is invalid."]}})


SERVER_ERROR = build_response(500, {"message": "Server Error"})
fail_on_long_names = respond_if(
    lambda q: q.method == "POST" and len(str(q.json_object.get("name", ""))) > 200, SERVER_ERROR
)
return_418 = on_status(200, set_status(418))
return_number_as_name = change_value(lambda name: 7, ("data", "name"))
accept_any_token = change_request(lambda q: q.with_token("demo-token"))
omit_media_type = change_response(lambda q, r: r.with_headers({"content-type": None}))
accept_any_name = change_body(lambda body: body if isinstance(body.get("name", ""), str) else {**body, "name": "taken"})
accept_any_page_size = ignore_parameters("per_page")
reject_tags = respond_if(lambda q: q.method == "POST" and "tags" in q.json_object, build_validation_error("tags"))
expose_stack_trace = on_status(422, lambda r: r.with_json({**r.json, "message": "SQLSTATE[22001]: too long"}))


def ignore_delete() -> Fault:
    """Delete nothing."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if request.method != "DELETE":
            return await call_next(request)
        retrieved = await call_next(replace(request, method="GET"))
        return InterceptedResponse(204, {}, b"") if retrieved.status == 200 else retrieved

    return fault


@pytest.mark.parametrize(
    ("check", "operation", "fault", "pointer", "parameter"),
    [
        ("not-a-server-error", "createPrompt", fail_on_long_names, "#/paths/~1prompts/post", ""),
        ("no-traceback", "createPrompt", expose_stack_trace, "#/paths/~1prompts/post", None),
        ("status-code-conformance", "listPrompts", return_418, "#/paths/~1prompts/get/responses", "418"),
        (
            "response-schema-conformance",
            "createPrompt",
            return_number_as_name,
            "/properties/name",
            "data.name integer",
        ),
        ("ignored-auth", "listPrompts", accept_any_token, "#/paths/~1prompts/get", ""),
        ("ignored-auth", "createPrompt", accept_any_token, "#/paths/~1prompts/post", ""),
        ("content-type-conformance", "listPrompts", omit_media_type, None, "200"),
        ("positive-data-acceptance", "createPrompt", reject_tags, "#/paths/~1prompts/post/responses", "422"),
        ("negative-data-rejection", "createPrompt", accept_any_name, "/properties/name", "name"),
        ("negative-data-rejection", "listPrompts", accept_any_page_size, "/schema", "per_page"),
    ],
)
def test_check_detects_fault(
    check: str, operation: str, fault: MakeFault, pointer: str | None, parameter: str | None
) -> None:
    results = [
        item
        for item in find_failed_results(run_engine_on(new_session(fault), operation))
        if item.result.requirement.check == f"engine-{check}"
    ]
    assert results
    assert {item.result.requirement.operation for item in results} == {operation}
    assert all(item.result.message and item.result.evidence and item.counts == (2, 2) for item in results)
    assert parameter in (None, *(item.result.requirement.parameter for item in results))
    assert any(item.result.requirement.pointer.endswith(pointer or "") for item in results)


def test_use_after_free_is_detected_in_stateful_phase() -> None:
    depth = Depth(("stateful",), max_examples=30, max_steps=6, reruns=1)
    results = find_failed_results(
        run_engine_on(new_session(ignore_delete), "createPrompt", "retrievePrompt", "deletePrompt", depth=depth)
    )
    check_ids = {item.result.requirement.check: item for item in results}
    assert "engine-use-after-free" in check_ids
    item = check_ids["engine-use-after-free"]
    assert [shown.request.method for shown in item.result.evidence][-2:] == ["delete", "get"]
    assert item.counts[0] == item.counts[1]


@pytest.mark.parametrize(("status", "retries"), [(418, 0), (500, 1)])  # a 500 is retried at once
def test_transient_failure_is_not_deterministic(status: int, retries: int) -> None:
    requests = count()
    fails_once = respond_if(lambda q: next(requests) == 19, build_response(status, {"message": "Odd"}))
    run = new_session(fails_once)
    results = find_failed_results(run_engine_on(run, "listPrompts"))
    counts = {item.result.requirement.check: item.counts for item in results}
    # The response also violates `engine-negative-data-rejection` if the request was generated as an invalid one.
    assert counts.pop("engine-status-code-conformance", None) == (None if retries else (1, 2))
    assert set(counts) <= (set() if retries else {"engine-negative-data-rejection"})
    assert set(counts.values()) <= {(1, 2)}
    assert len(run.client.retrier.recovered) == retries


def test_server_error_is_blocking() -> None:
    results = find_failed_results(run_engine_on(new_session(fail_on_long_names), "createPrompt"))
    assert all(item.result.is_blocking() for item in results)


# Common server behavior


# Trim texts and convert integral floats.
trim_like_laravel = change_body(lambda body: {name: trim(value) for name, value in body.items()})


def trim(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def test_server_that_trims_texts_passes() -> None:
    assert not describe_failures(
        run_engine_on(new_session(trim_like_laravel), "createPrompt", "updatePrompt", "createThread", depth=ALL_PHASES)
    )


@pytest.mark.parametrize(
    ("name", "is_violation"), [("with[]", True), ("with", True), ("filters[]", False), ("filters", True)]
)
def test_brackets_are_accepted_for_arrays_only(name: str, is_violation: bool) -> None:
    run = new_session()
    request = next(
        o for o in run.contract.operations.values() if name.removesuffix("[]") in {p.name for p in o.parameters}
    )
    places = find_violations(run, request, Request(request.id, "get", request.path, {}, ((name, "\U00033af6"),)))
    assert (name.removesuffix("[]") in {place.parameter for place in places}) is is_violation


def is_unusual(name: object) -> bool:
    """Whether a name is a long or blank text or has control characters."""
    return isinstance(name, str) and (len(name) > 100 or not name.isprintable() or not name.strip())


reject_unusual_texts = respond_if(lambda q: is_unusual(q.json_object.get("name")), build_validation_error("name"))


def test_server_that_rejects_unusual_texts_passes() -> None:
    assert not describe_failures(run_engine_on(new_session(reject_unusual_texts), "createPrompt", "updatePrompt"))


def combine_routes() -> Fault:
    """OPTIONS allows every method; GET of an unknown path below /agents is 404."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        if request.method == "OPTIONS":
            return InterceptedResponse(200, {"allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}, b"")
        response = await call_next(request)
        if request.method == "GET" and response.status == 405 and request.path.startswith("/agents/"):
            return build_response(404, {"message": "No query results"})
        return response

    return fault


def test_router_that_combines_routes_passes() -> None:
    names = ("createPrompt", "updatePrompt", "getAgentsMetrics", "generateAgent")
    assert not describe_failures(run_engine_on(new_session(combine_routes), *names))


return_404_for_401 = on_status(401, lambda response: build_response(404, {"message": "Not found"}))


def test_404_instead_of_401_is_not_ignored_auth() -> None:
    results = find_failed_results(run_engine_on(new_session(return_404_for_401), "retrievePrompt"))
    assert "engine-ignored-auth" not in {item.result.requirement.check for item in results}


def test_failure_of_limited_operation_is_rerun() -> None:
    results = find_failed_results(run_engine_on(new_session(respond_if(lambda q: True, SERVER_ERROR)), "signIn"))
    assert "engine-not-a-server-error" in {item.result.requirement.check for item in results}
    assert all(item.counts[0] == item.counts[1] for item in results)


# No harmful writes


def test_existing_records_are_not_changed() -> None:
    names = ("updatePrompt", "deletePrompt", "listPrompts", "createMessage", "updateMessage", "deleteMessage", "logout")
    before, run = new_session_with_records()
    recording = RecordingTarget(run.client.target)
    run.client.target = recording
    run_engine_on(run, *names, "listMessages", "updateWorkspace", "deleteWorkspace", depth=ALL_PHASES)
    foreign_keys = {key for _, key in before}
    for method, target, _ in recording.requests:
        key = target.partition("?")[0].rpartition("/")[2]
        assert method not in ("put", "delete") or key not in foreign_keys, f"{method} {target}"
    assert not run.clean_up()
    assert {key: record for key, record in all_records().items() if key in before} == before


def test_blocked_operation_is_skipped_with_reason() -> None:
    results = run_engine_on(new_session(), "deleteWorkspace", "logout")
    skip_messages = {
        o.requirement.operation: o.message for o in (item.result for item in results) if o.status is Status.SKIPPED
    }
    assert skip_messages["deleteWorkspace"] == "the contract defines no operation to create a Workspace"
    assert skip_messages["logout"] == "logout acts on the account of the token, which the run did not create"


def test_effects_are_skipped_and_read_only_run_only_reads() -> None:
    run = new_session(read_only=True)
    recording = RecordingTarget(run.client.target)
    run.client.target = recording
    results = run_engine_on(run, "shareAgent", "createPrompt", "listPrompts")
    assert {method for method, _, _ in recording.requests} <= {"get", "options"}
    expected_values = {
        o.requirement.operation: o.message for o in (item.result for item in results) if o.status is Status.SKIPPED
    }
    assert expected_values == {"shareAgent": "the run is read-only", "createPrompt": "the run is read-only"}
    assert [o.result.message for o in run_engine_on(new_session(), "shareAgent")] == [
        "shareAgent has effects (mail); allow them with --allow-effects"
    ]


def test_sign_in_calls_are_limited() -> None:
    run = new_session()
    run_engine_on(run, "signIn", depth=ALL_PHASES)
    assert 0 < sum(times for (name, _), times in run.responses.call_counts.items() if name == "signIn") <= 5


def test_texts_have_marker_and_addresses_are_reserved() -> None:
    run = new_session()
    recording = RecordingTarget(run.client.target)
    run.client.target = recording
    run_engine_on(run, "createPrompt", "createWorkflow", "createAgent", depth=ALL_PHASES)
    bodies = [body for method, _, body in recording.requests if method == "post"]
    assert sum(run.payloads.marker in body for body in bodies) > len(bodies) / 5
    addresses = {host for body in bodies for host in re.findall(r'"[a-z]+://([^/"?#]+)', body)}
    assert addresses <= {"example.com"} or all(item.endswith(("example.com", ".invalid")) for item in addresses)


# Determinism and aborts


def record_requests(seed: int) -> list[tuple[str, str, str]]:
    """The requests to a reset mock, with identifiers replaced by placeholders."""
    run = new_session()
    recording = RecordingTarget(run.client.target)
    run.client.target = recording
    run_engine_on(run, "createPrompt", "retrievePrompt", "updatePrompt", "deletePrompt", depth=ALL_PHASES, seed=seed)
    names: dict[str, str] = {}

    def placeholder(match: re.Match[str]) -> str:
        return names.setdefault(match.group(), f"<{len(names)}>")

    uuid = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
    return [
        (method, uuid.sub(placeholder, target), uuid.sub(placeholder, body))
        for method, target, body in recording.requests
    ]


def test_equal_seeds_send_equal_requests() -> None:
    first = record_requests(1)
    assert len(first) > 100
    assert record_requests(1) == first
    assert record_requests(2) != first


@pytest.mark.parametrize("error", [BudgetExhausted("used up"), TargetUnreachable("gone"), KeyboardInterrupt()])
def test_abort_error_stops_the_engine(error: BaseException) -> None:
    run = new_session()
    run.client.target = RecordingTarget(run.client.target, 40, error)
    request = [o for o in run.contract.operations.values() if "rompt" in o.id]
    reported: list[CheckResult] = []
    with pytest.raises(type(error)):
        reported.extend(item.result for item in run_engine(run, request, seed=1, depth=COVERAGE))
    assert any(outcome.status is Status.PASSED for outcome in reported)
    assert not any(outcome.status is Status.FAILED for outcome in reported)


def test_checks_that_an_aborted_engine_did_not_reach_are_skipped() -> None:
    names = ("listPrompts", "retrievePrompt")
    response_checks = {ENGINE_CHECKS[name].check_id for name in RESPONSE_CHECKS}
    complete = {result.requirement for result, _ in run_engine_on(new_session(), *names)}
    run = new_session()
    run.client.target = RecordingTarget(run.client.target, 3, BudgetExhausted("used up"))
    reported: list[CheckResult] = []
    operations = [run.contract.operations[name] for name in names]
    with pytest.raises(BudgetExhausted):
        reported.extend(item.result for item in run_engine(run, operations, seed=1, depth=COVERAGE))
    skipped = {result.requirement: result.skip_category for result in reported if result.status is Status.SKIPPED}
    assert skipped
    assert set(skipped.values()) == {SkipCategory.NOT_REACHED}
    requirements = {result.requirement for result in reported}
    assert {r for r in complete if r.check in response_checks} == {
        r for r in requirements if r.check in response_checks
    }


def test_failure_without_rerun_is_inconclusive() -> None:
    run = new_session(return_418)
    run.client.target = RecordingTarget(run.client.target, 15, BudgetExhausted("used up"))
    reported: list[CheckResult] = []
    operations = [run.contract.operations["listPrompts"]]
    with pytest.raises(BudgetExhausted):
        reported.extend(item.result for item in run_engine(run, operations, seed=1, depth=COVERAGE))
    assert not any(outcome.status is Status.FAILED for outcome in reported)
    assert any(outcome.message.startswith("failed once") for outcome in reported)


def test_budget_includes_engine_requests() -> None:
    run = new_session()
    run.client.target.budget = Budget(25, None)  # type: ignore[attr-defined]
    with pytest.raises(BudgetExhausted):
        run_engine_on(run, "listPrompts")


def test_engine_writes_no_files_and_restores_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = hypothesis.settings.default
    run_engine_on(new_session(), "createPrompt", depth=ALL_PHASES)
    assert hypothesis.settings.default == before
    assert not list(tmp_path.iterdir())


def test_schemathesis_import_is_deferred() -> None:
    code = "import sys, conformance.schemathesis_engine, conformance.cli.main; print('schemathesis' in sys.modules)"
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert completed.stdout.strip() == "False"


def test_installed_schemathesis_version_is_pinned() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert f"schemathesis=={version('schemathesis')}" in extras["conformance"]


def test_every_schemathesis_check_is_mapped_or_disabled() -> None:
    load_all_checks()
    assert set(FUNCTIONS.get_all_names()) - set(DISABLED_CHECKS) == {
        name for name in ENGINE_CHECKS if name != "no_traceback"
    }
    assert all(
        check.requirement.endswith(".") and check.check_id.startswith("engine-") for check in ENGINE_CHECKS.values()
    )


def test_interrupt_stops_the_engine() -> None:
    run = new_session()

    class Interrupting(RecordingTarget):
        def send(self, request: Request) -> Response:
            if len(self.requests) == 30:
                _thread.interrupt_main()
            return RecordingTarget.send(self, request)

    run.client.target = Interrupting(run.client.target)
    with pytest.raises(KeyboardInterrupt):
        run_engine_on(run, "listPrompts", "createPrompt", "listAgents", depth=ALL_PHASES)


# Write guard


def authorize_write(path: str, operation: str = "updatePrompt", body: Any = None) -> CaseRequest:
    run = new_session()
    guard = WriteGuard(run)
    sent = CaseRequest({"uuid": path}, {}, {"name": "x"} if body is None else body, is_valid=True)
    return guard.authorize(run.contract.operations[operation], sent, uses_run_token=True)


def test_write_to_foreign_record_is_redirected() -> None:
    run = new_session()
    guard, foreign_keys = WriteGuard(run), demo_mock().find_seeded_key("Prompt")
    sent = CaseRequest({"uuid": foreign_keys}, {}, {"name": "x"}, is_valid=True)
    authorized_request = guard.authorize(run.contract.operations["updatePrompt"], sent, uses_run_token=True)
    assert authorized_request.path["uuid"] in [record.key for record in run.write_log.created_records]
    assert authorized_request.path["uuid"] != foreign_keys


@pytest.mark.parametrize(
    "path", ["..", ".", "", "a/b", "%2e%2e", "x?y", " ", "\\", "x11111111-1111-4111-8111-111111111111y"]
)
def test_write_with_ambiguous_path_is_blocked(path: str) -> None:
    with pytest.raises(BlockedRequest):
        authorize_write(path)


def test_path_value_that_is_no_key_is_sent_unchanged() -> None:
    assert authorize_write("not-a-uuid").path == {"uuid": "not-a-uuid"}


@pytest.mark.parametrize("path", ["12", "12abc", "-1", "1.0"])
def test_integer_key_never_references_foreign_record(path: str) -> None:
    run = new_session()
    prompt = run.contract.resources["Prompt"]
    numbered = replace(
        prompt,
        attributes={
            **prompt.attributes,
            prompt.key_attribute: replace(prompt.attributes[prompt.key_attribute], type="integer"),
        },
    )
    contract = replace(run.contract, resources={**run.contract.resources, "Prompt": numbered})
    run.client.operations = OperationLookup(contract)
    sent = CaseRequest({"uuid": path}, {}, {"name": "x"}, is_valid=True)
    try:
        authorized_request = WriteGuard(run).authorize(
            run.contract.operations["updatePrompt"], sent, uses_run_token=True
        )
    except BlockedRequest:
        return
    assert authorized_request.path["uuid"] in [record.key for record in run.write_log.created_records]


# Other contracts


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_mock_of_another_contract_has_no_failures(seed: int) -> None:
    run = session(library_contract.app(sandbox=library_contract.create_sandbox()), library_contract.library(), seed)
    results = run_engine_on(run, depth=ALL_PHASES, seed=seed)
    assert not describe_failures(results)
    assert sum(item.result.status is Status.PASSED for item in results) > 90
    assert not run.clean_up()


def test_fault_in_another_contract_is_detected() -> None:
    accept_any_title = change_body(lambda body: {**body, "title": "taken"} if body.get("title") is not None else body)
    server, library = library_contract.app(sandbox=library_contract.create_sandbox()), library_contract.library()
    app = FaultInjector.create(server, library, accept_any_title(), ["createBook"])
    results = find_failed_results(run_engine_on(session(app, library), "createBook"))
    check_ids = {
        (o.requirement.check, o.requirement.operation, o.requirement.parameter)
        for o in (item.result for item in results)
    }
    assert check_ids == {("engine-negative-data-rejection", "createBook", "title")}


def test_depths_increase() -> None:
    assert set(SMOKE.phases) < set(GATE.phases) == set(DEEP.phases)
    assert SMOKE.max_examples <= GATE.max_examples < DEEP.max_examples
