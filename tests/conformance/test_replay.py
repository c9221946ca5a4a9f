"""`replay`: a failure of a report is reproduced where the fault is, and is not where it is not; as a script too."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.__main__ import main
from conformance.laws import LAWS
from conformance.laws.law import Law
from conformance.retrial import NOTICED
from conformance.verdict import Code
from tests.conformance.judging import mock
from tests.conformance.serving import serving
from tests.conformance.writing_faults import Answered, Asked, Faulty, Next

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


# Fault -> the operation that shows it, the law that tells of it, and whether statuses alone tell the fault.
FAULTS: dict[Fault, tuple[str, str, bool]] = {
    breaks_the_schema: ("retrieveAgent", "answers-fit-the-schema", False),
    answers_another_status: ("createAgent", "status-is-documented", True),
    loses_writes: ("updateAgent", "update-changes-what-was-sent", False),
    overlaps_pages: ("listAgents", "pages-do-not-overlap-and-are-whole", False),
    ignores_the_token: ("listAgents", "strangers-get-nothing", True),
    fails_at_a_long_page: ("listAgents", "no-server-error", True),
}


def laws_of(law: str) -> list[Law]:
    """The law and, before those that judge what others have seen, laws that ask much."""
    asking = (
        [] if law not in NOTICED else [one for one in LAWS if one.id in ("past-the-end-is-empty", "create-is-stored")]
    )
    return [*asking, *(one for one in LAWS if one.id == law)]


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
    assert replayed(report, failures[0], fault) == Code.BROKEN
    assert "\nREPRODUCED (exit 1)" in capsys.readouterr().out
    assert records() == before, "the replay takes away what it made"
    assert replayed(report, failures[0], None) == Code.KEPT
    assert "\nNOT REPRODUCED (exit 0)" in capsys.readouterr().out


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
