"""The sequence of requests that reproduces a failure: selection, JSON form, replay and shell script."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.checks.support.check import Case, Category, Check
from conformance.cli.commands import parse_settings
from conformance.past_runs import replay, shell_script
from conformance.past_runs.report_reader import ReportedResult
from conformance.results import CheckResult, Requirement, Status
from conformance.trace import sequence
from conformance.trace.identifiers import find_identifiers, replace_identifiers
from conformance.trace.recorder import MAX_RECORDED, IdentifierSource, Recorder
from conformance.transport.messages import Actor, Exchange, Request, Response
from conformance.transport.redaction import Redactor
from spec.model import Contract
from spec.redaction import REDACTED
from tests.conformance.support.asgi_session import session
from tests.conformance.support.check_runner import demo_mock
from tests.mock_server.athena import athena_contract

ONE, TWO, OLD = (f"{digit * 8}-0000-4000-8000-000000000001" for digit in "123")
SECRET = "canary-token-1234"


@pytest.fixture(scope="module")
def contract() -> Contract:
    """The project's contract."""
    return athena_contract()


def build_request(contract: Contract, operation_id: str, **parts: Any) -> Request:
    """Return a request to an operation."""
    operation = contract.operations[operation_id]
    return Request(operation.id, operation.method, operation.path, **parts)


def record(recorder: Recorder, request: Request, status: int, body: Any) -> Exchange:
    """Record an exchange and return it."""
    response = Response(status, {}, json.dumps(body).encode(), 0.0)
    recorder.record(request, response)
    return Exchange(request, response)


def create_failure(contract: Contract, *evidence: Exchange) -> CheckResult:
    """Return a failure with these exchanges."""
    pointer = contract.operations["retrieveMessage"].pointer
    requirement = Requirement("stub", "retrieveMessage", "It holds.", pointer, "documented")
    return CheckResult(requirement, Status.FAILED, "got 1, expected 2", evidence)


def record_threads(contract: Contract) -> tuple[Recorder, Exchange]:
    """Record a list, two threads with accepted and rejected updates, and the evidence: a retrieval of the first."""
    recorder = Recorder.from_contract(contract)
    record(recorder, build_request(contract, "listAgents"), 200, {"data": [{"uuid": OLD}]})
    record(recorder, build_request(contract, "createThread", body={"agent_uuid": OLD}), 201, {"data": {"uuid": ONE}})
    record(recorder, build_request(contract, "createThread", body={"agent_uuid": OLD}), 201, {"data": {"uuid": TWO}})
    record(
        recorder,
        build_request(contract, "updateThread", path_values={"uuid": ONE}, body={"title": "a"}),
        200,
        {"data": {}},
    )
    record(recorder, build_request(contract, "updateThread", path_values={"uuid": ONE}, body={"title": "b"}), 422, {})
    record(
        recorder,
        build_request(contract, "updateThread", path_values={"uuid": TWO}, body={"title": "c"}),
        200,
        {"data": {}},
    )
    evidence = record(
        recorder, build_request(contract, "retrieveThread", path_values={"uuid": ONE}), 200, {"data": {"uuid": ONE}}
    )
    record(recorder, build_request(contract, "deleteThread", path_values={"uuid": ONE}), 204, None)
    return recorder, evidence


def test_sequence_has_only_dependencies_of_the_evidence(contract: Contract) -> None:
    recorder, evidence = record_threads(contract)
    requests = sequence.from_recording(recorder, contract, "m", create_failure(contract, evidence))
    assert requests is not None
    steps = [(step.request.operation, step.request.body, step.is_evidence) for step in requests.steps]
    assert steps == [
        ("listAgents", None, False),
        ("createThread", {"agent_uuid": OLD}, False),
        ("updateThread", {"title": "a"}, False),
        ("retrieveThread", None, True),
    ]
    assert requests.sources == {
        OLD: IdentifierSource(0, ("data", 0, "uuid")),
        ONE: IdentifierSource(1, ("data", "uuid")),
    }


