"""`replay`: a failure of a report is reproduced where the fault is, and is not where it is not; as a script too."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.checks import CHECKS
from conformance.checks.support.check import Check
from conformance.cli.main import main
from conformance.gate.verdict import ExitCode
from conformance.past_runs.replay import RESPONSE_CHECK_IDS
from tests.conformance.check_runner import mock
from tests.conformance.serving import serving
from tests.conformance.writing_faults import Answered, Asked, Faulty, Next

pytestmark = pytest.mark.slow  # each case is a run of its own, over a served mock or the engine's cases

TOKENS = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
Fault = Callable[[Asked, Next, dict[str, Any]], Any]


async def breaks_the_schema(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """A record shows a number where a text is due."""
    answered: Answered = await ask(asked)
    is_agent = asked.method == "GET" and asked.path.startswith("/agents/") and answered.status == 200
    return answered.with_data(name=7) if is_agent else answered


async def answers_another_status(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """What was created is answered with 202."""
    answered: Answered = await ask(asked)
    created = asked.method == "POST" and asked.path == "/agents" and answered.status == 201
    return Answered(202, answered.headers, answered.raw) if created else answered


async def loses_writes(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """An update is answered as it is due, and the name not stored."""
    if asked.method != "PUT" or not isinstance(asked.body, dict) or "name" not in asked.body:
        other: Answered = await ask(asked)
        return other
    before: Answered = await ask(Asked("GET", asked.path, "", asked.headers, b""))
    answered: Answered = await ask(asked)
    if before.status == answered.status == 200:
        await ask(asked.saying({"name": before.body["data"]["name"]}))
    return answered


async def overlaps_pages(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Every page of agents is the first one."""
    if asked.method == "GET" and asked.path == "/agents":
        pairs = [pair for pair in asked.query.split("&") if not pair.startswith("page=")]
        asked = Asked("GET", asked.path, "&".join(pairs), asked.headers, b"")
    answered: Answered = await ask(asked)
    return answered


