"""All checks on small sound servers that show what once raised false alarms."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from conformance.checks.registry import CHECKS
from conformance.cli.main import main
from conformance.gate.verdict import ExitCode
from conformance.results import Status
from conformance.runner.runner import RunResult, run
from tests.conformance.support.asgi_session import session
from tests.conformance.support.http_server import run_http_server
from tests.conformance.support.notes_server import (
    CONTRACT,
    LABELS,
    Answer,
    Habits,
    Intercept,
    NotesServer,
    json_answer,
    load_contract,
)


def run_checks(server: NotesServer, seed: int = 1) -> RunResult:
    contract_session = session(server, server.contract, seed)
    return run(contract_session, CHECKS, list(server.contract.operations.values()), lambda result: None)


def failures(run_result: RunResult) -> list[str]:
    results = (*run_result.with_status(Status.FAILED), *run_result.flaky)
    return [f"{result.requirement.check} {result.requirement.operation}: {result.message}" for result in results]


REQUIRED = "required: [title, folder]  # of an update"


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
@pytest.mark.parametrize(
    "update_schema",
    [REQUIRED, "minProperties: 1", "minProperties: 2", "anyOf: [{required: [title]}, {required: [text, folder]}]"],
)
def test_update_that_requires_properties_raises_no_alarm(update_schema: str, seed: int) -> None:
    """`{}` is no valid update: it is rejected before the record is looked up."""
    server = NotesServer(load_contract(CONTRACT.replace(REQUIRED, update_schema)))
    run_result = run_checks(server, seed)
    assert not failures(run_result)
    assert {200, 401, 404, 422} <= {status for method, _, status in server.request_log if method == "PUT"}
    assert b"{}" not in server.update_bodies
    passed = {(r.requirement.check, r.requirement.operation) for r in run_result.with_status(Status.PASSED)}
    assert ("model-update", "updateNote") in passed


# Habits of frameworks and databases

SLASHES = (("  /notes:", "  /notes/:"), ("  /notes/{id}:", "  /notes/{id}/:"))
STATUS_400 = (
    (
        '        "422": {$ref: "#/components/responses/Invalid"}',
        '        "400": {$ref: "#/components/responses/Invalid"}',
    ),
)
EMPTY_UPDATE = (
    ("    put:\n", "    patch:\n"),
    (
        'NoteUpdate"}}}}\n      responses:\n        "200": {$ref: "#/components/responses/Note"}',
        'NoteUpdate"}}}}\n      responses:\n        "204": {description: Updated}',
    ),
)
KEY_ONLY = (
    (
        '        "201": {$ref: "#/components/responses/Note"}',
        """        "201":
          description: The key of the new note
          content:
            application/json:
              schema: {type: array, items: {type: object, required: [id], properties: {id: {type: integer}}}}""",
    ),
)
AGE = (
    (
        "readOnly: true, x-stamp: number}\n",
        "readOnly: true, x-stamp: number}\n        age: {type: integer, readOnly: true, nullable: true}\n",
    ),
)
BULK = (
    (
        "components:\n",
        """  /notes/bulk:
    post:
      operationId: createNotes
      requestBody:
        required: true
        content: {application/json: {schema: {type: array, items: {$ref: "#/components/schemas/NoteInput"}}}}
      responses:
        "201":
          description: The notes
          content: {application/json: {schema: {type: array, items: {$ref: "#/components/schemas/Note"}}}}
        "401": {$ref: "#/components/responses/Error"}
        "422": {$ref: "#/components/responses/Invalid"}
