"""What a killed run leaves behind: its ledger, as torn as it is, and the word that takes everything away."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from conformance.cli.main import main
from conformance.errors import UsageError
from conformance.gate.verdict import ExitCode
from conformance.session.cleanup import RunCleanup
from conformance.session.mutable_records import MutableRecords
from conformance.session.session import Session
from conformance.session.write_log import RecordKey, WriteLog, read_write_log
from spec.loader import Contract
from tests.conformance.served import session
from tests.mock_server.athena import Api, athena_contract, athena_schemas
from tests.running import MODULE, ROOT, environment, running

TARGET = "http://127.0.0.1:8000/api/v1"
TOKENS = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
MOMENTS = 20


# The file -------------------------------------------------------------------------------------------------------


def ledger(path: Path, run: str = "run-1") -> WriteLog:
    """A ledger with one thing made and taken away, and one that is left."""
    found = WriteLog.create(run, path, TARGET, f"conformance-{run}")
    found.log_write("createAgent", "/agents")
    found.log_created("Agent", "a")
    found.log_write("createThread", "/threads")
    found.log_created("Thread", "t")
    found.log_write("deleteAgent", "/agents/a")
    found.log_deleted("Agent", "a")
    return found


def test_a_file_tells_what_its_run_left(tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    ledger(path)
    (found,) = read_write_log(path)
    assert (found.run_id, found.target, found.marker) == ("run-1", TARGET, "conformance-run-1")
    assert (found.remaining, found.write_operations) == (
        [RecordKey("Thread", "t")],
        ["createAgent", "createThread", "deleteAgent"],
    )
    assert found.pending_write == ("", "")


def test_every_line_is_in_the_file_before_the_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    open_one = ledger(path)
    open_one.log_write("createAgent", "/agents")
    (found,) = read_write_log(path)
    assert found.pending_write == ("createAgent", "/agents")
    open_one.log_write("createAgent", "/agents", "nobody")
    assert read_write_log(path)[0].pending_write == ("", "")


@pytest.mark.parametrize("torn", [0, 1, 7, 40])
def test_a_torn_last_line_is_passed_over_and_the_next_run_begins_its_own(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "write-log.jsonl"
    ledger(path)
    path.write_bytes(path.read_bytes() + b'{"run": "run-1", "created": "Agent", "key": "b"'[:torn])
    assert read_write_log(path)[0].remaining == [RecordKey("Thread", "t")]
    ledger(path, "run-2")
    assert [(entry.run_id, entry.remaining) for entry in read_write_log(path)] == [
        ("run-1", [RecordKey("Thread", "t")]),
        ("run-2", [RecordKey("Thread", "t")]),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "which tells of no run"),
        ("PK\x03\x04", ":1: found b'PK"),
        ('{"run": "x", "created": "Agent", "key": 1}\n', ":1: found"),
        ('{"ledger": 2, "run": "x", "target": "http://x", "marker": "m"}\n', ":1: found"),
        ('{"ledger": 1, "run": "x", "target": 5, "marker": "m"}\n', ":1: found"),
        ('{"ledger": 1, "run": "x", "target": "http://x", "marker": "m"}\n{"torn\n{"run": "x"}\n', ":2: found"),
        ('{"ledger": 1, "run": "x", "target": "http://x", "marker": "m"}\n{"run": "x", "gone": "A"}\n', ":2: found"),
        ('{"ledger": 1, "run": ["x"], "target": "http://x", "marker": "m"}\n', ":1: found"),
        ('{"ledger": 1, "run": "x", "target": "http://x", "marker": "m"}\n[1]\n{"run": "x"}\n', ":2: found"),
    ],
)
def test_what_is_no_ledger_is_refused_in_one_line(
    tmp_path: Path, text: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text(text)
    assert main(["cleanup", str(path)], TOKENS) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert found in said
    assert "allowed: a ledger that `run` wrote" in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (
            ("--base-url", "http://127.0.0.1:8001/api/v1"),
            "the ledger of a run on '127.0.0.1:8000'; allowed: one",
        ),
        (("--base-url", "https://127.0.0.1/api/v1"), "allowed: one on 127.0.0.1:443"),
        (("--token-env", "NONE"), "$NONE: found no token"),
        (("--seed", "1"), "unrecognized arguments: --seed"),
    ],
)
def test_a_ledger_of_another_target_is_refused(
    tmp_path: Path, arguments: tuple[str, ...], found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger(tmp_path / "write-log.jsonl")
    assert main(["cleanup", str(tmp_path / "write-log.jsonl"), *arguments], TOKENS) == ExitCode.USAGE
    assert found in capsys.readouterr().err


def test_a_host_that_may_not_be_written_to_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    WriteLog.create("x", tmp_path / "write-log.jsonl", "https://staging.example.com/api", "conformance-x")
    assert main(["cleanup", str(tmp_path / "write-log.jsonl")], TOKENS) == ExitCode.USAGE
    assert "allowed: --allow-writes-to staging.example.com" in capsys.readouterr().err


def test_a_target_that_is_down_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "write-log.jsonl"
    WriteLog.create("x", path, "http://127.0.0.1:1/api/v1", "conformance-x").log_created("Agent", "a")
    assert main(["cleanup", str(path)], TOKENS) == ExitCode.TARGET_UNREACHABLE
    assert "1 record may be left" in capsys.readouterr().out


# What is found and taken away, in process -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def api() -> Api:
    """Athena with its demo."""
    return Api.of(athena_contract(), athena_schemas(), "demo")


@pytest.fixture
def run(api: Api) -> Session:
    """A run's session on the demo, begun anew."""
    api.begin_anew()
    return session(api.app, api.contract, schemas=api.schemas)


