"""The slice of a run that shows a failure, its JSON, and what is asked again: identifiers lead, secrets do not."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.checks.support.check import Case, Category, Check
from conformance.config.settings import from_arguments
from conformance.past_runs import replay, shell_script
from conformance.past_runs.report_reader import ReportedFailure
from conformance.results import CheckResult, Requirement, Status
from conformance.trace import sequence
from conformance.trace.identifiers import find_identifiers, replace_identifiers
from conformance.trace.recorder import MAX_RECORDED, IdentifierSource, Recorder
from conformance.transport.messages import Exchange, Request, Response
from conformance.transport.redaction import REDACTED, Redactor
from spec.loader import Contract
from tests.conformance.check_runner import mock
from tests.conformance.served import session
from tests.mock_server.athena import athena_contract

ONE, TWO, OLD = (f"{digit * 8}-0000-4000-8000-000000000001" for digit in "123")
SECRET = "canary-token-1234"


@pytest.fixture(scope="module")
def contract() -> Contract:
    """The project's contract."""
    return athena_contract()


def asked(contract: Contract, operation: str, **parts: Any) -> Request:
    """A request to an operation."""
    said = contract.operations[operation]
    return Request(said.id, said.method, said.path, **parts)


def noted(recorder: Recorder, request: Request, status: int, answer: Any) -> Exchange:
    """A request that the recorder has seen answered."""
    response = Response(status, {}, json.dumps(answer).encode(), 0.0)
    recorder.record(request, response)
    return Exchange(request, response)


def broken(contract: Contract, *shown: Exchange, law: str = "stub", operation: str = "retrieveMessage") -> CheckResult:
    """An outcome that these exchanges show."""
    promise = Requirement(law, operation, "It holds.", contract.operations[operation].pointer, "documented")
    return CheckResult(promise, Status.FAILED, "found 1; due: 2", shown)


def thread_and_message(contract: Contract) -> tuple[Recorder, Exchange]:
    """A run: a list, two threads, a message in the first that is changed, another that is not, and what is shown."""
    recorder = Recorder.from_contract(contract)
    noted(recorder, asked(contract, "listAgents"), 200, {"data": [{"uuid": OLD}]})
    noted(recorder, asked(contract, "createThread", body={"agent_uuid": OLD}), 201, {"data": {"uuid": ONE}})
    noted(recorder, asked(contract, "createThread", body={"agent_uuid": OLD}), 201, {"data": {"uuid": TWO}})
    noted(recorder, asked(contract, "updateThread", path_values={"uuid": ONE}, body={"title": "a"}), 200, {"data": {}})
    noted(recorder, asked(contract, "updateThread", path_values={"uuid": ONE}, body={"title": "b"}), 422, {})
    noted(recorder, asked(contract, "updateThread", path_values={"uuid": TWO}, body={"title": "c"}), 200, {"data": {}})
    shown = noted(recorder, asked(contract, "retrieveThread", path_values={"uuid": ONE}), 200, {"data": {"uuid": ONE}})
    noted(recorder, asked(contract, "deleteThread", path_values={"uuid": ONE}), 204, None)
    return recorder, shown


def test_a_slice_holds_what_the_shown_depends_on_and_nothing_else(contract: Contract) -> None:
    recorder, shown = thread_and_message(contract)
    found = sequence.from_recording(recorder, contract, "m", broken(contract, shown))
    assert found is not None
    asks = [(step.request.operation, step.request.body, step.is_evidence) for step in found.steps]
    assert asks == [
        ("listAgents", None, False),
        ("createThread", {"agent_uuid": OLD}, False),
        ("updateThread", {"title": "a"}, False),
        ("retrieveThread", None, True),
    ]
    assert found.sources == {OLD: IdentifierSource(0, ("data", 0, "uuid")), ONE: IdentifierSource(1, ("data", "uuid"))}