def test_list_depends_on_records_created_by_same_execution(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    record(recorder, build_request(contract, "createAgent", body={"name": "before"}), 201, {"data": {"uuid": OLD}})

    def run(case: Case) -> Iterator[CheckResult]:
        record(recorder, build_request(contract, "createAgent", body={"name": "created"}), 201, {"data": {"uuid": ONE}})
        evidence = record(recorder, build_request(contract, "listAgents"), 200, {"data": []})
        yield create_failure(contract, evidence)

    check = recorder.track(Check(run, "stub", "It holds.", Category.RESPONSES, lambda c, o: True))
    results = list(check.run(Case(check, None, contract.operations["listAgents"])))  # type: ignore[arg-type]
    requests = sequence.from_recording(recorder, contract, "m", results[0])
    assert requests is not None
    assert [step.request.body for step in requests.steps] == [{"name": "created"}, None]


def test_request_after_write_is_evidence(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)

    def run(case: Case) -> Iterator[CheckResult]:
        evidence = record(recorder, build_request(contract, "createAgent", body={}), 201, {"data": {"uuid": ONE}})
        record(recorder, build_request(contract, "listAgents"), 200, {"data": []})
        yield create_failure(contract, evidence)

    check = recorder.track(Check(run, "stub", "It holds.", Category.RESPONSES, lambda c, o: True))
    results = list(check.run(Case(check, None, contract.operations["listAgents"])))  # type: ignore[arg-type]
    requests = sequence.from_recording(recorder, contract, "m", results[0])
    assert requests is not None
    assert [(s.request.operation, s.is_evidence) for s in requests.steps] == [
        ("createAgent", True),
        ("listAgents", True),
    ]


def test_same_read_before_the_last_write_belongs_to_the_sequence(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)

    def read(key: str) -> Exchange:
        return record(recorder, build_request(contract, "retrieveThread", path_values={"uuid": key}), 200, {})

    record(recorder, build_request(contract, "createThread", body={}), 201, {"data": {"uuid": ONE}})
    for _ in range(2):
        read(ONE)
    read(TWO)
    record(recorder, build_request(contract, "updateThread", path_values={"uuid": ONE}, body={"title": "a"}), 200, {})
    read(ONE)
    requests = sequence.from_recording(recorder, contract, "m", create_failure(contract, read(ONE)))
    assert requests is not None
    assert [(step.request.operation, step.is_evidence) for step in requests.steps] == [
        ("createThread", False),
        ("retrieveThread", False),
        ("updateThread", False),
        ("retrieveThread", True),
    ]
    assert {step.request.path_values.get("uuid") for step in requests.steps} == {None, ONE}


def test_unrecorded_request_has_no_sequence(contract: Contract) -> None:
    recorder, evidence = record_threads(contract)
    other = Exchange(build_request(contract, "listAgents"), evidence.response)
    assert sequence.from_recording(recorder, contract, "m", create_failure(contract, other)) is None
    assert sequence.from_recording(recorder, contract, "m", create_failure(contract)) is None


def test_failure_with_too_many_requests_has_no_sequence(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    evidence = [record(recorder, build_request(contract, "listAgents"), 200, {}) for _ in range(sequence.MAX_STEPS + 1)]
    assert sequence.from_recording(recorder, contract, "m", create_failure(contract, *evidence)) is None


def test_number_of_recorded_requests_is_limited(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    recorder.exchanges = [None] * MAX_RECORDED  # type: ignore[list-item]
    record(recorder, build_request(contract, "listAgents"), 200, {"data": [{"uuid": ONE}]})
    assert (len(recorder.exchanges), recorder.sources) == (MAX_RECORDED, {})


def test_json_round_trip(contract: Contract) -> None:
    recorder, _ = record_threads(contract)
    request = build_request(
        contract,
        "updateThread",
        path_values={"uuid": ONE},
        query=(("a", "1"), ("a", "\u202e")),
        raw_body=bytes(range(256)),
        actor=Actor.ANONYMOUS,
        headers={"X-A": "b"},
    )
    evidence = record(recorder, request, 500, {})
    requests = sequence.from_recording(recorder, contract, "m", create_failure(contract, evidence))
    assert requests is not None
    document = sequence.to_json(requests, Redactor.from_contract(contract, []))
    text = json.dumps(document, ensure_ascii=False)
    assert text.isascii()
    assert sequence.from_json(json.loads(text), contract) == requests


def test_secrets_are_redacted(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    body = {"password": "canary-password", "name": f"with {SECRET}", "list": [{"token": "canary-2"}]}
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": "canary-3"}
    evidence = record(recorder, build_request(contract, "createAgent", body=body, headers=headers), 500, {})
    requests = sequence.from_recording(recorder, contract, "m", create_failure(contract, evidence))
    assert requests is not None
    text = json.dumps(sequence.to_json(requests, Redactor.from_contract(contract, [SECRET])))
    assert "canary" not in text
    assert text.count(REDACTED) == 5


def test_failure_with_too_large_request_has_no_sequence(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    evidence = record(
        recorder, build_request(contract, "createAgent", body={"name": "x" * sequence.MAX_REQUEST_CHARS}), 500, {}
    )
    requests = sequence.from_recording(recorder, contract, "m", create_failure(contract, evidence))
    assert requests is not None
    assert sequence.to_json(requests, Redactor.from_contract(contract, [])) is None


def test_identifiers_are_replaced_everywhere(contract: Contract) -> None:
    request = build_request(
        contract,
        "updateThread",
        path_values={"uuid": ONE},
        query=(("x", f"{ONE},{OLD}"), ("page", "7")),
        body={"title": f"about {ONE}", "n": 7, "deep": [{"k": ONE}]},
        raw_body=ONE.encode(),
    )
    assert list(find_identifiers(contract, request)) == [ONE, OLD]
    replaced = replace_identifiers(contract, request, {ONE: TWO, "7": "8"}.get)
    assert replaced.path_values == {"uuid": TWO}
    assert replaced.query == (("x", f"{TWO},{OLD}"), ("page", "7"))
    assert replaced.body == {"title": f"about {TWO}", "n": 7, "deep": [{"k": TWO}]}
    assert replaced.raw_body == TWO.encode()


# Replay ---------------------------------------------------------------------------------------------------------


def failure(contract: Contract, operation: str, **values: Any) -> ReportedResult:
    """Return a failure of a Schemathesis check."""
    defaults: Mapping[str, Any] = {
        "fingerprint": "f",
        "id": "0badcafe",
        "check": "engine-not-a-server-error",
        "operation": operation,
        "parameter": "",
        "requirement": "It holds.",
        "status": "failed",
        "message": "got 500",
        "location": "spec/openapi.yaml:1 #",
        "pointer": contract.operations[operation].pointer,
        "keyword": "",
        "provenance": "inferred",
        "proposal": None,
        "sequence": None,
    }
    return ReportedResult(**{**defaults, **values})


def test_schemathesis_failure_is_reproduced_by_status(contract: Contract) -> None:
    api = demo_mock()
    api.reset()
    suite = session(api.app, contract, schemas=api.schemas)
    steps = sequence.RequestSequence(
        "m",
        (
            sequence.TraceStep(build_request(contract, "listAgents"), 200, False),
            sequence.TraceStep(build_request(contract, "retrieveAgent", path_values={"uuid": OLD}), 200, True),
        ),
        {OLD: IdentifierSource(0, ("data", 0, "uuid"))},
    )
    assert replay.replay(suite, failure(contract, "retrieveAgent"), steps, {}).reproduced is True
    other = sequence.RequestSequence(
        "m", (steps.steps[0], sequence.TraceStep(steps.steps[1].request, 500, True)), steps.sources
    )
    assert replay.replay(suite, failure(contract, "retrieveAgent"), other, {}).reproduced is False
    in_body = failure(contract, "retrieveAgent", pointer="#/components/schemas/Agent/properties/name")
    assert replay.replay(suite, in_body, steps, {}).reproduced is False


def test_replay_does_not_write_to_existing_record(contract: Contract) -> None:
    api = demo_mock()
    api.reset()
    suite = session(api.app, contract, schemas=api.schemas)
    steps = sequence.RequestSequence(
        "m",
        (
            sequence.TraceStep(build_request(contract, "listAgents"), 200, False),
            sequence.TraceStep(build_request(contract, "deleteAgent", path_values={"uuid": OLD}), 500, True),
        ),
        {OLD: IdentifierSource(0, ("data", 0, "uuid"))},
    )
    result = replay.replay(suite, failure(contract, "deleteAgent"), steps, {})
    assert result.reproduced is None
    assert "which the replay did not create" in result.message
    assert suite.responses.call_counts["deleteAgent", 204] == 0


def test_missing_identifier_is_inconclusive(contract: Contract) -> None:
    api = demo_mock()
    suite = session(api.app, contract, schemas=api.schemas)
    steps = sequence.RequestSequence(
        "m",
        (
            sequence.TraceStep(build_request(contract, "listAgents"), 200, False),
            sequence.TraceStep(build_request(contract, "retrieveAgent", path_values={"uuid": OLD}), 500, True),
        ),
        {OLD: IdentifierSource(0, ("data", 999, "uuid"))},
    )
    result = replay.replay(suite, failure(contract, "retrieveAgent"), steps, {})
    expected = "the response of listAgents has no identifier at data.999.uuid"
    assert (result.reproduced, result.message) == (None, expected)


# Shell script ---------------------------------------------------------------------------------------------------


def build_script(contract: Contract, *steps: sequence.TraceStep, message: str = "") -> str:
    """Return the script of some steps."""
    settings = parse_settings(["replay", "r.json", "0badcafe", "--base-url", "http://127.0.0.1:9/api/v1"], {})
    requests = sequence.RequestSequence("conformance-0badcafe", steps, {})
    return shell_script.build_script(requests, contract, failure(contract, "listAgents", message=message), settings)


def test_script_does_not_execute_texts(contract: Contract, tmp_path: Path) -> None:
    mark = tmp_path / "run"
    hostile = f"$(touch {mark}) `touch {mark}` '; touch {mark}; ' \" \\ \nconformance-0badcafe"
    request = build_request(
        contract,
        "updateThread",
        path_values={"uuid": hostile},
        query=((hostile, hostile),),
        body={hostile: hostile},
        headers={"X-A": hostile.replace("\n", " ")},
        actor=Actor.ANONYMOUS,
    )
    raw = build_request(contract, "createThread", raw_body=hostile.encode() + bytes(range(256)), actor=Actor.ANONYMOUS)
    steps = (sequence.TraceStep(request, 200, True), sequence.TraceStep(raw, 200, False))
    text = build_script(contract, *steps, message=f"x\ntouch {mark}\x1b[0m")
    fake = tmp_path / "curl"
    fake.write_text(
        f'#!/bin/sh\nfor argument; do printf "%s\\n" "$argument" >> {tmp_path}/arguments; done\nprintf 200\n'
    )
    fake.chmod(0o755)
    (tmp_path / "script").write_text(text)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["sh", tmp_path / "script"], env=env, check=True, capture_output=True, timeout=30)
    assert not mark.exists()
    arguments = (tmp_path / "arguments").read_text()
    body = next(line for line in arguments.splitlines() if line.startswith("{"))
    (name, value), *_ = json.loads(body).items()
    assert name == hostile  # property names do not contain the marker of the run
    assert value.startswith(hostile.removesuffix("0badcafe"))
    assert "0badcafe" not in value


RESPONSE = {"a": [{"uuid": 'no\\"ne'}, {"x": {"y": [1.5, None, True, "", {"uuid": ONE}]}}], "": {"uuid": 7}, "é": "[{"}


@pytest.mark.parametrize(
    ("path", "value"),
    [("/a/1/x/y/4/uuid", ONE), ("/a/0/uuid", 'no\\\\\\"ne'), ("//uuid", "7"), ("/a/1/x/y/0", "1.5"), ("/b", "")],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_script_reads_value_at_path(
    contract: Contract, tmp_path: Path, path: str, value: str, indent: int | None
) -> None:
    text = build_script(
        contract, sequence.TraceStep(build_request(contract, "listAgents", actor=Actor.ANONYMOUS), 200, True)
    )
    reader = text[text.index("value_at() {") : text.index("send() {")]
    (tmp_path / "response").write_text(json.dumps(RESPONSE, indent=indent))
    run = f"response={tmp_path}/response\n{reader}\nvalue_at '{path}'"
    process = subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=True, timeout=30)
    assert process.stdout.removesuffix("\n") == value