def resumed(killed: Session, path: Path, api: Api) -> RunCleanup:
    """The leftovers of a run whose ledger is at that path."""
    (entry,) = read_write_log(path)
    anew = session(api.app, api.contract, seed=2, schemas=api.schemas)
    anew.write_log = WriteLog.resume(entry, path)
    return RunCleanup(anew, entry)


def every_creation(contract: Contract) -> Iterator[str]:
    """Resources that can be created, listed and deleted."""
    for name in contract.resources:
        actions = {o.action for o in contract.operations.values() if o.resource == name}
        if {"create", "list", "delete"} <= actions:
            yield name


@pytest.mark.parametrize("resource", list(every_creation(athena_contract())))
def test_a_creation_whose_answer_never_came_is_found_by_its_marker(
    run: Session, api: Api, tmp_path: Path, resource: str
) -> None:
    path = tmp_path / "write-log.jsonl"
    run.write_log = WriteLog.create("killed", path, TARGET, run.payloads.marker)
    mine = run.create(resource)
    # As if the run had been killed before the last answer came: its last line but one is the write.
    lines = path.read_text().splitlines()
    at = max(number for number, line in enumerate(lines) if "writing" in json.loads(line))
    path.write_text("\n".join(lines[: at + 1]) + '\n{"run": "kil')
    leftovers = resumed(run, path, api)
    assert leftovers.clean_up() == []
    assert (leftovers.discovered_count, leftovers.unverified) == (1, [])
    assert run.retrieve(resource, mine.key).response.status == 404
    assert resumed(run, path, api).session.write_log.created_records == []