def test_what_the_same_judging_created_belongs_to_a_list(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    noted(recorder, asked(contract, "createAgent", body={"name": "before"}), 201, {"data": {"uuid": OLD}})

    def judge(case: Case) -> Iterator[CheckResult]:
        noted(recorder, asked(contract, "createAgent", body={"name": "of it"}), 201, {"data": {"uuid": ONE}})
        shown = noted(recorder, asked(contract, "listAgents"), 200, {"data": []})
        yield broken(contract, shown)

    law = recorder.track(Check("stub", "It holds.", Category.RESPONSES, lambda c, o: True, judge))
    outcomes = list(law.run(Case(law, None, contract.operations["listAgents"])))  # type: ignore[arg-type]
    found = sequence.from_recording(recorder, contract, "m", outcomes[0])
    assert found is not None
    assert [step.request.body for step in found.steps] == [{"name": "of it"}, None]


def test_what_was_asked_after_a_shown_write_decides(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)

    def judge(case: Case) -> Iterator[CheckResult]:
        shown = noted(recorder, asked(contract, "createAgent", body={}), 201, {"data": {"uuid": ONE}})
        noted(recorder, asked(contract, "listAgents"), 200, {"data": []})
        yield broken(contract, shown)

    law = recorder.track(Check("stub", "It holds.", Category.RESPONSES, lambda c, o: True, judge))
    outcomes = list(law.run(Case(law, None, contract.operations["listAgents"])))  # type: ignore[arg-type]
    found = sequence.from_recording(recorder, contract, "m", outcomes[0])
    assert found is not None
    assert [(s.request.operation, s.is_evidence) for s in found.steps] == [("createAgent", True), ("listAgents", True)]


def test_what_was_not_recorded_has_no_sequence(contract: Contract) -> None:
    recorder, shown = thread_and_message(contract)
    other = Exchange(asked(contract, "listAgents"), shown.response)
    assert sequence.from_recording(recorder, contract, "m", broken(contract, other)) is None
    assert sequence.from_recording(recorder, contract, "m", broken(contract)) is None


def test_a_sequence_that_is_too_long_is_not_told(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    shown = [noted(recorder, asked(contract, "listAgents"), 200, {}) for _ in range(sequence.MAX_STEPS + 1)]
    assert sequence.from_recording(recorder, contract, "m", broken(contract, *shown)) is None


def test_recording_is_bounded(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    recorder.exchanges = [None] * MAX_RECORDED  # type: ignore[list-item]
    noted(recorder, asked(contract, "listAgents"), 200, {"data": [{"uuid": ONE}]})
    assert (len(recorder.exchanges), recorder.sources) == (MAX_RECORDED, {})


def test_json_and_back_is_the_same(contract: Contract) -> None:
    recorder, _ = thread_and_message(contract)
    request = asked(
        contract,
        "updateThread",
        path_values={"uuid": ONE},
        query=(("a", "1"), ("a", "\u202e")),
        raw_body=bytes(range(256)),
        actor="nobody",
        headers={"X-A": "b"},
    )
    shown = noted(recorder, request, 500, {})
    found = sequence.from_recording(recorder, contract, "m", broken(contract, shown))
    assert found is not None
    told = sequence.to_json(found, Redactor.from_contract(contract, []))
    text = json.dumps(told, ensure_ascii=False)
    assert text.isascii()
    assert sequence.from_json(json.loads(text), contract) == found


def test_secrets_are_in_no_sequence(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    body = {"password": "canary-password", "name": f"with {SECRET}", "list": [{"token": "canary-2"}]}
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": "canary-3"}
    shown = noted(recorder, asked(contract, "createAgent", body=body, headers=headers), 500, {})
    found = sequence.from_recording(recorder, contract, "m", broken(contract, shown))
    assert found is not None
    text = json.dumps(sequence.to_json(found, Redactor.from_contract(contract, [SECRET])))
    assert "canary" not in text
    assert text.count(REDACTED) == 5


def test_a_request_too_large_is_not_told(contract: Contract) -> None:
    recorder = Recorder.from_contract(contract)
    shown = noted(recorder, asked(contract, "createAgent", body={"name": "x" * sequence.MAX_REQUEST_CHARS}), 500, {})
    found = sequence.from_recording(recorder, contract, "m", broken(contract, shown))
    assert found is not None
    assert sequence.to_json(found, Redactor.from_contract(contract, [])) is None


def test_identifiers_are_swapped_wherever_they_stand(contract: Contract) -> None:
    request = asked(
        contract,
        "updateThread",
        path_values={"uuid": ONE},
        query=(("x", f"{ONE},{OLD}"), ("page", "7")),
        body={"title": f"about {ONE}", "n": 7, "deep": [{"k": ONE}]},
        raw_body=ONE.encode(),
    )
    assert list(find_identifiers(contract, request)) == [ONE, OLD]
    swapped = replace_identifiers(contract, request, {ONE: TWO, "7": "8"})
    assert swapped.path_values == {"uuid": TWO}
    assert swapped.query == (("x", f"{TWO},{OLD}"), ("page", "7"))
    assert swapped.body == {"title": f"about {TWO}", "n": 7, "deep": [{"k": TWO}]}
    assert swapped.raw_body == TWO.encode()


# Asking again ---------------------------------------------------------------------------------------------------


def failure(contract: Contract, operation: str, **parts: Any) -> ReportedFailure:
    """A failure that the engine found on an operation."""
    said: Mapping[str, Any] = {
        "fingerprint": "f",
        "id": "0badcafe",
        "check": "engine-not-a-server-error",
        "operation": operation,
        "parameter": "",
        "requirement": "It holds.",
        "status": "broken",
        "message": "found",
        "location": "spec/openapi.yaml:1 #",
        "pointer": contract.operations[operation].pointer,
        "keyword": "",
        "provenance": "inferred",
        "proposal": None,
        "sequence": None,
    }
    return ReportedFailure(**{**said, **parts})


def test_what_the_engine_found_is_told_by_its_status(contract: Contract) -> None:
    api = mock()
    api.begin_anew()
    made = session(api.app, contract, schemas=api.schemas)
    steps = sequence.RequestSequence(
        "m",
        (
            sequence.TraceStep(asked(contract, "listAgents"), 200, False),
            sequence.TraceStep(asked(contract, "retrieveAgent", path_values={"uuid": OLD}), 200, True),
        ),
        {OLD: IdentifierSource(0, ("data", 0, "uuid"))},
    )
    assert replay.replay(made, failure(contract, "retrieveAgent"), steps, {}).reproduced is True
    other = sequence.RequestSequence(
        "m", (steps.steps[0], sequence.TraceStep(steps.steps[1].request, 500, True)), steps.sources
    )
    assert replay.replay(made, failure(contract, "retrieveAgent"), other, {}).reproduced is False
    deeper = failure(contract, "retrieveAgent", pointer="#/components/schemas/Agent/properties/name")
    assert replay.replay(made, deeper, steps, {}).reproduced is False


def test_nothing_is_written_to_what_the_replay_did_not_make(contract: Contract) -> None:
    api = mock()
    api.begin_anew()
    made = session(api.app, contract, schemas=api.schemas)
    steps = sequence.RequestSequence(
        "m",
        (
            sequence.TraceStep(asked(contract, "listAgents"), 200, False),
            sequence.TraceStep(asked(contract, "deleteAgent", path_values={"uuid": OLD}), 500, True),
        ),
        {OLD: IdentifierSource(0, ("data", 0, "uuid"))},
    )
    found = replay.replay(made, failure(contract, "deleteAgent"), steps, {})
    assert found.reproduced is None
    assert "which the replay did not make" in found.message
    assert made.call_counts["deleteAgent", 204] == 0


def test_an_answer_without_the_identifier_is_said(contract: Contract) -> None:
    api = mock()
    made = session(api.app, contract, schemas=api.schemas)
    steps = sequence.RequestSequence(
        "m",
        (
            sequence.TraceStep(asked(contract, "listAgents"), 200, False),
            sequence.TraceStep(asked(contract, "retrieveAgent", path_values={"uuid": OLD}), 500, True),
        ),
        {OLD: IdentifierSource(0, ("data", 999, "uuid"))},
    )
    found = replay.replay(made, failure(contract, "retrieveAgent"), steps, {})
    assert (found.reproduced, found.message) == (None, "the answer of listAgents shows no identifier at data.999.uuid")


# As a script ----------------------------------------------------------------------------------------------------


def written(contract: Contract, *steps: sequence.TraceStep, said: str = "found", **sources: IdentifierSource) -> str:
    """The script of some steps."""
    settings = from_arguments(["replay", "r.json", "0badcafe", "--base-url", "http://127.0.0.1:9/api/v1"], {}, "")
    known = sequence.RequestSequence("conformance-0badcafe", steps, sources)
    return shell_script.build_script(known, contract, failure(contract, "listAgents", message=said), settings)


def test_nothing_in_a_script_is_run_that_is_a_text(contract: Contract, tmp_path: Path) -> None:
    mark = tmp_path / "run"
    hostile = f"$(touch {mark}) `touch {mark}` '; touch {mark}; ' \" \\ \nconformance-0badcafe"
    request = asked(
        contract,
        "updateThread",
        path_values={"uuid": hostile},
        query=((hostile, hostile),),
        body={hostile: hostile},
        headers={"X-A": hostile.replace("\n", " ")},
        actor="nobody",
    )
    raw = asked(contract, "createThread", raw_body=hostile.encode() + bytes(range(256)), actor="nobody")
    steps = (sequence.TraceStep(request, 200, True), sequence.TraceStep(raw, 200, False))
    text = written(contract, *steps, said=f"x\ntouch {mark}\x1b[0m")
    fake = tmp_path / "curl"
    fake.write_text(f'#!/bin/sh\nfor word; do printf "%s\\n" "$word" >> {tmp_path}/words; done\nprintf 200\n')
    fake.chmod(0o755)
    (tmp_path / "script").write_text(text)
    around = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["sh", tmp_path / "script"], env=around, check=True, capture_output=True, timeout=30)
    assert not mark.exists()
    words = (tmp_path / "words").read_text()
    body = next(line for line in words.splitlines() if line.startswith("{"))
    (name, value), *_ = json.loads(body).items()
    assert name == hostile  # a name is no text of the run
    assert value.startswith(hostile.removesuffix("0badcafe"))
    assert "0badcafe" not in value


ANSWER = {"a": [{"uuid": 'no\\"ne'}, {"x": {"y": [1.5, None, True, "", {"uuid": ONE}]}}], "": {"uuid": 7}, "é": "[{"}


@pytest.mark.parametrize(
    ("path", "found"),
    [("/a/1/x/y/4/uuid", ONE), ("/a/0/uuid", 'no\\\\\\"ne'), ("//uuid", "7"), ("/a/1/x/y/0", "1.5"), ("/b", "")],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_the_script_reads_what_stands_at_a_path(
    contract: Contract, tmp_path: Path, path: str, found: str, indent: int | None
) -> None:
    text = written(contract, sequence.TraceStep(asked(contract, "listAgents", actor="nobody"), 200, True))
    reader = text[text.index("at() {") : text.index("send() {")]
    (tmp_path / "answer").write_text(json.dumps(ANSWER, indent=indent))
    run = f"answer={tmp_path}/answer\n{reader}\nat '{path}'"
    done = subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.removesuffix("\n") == found