async def ignores_the_token(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Everybody is the first user."""
    answered: Answered = await ask(asked.by("demo-token"))
    return answered


async def fails_at_a_long_page(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """A page far behind the end is too much for the server."""
    answered: Answered = await ask(asked)
    far = any(pair.startswith("page=") and int(pair[5:] or 0) > 30 for pair in asked.query.split("&"))
    return Answered(500, {"content-type": "application/json"}, b'{"message": "Server Error"}') if far else answered


async def takes_any_query(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """A list that refuses nothing: what it does not understand, it leaves out."""
    answered: Answered = await ask(asked)
    if asked.method == "GET" and asked.path == "/agents" and answered.status == 422:
        sound: Answered = await ask(Asked("GET", asked.path, "", asked.headers, b""))
        return sound
    return answered


async def refuses_tags(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Tags are refused, whatever the contract says."""
    body = asked.body
    if asked.method == "POST" and asked.path == "/prompts" and isinstance(body, dict) and body.get("tags"):
        said = b'{"message": "No.", "errors": {"tags": ["No tags."]}}'
        return Answered(422, {"content-type": "application/json"}, said)
    answered: Answered = await ask(asked)
    return answered


# Fault -> the operation that shows it, the law that tells of it, and whether statuses alone tell the fault.
FAULTS: dict[Fault, tuple[str, str, bool]] = {
    breaks_the_schema: ("retrieveAgent", "response-matches-schema", False),
    answers_another_status: ("createAgent", "status-is-documented", True),
    loses_writes: ("updateAgent", "update-changes-only-sent-fields", False),
    overlaps_pages: ("listAgents", "pages-are-complete", False),
    ignores_the_token: ("listAgents", "unauthenticated-access-denied", True),
    fails_at_a_long_page: ("listAgents", "no-server-error", True),
}


def laws_of(law: str) -> list[Check]:
    """The law and, before those that judge what others have seen, laws that ask much."""
    asking = (
        []
        if law not in RESPONSE_CHECK_IDS
        else [one for one in CHECKS if one.id in ("page-past-end-is-empty", "create-is-stored")]
    )
    return [*asking, *(one for one in CHECKS if one.id == law)]


def reported(folder: Path, fault: Fault) -> tuple[Path, list[dict[str, Any]]]:
    """The report of a run against the fault, and the failures of its law that it tells of."""
    operation, law, _ = FAULTS[fault]
    api = mock()
    api.begin_anew()
    with serving(Faulty(api.app, fault)) as base:
        main(["run", "--base-url", base, "--operation", operation, "--report-dir", str(folder)], TOKENS, laws_of(law))
    said = json.loads((folder / "conformance.json").read_text())
    return folder / "conformance.json", [p for p in said["promises"] if (p["law"], p["verdict"]) == (law, "broken")]


def replayed(report: Path, failure: dict[str, Any], fault: Fault | None, *more: str) -> int:
    """What `replay` ends with against a fresh server, with the fault or without."""
    api = mock()
    api.begin_anew()
    with serving(Faulty(api.app, fault) if fault else api.app) as base:
        return main(["replay", str(report), failure["short"], "--base-url", base, *more], TOKENS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_failure_is_reproduced_where_the_fault_is_and_nowhere_else(
    fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, failures = reported(tmp_path, fault)
    assert failures, capsys.readouterr().out
    mock().begin_anew()
    before = records()
    assert replayed(report, failures[0], fault) == ExitCode.FAILED
    assert "\nREPRODUCED (exit 1)" in capsys.readouterr().out
    assert records() == before, "the replay takes away what it made"
    assert replayed(report, failures[0], None) == ExitCode.PASSED
    assert "\nNOT REPRODUCED (exit 0)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "operation", "law"),
    [
        (takes_any_query, "listAgents", "engine-negative-data-rejection"),
        (refuses_tags, "createPrompt", "engine-positive-data-acceptance"),
    ],
)
def test_what_the_engine_found_is_reproduced_where_the_fault_is_and_nowhere_else(
    fault: Fault, operation: str, law: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api = mock()
    api.begin_anew()
    with serving(Faulty(api.app, fault)) as base:
        main(["run", "--base-url", base, "--operation", operation, "--report-dir", str(tmp_path)], TOKENS)
    said = json.loads((tmp_path / "conformance.json").read_text())["promises"]
    failures = [one for one in said if (one["law"], one["verdict"]) == (law, "broken")]
    assert failures, capsys.readouterr().out
    report = tmp_path / "conformance.json"
    assert replayed(report, failures[0], fault) == ExitCode.FAILED, capsys.readouterr().out
    assert replayed(report, failures[0], None) == ExitCode.PASSED, capsys.readouterr().out


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_script_asks_the_same_of_a_fresh_server(
    fault: Fault, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, failures = reported(tmp_path, fault)
    capsys.readouterr()
    assert main(["replay", str(report), failures[0]["short"], "--sh"], TOKENS) == 0
    script = capsys.readouterr().out
    assert not any(token in script for token in TOKENS.values())
    mock().begin_anew()
    before = records()
    code, said = ran(script, fault)
    assert code == 0, said
    steps = failures[0]["sequence"]["steps"]
    assert sum(" in the run" in line for line in said) == len(steps)
    shown = [step["shown"] for step in steps]
    assert script.count('cat "$answer"; echo') == sum(shown) + (not shown[-1]), "it prints every answer that shows it"
    assert records() == before, "the script takes away what it made"
    code, said = ran(script, None)
    assert code == (1 if FAULTS[fault][2] else 0), said


def records() -> int:
    """How many agents the mock has."""
    return int(mock().whole("listAgents")["meta"]["total"])


def ran(script: str, fault: Fault | None) -> tuple[int, list[str]]:
    """Exit code and lines of a script against a fresh server."""
    api = mock()
    api.begin_anew()
    with serving(Faulty(api.app, fault) if fault else api.app) as base:
        around = {**os.environ, **TOKENS, "BASE_URL": f"{base}/api/v1"}
        done = subprocess.run(["sh"], input=script, env=around, capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr
    return done.returncode, done.stdout.splitlines()


# What cannot be used --------------------------------------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command line that cannot be used is told: one line."""
    assert main(["replay", *arguments], TOKENS) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    return err.removeprefix("athena-conformance: ").rstrip()


def promise(short: str, **more: Any) -> dict[str, Any]:
    """A promise as a report tells of it."""
    texts = dict.fromkeys(("parameter", "sentence", "said", "grade"), "x")
    place = {"file": "f", "line": 1, "pointer": "#"}
    said = {"id": f"f {short}", "short": short, "law": "l", "operation": "listAgents", "verdict": "broken", **texts}
    return {**said, "place": place, "sequence": None, **more}


def report_of(folder: Path, *promises: Any, **more: Any) -> str:
    """A report's file."""
    run = {"target": "http://127.0.0.1:9/api/v1", "seed": 1, "id": "r", "started": "s", "digest": "d"}
    (folder / "r.json").write_text(json.dumps({"version": 1, "run": run, "promises": promises, "answers": {}, **more}))
    return str(folder / "r.json")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found no JSON"),
        (b'{"version": 1, "run": {', "found no JSON"),
        (b"\xff\xfe", "found no JSON"),
        (b"[" * 100_000, "found no JSON"),
        (b"[]", "found version 'list'; allowed: the conformance.json of an earlier run, version 1"),
        (b'{"version": 7}', "found version 7; allowed"),
        (b'{"version": 1}', "found KeyError('run'); allowed"),
        (b'{"version": 1, "run": [], "promises": []}', "allowed: the conformance.json of an earlier run"),
        (
            b'{"version": 1, "run": {"target": "t", "seed": "x"}, "promises": [1]}',
            "allowed: the conformance.json of an earlier run",
        ),
    ],
)
def test_a_file_that_is_no_report_is_refused_in_one_line(
    content: bytes, found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.json").write_bytes(content)
    assert found in told(capsys, str(tmp_path / "r.json"), "0badcafe")


def test_no_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "found no readable file (No such file or directory)" in told(capsys, str(tmp_path / "r.json"), "0badcafe")


def test_an_id_that_is_none_is_told_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = report_of(tmp_path, promise("aaaa1111"), promise("aaaa2222"), promise("bbbb1111", verdict="kept"))
    listed = "allowed: aaaa1111 (listAgents l), aaaa2222 (listAgents l)"
    assert told(capsys, file, "bbbb1111") == f"id: found 'bbbb1111', which 0 failures have; {listed}"
    assert told(capsys, file, "aaaa") == f"id: found 'aaaa', which 2 failures have; {listed}"


def test_a_report_without_failures_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = report_of(tmp_path, promise("aaaa1111", verdict="kept"))
    assert "allowed: none: the report tells of nothing broken" in told(capsys, file, "aaaa1111")


def test_an_operation_that_the_contract_does_not_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = report_of(tmp_path, promise("aaaa1111", operation="none"))
    assert "found the operation 'none'; allowed: one of the contract's" in told(capsys, file, "aaaa1111")


def test_a_failure_without_requests_has_no_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = report_of(tmp_path, promise("aaaa1111"))
    assert "found no requests in the report" in told(capsys, file, "aaaa1111", "--sh")


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"steps": [], "identifiers": [], "marker": ""},
        {"steps": [{}], "identifiers": [], "marker": ""},
        {"steps": [{"operation": "none"}], "identifiers": [], "marker": ""},
        {"steps": [{"operation": "listAgents", "sent": "{"}], "identifiers": [], "marker": ""},
    ],
)
def test_a_sequence_that_no_run_wrote_is_refused(said: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = report_of(tmp_path, promise("aaaa1111", sequence=said))
    assert told(capsys, file, "aaaa1111", "--sh").startswith("the report's sequence: found")


def test_a_target_that_is_gone_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = report_of(tmp_path, promise("aaaa1111", law="page-past-end-is-empty"))
    assert main(["replay", file, "aaaa1111"], TOKENS) == ExitCode.TARGET_UNREACHABLE
    assert capsys.readouterr().out.startswith("TARGET LOST (exit 3): http://127.0.0.1:9/api/v1 did not answer")