def test_a_creation_that_no_list_shows_is_said_to_be_left_perhaps(run: Session, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    run.write_log = WriteLog.create("killed", path, TARGET, run.payloads.marker)
    run.write_log.log_write("storeCommandRoomTask", "/command-room-tasks")
    leftovers = resumed(run, path, api)
    assert leftovers.clean_up() == []
    assert leftovers.unverified == [
        "a CommandRoomTask may be left: the contract has no operation to list or to delete one"
    ]


@pytest.mark.parametrize("whose", ["the run's", "nobody's"])
def test_what_goes_with_a_record_that_is_taken_away_is_not_left(
    run: Session, api: Api, tmp_path: Path, whose: str
) -> None:
    path = tmp_path / "write-log.jsonl"
    run.write_log = WriteLog.create("killed", path, TARGET, run.payloads.marker)
    key = run.create("Agent").key if whose == "the run's" else "00000000-0000-4000-8000-000000000001"
    run.write_log.log_write("shareAgent", f"/agents/{key}/share")
    leftovers = resumed(run, path, api)
    assert (leftovers.clean_up(), leftovers.unverified) == ([], [])


def test_records_of_others_stay(run: Session, api: Api, tmp_path: Path) -> None:
    before = {name: list(run.rows(run.require_operation(name, "list"), {})) for name in every_creation(api.contract)}
    path = tmp_path / "write-log.jsonl"
    run.write_log = WriteLog.create("killed", path, TARGET, run.payloads.marker)
    for resource in every_creation(api.contract):
        run.create(resource)
    assert resumed(run, path, api).clean_up() == []
    assert before == {
        name: list(run.rows(run.require_operation(name, "list"), {})) for name in every_creation(api.contract)
    }


def test_a_lent_record_is_restored_after_a_killed_run(run: Session, api: Api, tmp_path: Path) -> None:
    workspace = next(iter(run.rows(run.require_operation("Workspace", "list"), {})))
    path = tmp_path / "write-log.jsonl"
    run.write_log = WriteLog.create("killed", path, TARGET, run.payloads.marker)
    run.mutable_records = MutableRecords({"Workspace": workspace["uuid"]})
    mine = run.create("Workspace")
    update = run.require_operation("Workspace", "update")
    body = {"name": "changed", "metadata": {"added": 1}}
    assert run.send(update, path={update.path_parameter_names[0]: mine.key}, body=body).response.ok
    assert resumed(run, path, api).clean_up() == []
    seen = run.data(run.require_operation("Workspace", "retrieve"), run.retrieve("Workspace", mine.key))
    assert (seen["name"], seen["metadata"].get("added")) == (workspace["name"], None)
    assert read_write_log(path)[0].original_values == {}


def test_a_lent_record_that_cannot_be_restored_is_left_over(run: Session) -> None:
    workspace = next(iter(run.rows(run.require_operation("Workspace", "list"), {})))
    run.mutable_records = MutableRecords({"Workspace": workspace["uuid"]})
    run.create("Workspace")
    run.mutable_records.original_values["Workspace"] = {"slug": "another"}
    assert run.clean_up() == [("Workspace", workspace["uuid"])]


# Killed at random moments ---------------------------------------------------------------------------------------


def written(path: Path) -> int:
    """How many lines a ledger has."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def totals(base: str) -> dict[str, int]:
    """How many records each list counts."""
    found = {}
    for operation in athena_contract().operations.values():
        if operation.action == "list":
            answer = httpx.get(
                f"{base}{operation.path}", headers={"Authorization": "Bearer demo-token"}, timeout=30, trust_env=False
            )
            found[operation.id] = answer.json()["meta"]["total"]
    return found


@pytest.mark.slow
def test_a_run_killed_at_any_moment_leaves_nothing_after_clean(tmp_path: Path) -> None:
    """`kill -9` at 20 random moments of writing, then `clean`."""
    chance = random.Random(20)
    around = {k: v for k, v in os.environ.items() if not k.startswith("ATHENA_")} | TOKENS | {"PYTHONPATH": str(ROOT)}
    mock = (*MODULE, "--port", "0", "--quiet", "--epoch", "2026-03-01T00:00:00Z")
    with running(mock, environment(tmp_path)) as (_, greeting):
        base = next(word for word in greeting.split() if word.startswith("http://127.0.0.1:")).rstrip("/")
        base = base if base.endswith("/api/v1") else f"{base}/api/v1"
        before = totals(base)
        for moment in range(MOMENTS):
            path = tmp_path / f"{moment}.jsonl"
            command = (sys.executable, "-m", "conformance", "run", "--base-url", base, "--write-log", str(path))
            lines = chance.randrange(2, 1500)
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=around) as killed:
                while written(path) < lines and killed.poll() is None:
                    time.sleep(chance.random() / 100)
                killed.kill()
            done = subprocess.run(
                (sys.executable, "-m", "conformance", "cleanup", str(path)), capture_output=True, text=True, env=around
            )
            # What no list shows is only said to be left, perhaps, when the very last write may have made one.
            perhaps = done.returncode == ExitCode.INCOMPLETE and "a CommandRoomTask may be left" in done.stdout
            assert done.returncode == ExitCode.PASSED or perhaps, done.stdout + done.stderr
            assert "nothing left" in done.stdout
            assert totals(base) == before, f"{done.stdout}{path.read_text()[-3000:]}"
    with pytest.raises(UsageError):
        read_write_log(tmp_path / "none")
