"""The suite on a separate Flask backend: it passes without a bug and fails with each bug."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import httpx
import pytest

from conformance.model.checks import model_create
from conformance.results import CheckResult, Status
from conformance.runner.runner import run as run_checks
from conformance.session.options import RunOptions
from conformance.session.payloads import PayloadFactory
from conformance.session.session import Session
from conformance.session.write_log import WriteLog
from conformance.transport.client import Budget, HttpTarget
from spec.model import Contract
from spec.validators import SchemaValidators
from tests.mock_process import ROOT
from tests.mock_server.athena import athena_contract, athena_schemas
from tests.reference_backend import run_suite
from tests.reference_backend.bugs import BUGS, UNDETECTED_BUGS
from tests.reference_backend.process import TOKENS, run_backend

BUG_STEP = 4  # every fourth bug is tested; `python -m tests.reference_backend.run_suite` runs all
APP_TOKEN = "getAuthenticatedUserByAppToken"
FOLDER = ROOT / "tests" / "reference_backend"
PACKAGES = {"spec", "fixtures", "mock_server", "conformance"}


@pytest.fixture(scope="module")
def backend() -> Iterator[str]:
    """The backend without a bug."""
    with run_backend() as base:
        yield base


def imported_modules(file: Path) -> Iterator[str]:
    """The modules that a file imports."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_backend_does_not_import_the_project() -> None:
    files = [file for file in FOLDER.glob("*.py") if file.name not in ("run_suite.py", "compare.py")]
    imports = {(file.name, name) for file in files for name in imported_modules(file)}
    assert ("application.py", "flask") in imports
    assert [pair for pair in imports if pair[1].partition(".")[0] in PACKAGES] == []
    assert [pair for pair in imports if pair[1].startswith("tests.") and "reference_backend" not in pair[1]] == []


def test_every_bug_is_implemented_and_names_served_operations() -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in FOLDER.glob("*.py"))
    names = set(re.findall(r'(?:is_enabled\(|tenant_bug=|deleted_bug=)"([a-z0-9-]+)"', sources))
    assert names == set(BUGS)
    assert {operation for bug in BUGS.values() for operation in (*bug.operations, *bug.related_operations)} <= {
        *run_suite.OPERATIONS
    }
    assert UNDETECTED_BUGS.keys() <= BUGS.keys()
    assert set(run_suite.OPERATIONS) <= athena_contract().operations.keys()


def test_backend_signs_in_creates_and_lists(backend: str) -> None:
    with httpx.Client(base_url=backend) as client:
        sign_in = client.post("/auth/sign-in", json={"email": "ada.lindqvist@example.com", "password": "password"})
        client.headers["Authorization"] = f"Bearer {sign_in.json()['data']['token']}"
        thread = client.post("/threads", json={"name": "It's 100% new"})
        assert thread.status_code == 201
        payload = {
            "thread_uuid": thread.json()["data"]["uuid"],
            "content": "Hello",
            "files": [{"key": "a/b.png", "name": "b"}],
        }
        message = client.post("/messages", json=payload).json()["data"]
        assert message["attachments"][0]["attachable"]["mime_type"] == "image/png"
        messages = client.get("/messages", params={"thread_uuid": payload["thread_uuid"]}).json()
        assert [row["uuid"] for row in messages["data"]] == [message["uuid"]]
        threads = client.get("/threads", params={"search": "it's 100%"}).json()
        assert [row["uuid"] for row in threads["data"]] == [payload["thread_uuid"]]
        assert client.post("/auth/logout").status_code == 204
        assert client.get("/user").status_code == 401


def failed_creates(base: str, contract: Contract, schemas: SchemaValidators) -> list[CheckResult]:
    """The failures of the model on createThread."""
    target = HttpTarget(base, dict(zip(("self", "other", "member"), TOKENS, strict=True)), Budget(None, None))
    payloads, options = PayloadFactory(contract, "run1", Random(1)), RunOptions(reduction_requests=0)
    session = Session.create(contract, schemas, target, WriteLog("test"), payloads, options)
    try:
        done = run_checks(session, [model_create], [contract.operations["createThread"]], lambda outcome: None)
    finally:
        target.close()
    assert any(done.results)
    return list(done.with_status(Status.FAILED))


def test_text_bug_fails_its_check_and_backend_without_bug_passes(backend: str) -> None:
    contract, schemas = athena_contract(), athena_schemas()
    assert failed_creates(backend, contract, schemas) == []
    with run_backend("inner-white-space-folded") as base:
        (broken,) = failed_creates(base, contract, schemas)
    assert (broken.requirement.operation, broken.requirement.parameter) == ("createThread", "name")


def test_unknown_bug_is_rejected() -> None:
    with pytest.raises(RuntimeError, match="exited with 2"), run_backend("no-such-bug"):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_backend_without_bug_passes_under_strict(backend: str, seed: int) -> None:
    operations = [o for o in run_suite.OPERATIONS if o != APP_TOKEN]
    suite_run = run_suite.run(backend, operations, seed=seed, fuzzing=True)
    assert (suite_run.exit_code, suite_run.failures, suite_run.flaky) == (0, (), 0), suite_run
    assert suite_run.checks_run > 500


@pytest.mark.slow
def test_ratchet_blocks_inferred_requirement_that_passed_before(backend: str, tmp_path: Path) -> None:
    """A bug against an inferred requirement: accepted by default, blocking once a passing run was recorded."""
    bug, ratchet = "length-not-checked", ["--ratchet", str(tmp_path / "ratchet.json")]
    operations = run_suite.select_operations(bug)
    recorded = run_suite.run(backend, operations, strict=False, options=[*ratchet, "--update-ratchet"])
    with run_backend(bug) as base:
        plain = run_suite.run(base, operations, strict=False)
        ratcheted = run_suite.run(base, operations, strict=False, options=ratchet)
    assert (recorded.exit_code, plain.exit_code, ratcheted.exit_code) == (0, 0, 1)
    assert list(ratcheted.failures_on(BUGS[bug].operations))


@pytest.mark.slow
def test_blank_header_with_valid_bearer_token_passes(backend: str) -> None:
    suite_run = run_suite.run(backend, [APP_TOKEN], fuzzing=True)
    assert (suite_run.exit_code, suite_run.failures, suite_run.flaky) == (0, (), 0), suite_run


@pytest.mark.slow
@pytest.mark.parametrize(("bug", "code"), [("page-zero-is-taken", 0), ("tenant-not-looked-at-in-retrieve", 1)])
def test_without_strict_only_blocking_failures_fail_the_run(bug: str, code: int) -> None:
    with run_backend(bug) as base:
        suite_run = run_suite.run(base, BUGS[bug].operations, strict=False)
    assert suite_run.exit_code == code
    assert any(failure.is_blocking for failure in suite_run.failures) == (code == 1)
    assert suite_run.failures


@pytest.mark.slow
@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, marks=[pytest.mark.xfail(reason=UNDETECTED_BUGS[bug])] if bug in UNDETECTED_BUGS else [])
        for bug in list(BUGS)[::BUG_STEP]
    ],
)
def test_bug_fails_the_run_on_its_operation(bug: str) -> None:
    suite_run = run_suite.run_with_bug(bug, (*BUGS[bug].operations, *BUGS[bug].related_operations))
    assert run_suite.is_detected(bug, suite_run), run_suite.format_row(bug, suite_run)