components:
""",
    ),
)


def create_server(edits: Sequence[tuple[str, str]], habits: Habits) -> NotesServer:
    text = CONTRACT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return NotesServer(load_contract(text), habits=habits)


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("edits", "habits"),
    [
        pytest.param(SLASHES, Habits(), id="paths end in a slash"),
        pytest.param(STATUS_400, Habits(invalid_status=400), id="400 as the validation status"),
        pytest.param(EMPTY_UPDATE, Habits(has_empty_updates=True), id="PATCH answered 204"),
        pytest.param((), Habits(reuses_keys=True), id="keys of deleted records are used again"),
        pytest.param((), Habits(has_unique_titles=True), id="unique values"),
        pytest.param(KEY_ONLY, Habits(returns_key_only=True), id="create returns the key only"),
        pytest.param(AGE, Habits(counts_seconds=True), id="property that moves with the clock"),
        pytest.param(BULK, Habits(), id="bulk bodies"),
    ],
)
def test_sound_habit_raises_no_alarm(edits: Sequence[tuple[str, str]], habits: Habits, seed: int) -> None:
    run_result = run_checks(create_server(edits, habits), seed)
    assert not failures(run_result)
    passed = {(r.requirement.check, r.requirement.operation) for r in run_result.with_status(Status.PASSED)}
    assert {("model-update", "updateNote"), ("model-delete", "deleteNote"), ("model-list", "listNotes")} <= passed


# Refused access


class CommandRun:
    """A run of the command on a server. `report`: the JSON report."""

    def __init__(self, server: NotesServer, folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> None:
        contract = folder / "notes.yaml"
        contract.write_text(server.contract.document.content.decode())
        arguments = ["--contract", str(contract), "--no-fuzzing", "--report-dir", str(folder), *options]
        with run_http_server(server) as base:
            env = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
            self.code = main(["run", "--base-url", f"{base}/api", *arguments], env)
        self.output = "".join(capsys.readouterr())
        self.report: Any = json.loads((folder / "conformance.json").read_text())

    @property
    def abort_reason(self) -> str:
        return str(self.report["run"]["abort_reason"])

    @property
    def failed(self) -> list[str]:
        results = self.report["results"]
        return [f"{r['check']} {r['operation']}: {r['message']}" for r in results if r["status"] == "failed"]


def refuse_after(number: int, answer: Answer, methods: tuple[str, ...] = ()) -> Intercept:
    """Refuse all requests with a token, of some methods or of all, after the first ones."""
    numbers = itertools.count(1)

    def intercept(method: str, path: str, token: str) -> Answer | None:
        is_refused = bool(token) and (not methods or method in methods)
        return answer if is_refused and next(numbers) > number else None

    return intercept


EXPIRED = json_answer(401, {"message": "The token has expired."})
BLOCKED = (403, "text/html", b"<html><head><title>Request blocked by the firewall</title></head><body>1</body></html>")
READ_ONLY = json_answer(403, {"error": {"message": "Maintenance: read-only."}})


@pytest.mark.parametrize("number", [3, 7, 30, 90])
@pytest.mark.parametrize(
    ("answer", "message"),
    [(EXPIRED, "401 (The token has expired.)"), (BLOCKED, "403 (Request blocked by the firewall)")],
)
def test_run_ends_when_the_target_starts_to_refuse_it(
    answer: Answer, message: str, number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = NotesServer(intercept=refuse_after(number, answer))
    run_ = CommandRun(server, tmp_path, capsys)
    assert run_.code == ExitCode.INCOMPLETE, run_.output
    assert f"returned {message}" in run_.abort_reason
    assert "the target does not accept the token in $ATHENA_TOKEN any more: " in run_.abort_reason
    assert not run_.failed
    # The refused request, the probes, and the deletion of created records.
    assert sum(status == answer[0] for method, _, status in server.request_log if method == "GET") < 40


@pytest.mark.parametrize(
    ("answer", "code", "message"),
    [
        (
            EXPIRED,
            ExitCode.INCOMPLETE,
            "the target rejects the token in $ATHENA_TOKEN: GET /notes returned 401 (The token",
        ),
        (READ_ONLY, ExitCode.INCOMPLETE, "GET /notes returned 403 (Maintenance: read-only.): use the token of a user"),
        (BLOCKED, ExitCode.TARGET_UNREACHABLE, "an HTML page (403: Request blocked by the firewall) instead of JSON"),
    ],
)
def test_refusal_at_the_start_is_named(
    answer: Answer, code: ExitCode, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_ = CommandRun(NotesServer(intercept=refuse_after(0, answer)), tmp_path, capsys)
    assert (run_.code, run_.failed) == (code, []), run_.output
    assert message in run_.output


@pytest.mark.parametrize("status", [403, 405, 423])
def test_read_only_target_ends_the_run(status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = (status, *READ_ONLY[1:3])
    server = NotesServer(intercept=refuse_after(0, answer, ("POST", "PUT", "DELETE")))
    run_ = CommandRun(server, tmp_path, capsys)
    assert run_.code == ExitCode.INCOMPLETE, run_.output
    refusal = f"returned {status} (Maintenance: read-only.): use a token that may write, or --read-only"
    assert "the target refuses every write" in run_.abort_reason
    assert refusal in run_.abort_reason
    assert not run_.failed
    assert CommandRun(NotesServer(), tmp_path, capsys, "--read-only").code == ExitCode.PASSED


@pytest.mark.slow
def test_refusal_of_one_operation_does_not_end_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = NotesServer(intercept=refuse_after(0, READ_ONLY, ("DELETE",)))
    run_ = CommandRun(server, tmp_path, capsys)
    assert not run_.abort_reason, run_.output
    assert any("deleteNote" in failure for failure in run_.failed)


@pytest.mark.slow
def test_run_waits_for_a_rate_limit_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = itertools.count(1)
    limit = (*json_answer(429, {"message": "Too many requests."})[:3], {"retry-after": "1"})

    def intercept(method: str, path: str, token: str) -> Answer | None:
        return limit if next(numbers) in (1, 40) else None

    run_ = CommandRun(NotesServer(intercept=intercept), tmp_path, capsys)
    assert (run_.code, run_.failed) == (ExitCode.PASSED, []), run_.output
    assert "the target limits the rate: waited 2 s for 429 (too many requests), 2 times" in run_.output


def test_rate_limit_at_the_start_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limit = (*json_answer(429, {"message": "Too many requests."})[:3], {"retry-after": "0"})
    run_ = CommandRun(NotesServer(intercept=lambda method, path, token: limit), tmp_path, capsys)
    assert (run_.code, run_.failed) == (ExitCode.INCOMPLETE, []), run_.output
    assert "got 429 (too many requests) after all retries" in run_.output


@pytest.mark.parametrize("status", [pytest.param(401, marks=pytest.mark.slow), 403])
def test_list_that_refuses_the_second_token_does_not_end_the_run(
    status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def intercept(method: str, path: str, token: str) -> Answer | None:
        if path == "/labels" and token:
            return json_answer(200, {"data": ["a"]})
        is_refused = path == "/notes" and token == "other-token"
        return json_answer(status, {"message": "This action is unauthorized."}) if is_refused else None

    contract = load_contract(CONTRACT.replace("paths:\n", LABELS))
    run_ = CommandRun(NotesServer(contract, intercept), tmp_path, capsys)
    assert not run_.abort_reason, run_.output
    assert run_.code in (ExitCode.PASSED, ExitCode.FAILED), run_.output


def test_second_token_that_every_list_refuses_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def intercept(method: str, path: str, token: str) -> Answer | None:
        return EXPIRED if token == "other-token" else None

    run_ = CommandRun(NotesServer(intercept=intercept), tmp_path, capsys)
    assert run_.code == ExitCode.INCOMPLETE
    assert "the target rejects the token in $ATHENA_OTHER_TOKEN: GET /notes returned 401 (The token" in run_.output
