"""The suite judges backends, not our mock: a Flask application with SQL of its own passes, and fails with each bug."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from conformance.checks.writes.text_roundtrip import CHECKS
from conformance.results import CheckResult, Status
from conformance.runner.runner import run as run_laws
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from spec.loader import Contract
from spec.validators import SchemaValidators
from tests.mock_server.athena import athena_contract, athena_schemas
from tests.reference_backend import judge
from tests.reference_backend.bugs import BUGS
from tests.reference_backend.process import TOKENS, serving

# Bugs that the suite does not find yet, or finds on another operation -> what it would take.
NOT_YET = {
    "oldest-first": "a word of the contract that says in which order a list stands that was not asked for one",
    "files-are-not-saved": "a word of the contract that says what `files` become",
}

EACH = 4  # of so many bugs one is judged here; `python -m tests.reference_backend.judge` judges them all
APP_TOKEN = "getAuthenticatedUserByAppToken"
FOLDER = Path(__file__).parents[1] / "reference_backend"
ROOMS = {"spec", "fixtures", "mock_server", "conformance"}


@pytest.fixture(scope="module")
def clean() -> Iterator[str]:
    """The backend without a bug."""
    with serving() as base:
        yield base


def imports(file: Path) -> Iterator[str]:
    """The modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_backend_knows_nothing_of_the_project() -> None:
    found = {(file.name, name) for file in FOLDER.glob("*.py") for name in imports(file)}
    assert ("application.py", "flask") in found
    assert [pair for pair in found if pair[1].partition(".")[0] in ROOMS] == []
    assert [pair for pair in found if pair[1].startswith("tests.") and "reference_backend" not in pair[1]] == []


def test_every_bug_is_planted_somewhere_and_names_operations_that_are_served() -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in FOLDER.glob("*.py"))
    asked = set(re.findall(r'(?:planted\(|forgotten=|deleted=)"([a-z0-9-]+)"', sources))
    assert asked == set(BUGS)
    assert {operation for bug in BUGS.values() for operation in (*bug.operations, *bug.asked)} <= {*judge.OPERATIONS}
    assert NOT_YET.keys() <= BUGS.keys()
    assert set(judge.OPERATIONS) <= athena_contract().operations.keys()


def test_the_backend_signs_in_creates_and_lists(clean: str) -> None:
    with httpx.Client(base_url=clean) as client:
        signed = client.post("/auth/sign-in", json={"email": "ada.lindqvist@example.com", "password": "password"})
        client.headers["Authorization"] = f"Bearer {signed.json()['data']['token']}"
        thread = client.post("/threads", json={"name": "It's 100% new"})
        assert thread.status_code == 201
        said = {
            "thread_uuid": thread.json()["data"]["uuid"],
            "content": "Hello",
            "files": [{"key": "a/b.png", "name": "b"}],
        }
        message = client.post("/messages", json=said).json()["data"]
        assert message["attachments"][0]["attachable"]["mime_type"] == "image/png"
        listed = client.get("/messages", params={"thread_uuid": said["thread_uuid"]}).json()
        assert [row["uuid"] for row in listed["data"]] == [message["uuid"]]
        found = client.get("/threads", params={"search": "it's 100%"}).json()
        assert [row["uuid"] for row in found["data"]] == [said["thread_uuid"]]
        assert client.post("/auth/logout").status_code == 204
        assert client.get("/user").status_code == 401


def broken_texts(base: str, contract: Contract, schemas: SchemaValidators) -> list[CheckResult]:
    """What the law on texts calls broken of creating a thread."""
    target = HttpTarget(base, dict(zip(("self", "other"), TOKENS, strict=True)), Budget(None, None))
    session = Session(contract, schemas, target, WriteLog("test"), PayloadFactory(contract, "run1", Random(1)))
    try:
        done = run_laws(session, CHECKS, [contract.operations["createThread"]], lambda outcome: None)
    finally:
        target.close()
    assert any(done.results)
    return list(done.with_status(Status.FAILED))


def test_a_bug_is_found_by_its_law_and_a_clean_backend_is_not_blamed(clean: str) -> None:
    contract, schemas = athena_contract(), athena_schemas()
    assert broken_texts(clean, contract, schemas) == []
    with serving("inner-white-space-folded") as base:
        (broken,) = broken_texts(base, contract, schemas)
    assert (broken.requirement.operation, broken.requirement.parameter) == ("createThread", "name lines")


def test_a_bug_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(RuntimeError, match="ended with 2"), serving("no-such-bug"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_clean_backend_passes_also_under_strict(clean: str, seed: int) -> None:
    judged = judge.run(clean, [o for o in judge.OPERATIONS if o != APP_TOKEN], seed=seed, engine=True)
    assert (judged.code, judged.broken, judged.flaky) == (0, (), 0), judged
    assert judged.judged > 500


@pytest.mark.slow
def test_what_was_kept_once_blocks_by_the_ratchet_though_it_is_inferred(clean: str, tmp_path: Path) -> None:
    """A bug against what nobody documented: let pass by default, red where a clean run was recorded."""
    bug, ratchet = "length-not-checked", ["--ratchet", str(tmp_path / "kept.json")]
    asked = judge.scope(bug)
    recorded = judge.run(clean, asked, strict=False, more=[*ratchet, "--update-ratchet"])
    with serving(bug) as base:
        plain = judge.run(base, asked, strict=False)
        held = judge.run(base, asked, strict=False, more=ratchet)
    assert (recorded.code, plain.code, held.code) == (0, 0, 1)
    assert list(held.on(BUGS[bug].operations))


@pytest.mark.slow
def test_a_blank_header_beside_a_good_bearer_is_nobody_s_fault(clean: str) -> None:
    judged = judge.run(clean, [APP_TOKEN], engine=True)
    assert (judged.code, judged.broken, judged.flaky) == (0, (), 0), judged


@pytest.mark.slow
@pytest.mark.parametrize(("bug", "code"), [("created-is-answered-200", 0), ("tenant-not-looked-at-in-retrieve", 1)])
def test_without_strict_only_what_is_known_or_always_holds_is_red(bug: str, code: int) -> None:
    with serving(bug) as base:
        judged = judge.run(base, BUGS[bug].operations, strict=False)
    assert judged.code == code
    assert any(finding.blocks for finding in judged.broken) == (code == 1)
    assert judged.broken


@pytest.mark.slow
@pytest.mark.parametrize(
    "bug",
    [
        # Those that are not found yet may be found as soon as somebody writes what it takes.
        pytest.param(bug, marks=[pytest.mark.xfail(reason=NOT_YET[bug])] if bug in NOT_YET else [])
        for bug in list(BUGS)[::EACH]
    ],
)
def test_a_bug_fails_the_run_and_the_report_names_its_operation(bug: str) -> None:
    judged = judge.judge(bug, (*BUGS[bug].operations, *BUGS[bug].asked))
    assert judge.found(bug, judged), judge.row(bug, judged)
