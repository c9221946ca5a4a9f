"""`cleanup`: the write log of a killed run, also a truncated one, and the deletion of its records."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from conformance.checks.registry import CHECKS
from conformance.cli.main import main
from conformance.errors import UsageError, WriteLogError
from conformance.gate.verdict import ExitCode
from conformance.runner.runner import run as run_checks
from conformance.schemathesis_engine import PHASES, Depth
from conformance.session.cleanup import RunCleanup
from conformance.session.mutable_records import MutableRecords
from conformance.session.session import Session
from conformance.session.write_log import RecordKey, WriteLog, read_write_log
from conformance.transport.client import Budget, HttpTarget
from conformance.transport.messages import Actor, Exchange, Request, Response
from spec.model import Contract
from tests.conformance.support.asgi_session import HOST, AsgiTransport, session
from tests.conformance.support.asgi_session import TOKENS as ASGI_TOKENS
from tests.conformance.support.recorded import source
from tests.mock_process import MODULE, ROOT, build_environment, run_mock
from tests.mock_server.athena import Api, athena_contract, athena_schemas

RUN_ID = "00000001"
OTHER_RUN_ID = "00000002"
HEADER = '{"write_log": 1, "run": "00000001", "target": "http://x", "marker": "conformance-00000001"}\n'
TARGET = "http://127.0.0.1:8000/api/v1"
TOKENS = {"ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
MAX_RUN_SECONDS = 30.0  # of a run whose creates are all verified
MIN_CREATES = 30
SHORT = Depth(PHASES, max_examples=5, max_steps=3)


# The file


def create_log(path: Path, run: str = RUN_ID) -> WriteLog:
    """A write log with one record created and deleted, and one that is left."""
    log = WriteLog.create(run, path, TARGET, f"conformance-{run}")
    log.log_write("createAgent", "/agents")
    log.log_created("Agent", "a")
    log.log_write("createThread", "/threads")
    log.log_created("Thread", "t")
    log.log_write("deleteAgent", "/agents/a")
    log.log_deleted("Agent", "a")
    return log


def test_write_log_lists_the_remaining_records(tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    create_log(path)
    (entry,) = read_write_log(path)
    assert (entry.run_id, entry.target, entry.marker) == (RUN_ID, TARGET, f"conformance-{RUN_ID}")
    assert (entry.remaining, entry.write_operations) == (
        [RecordKey("Thread", "t")],
        ["createAgent", "createThread", "deleteAgent"],
    )
    assert entry.pending_write == ("", "")


def test_record_whose_key_several_creates_returned_remains_once(tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    log = create_log(path)
    log.log_created("Thread", "t")
    assert read_write_log(path)[0].remaining == [RecordKey("Thread", "t")]
    log.log_deleted("Thread", "t")
    assert read_write_log(path)[0].remaining == []


def test_each_line_is_written_before_the_request(tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    log = create_log(path)
    log.log_write("createAgent", "/agents")
    (entry,) = read_write_log(path)
    assert entry.pending_write == ("createAgent", "/agents")
    log.log_write("createAgent", "/agents", Actor.ANONYMOUS)
    assert read_write_log(path)[0].pending_write == ("", "")


@pytest.mark.parametrize("size", [0, 1, 7, 40])
def test_truncated_last_line_is_ignored_and_the_next_run_is_appended(tmp_path: Path, size: int) -> None:
    path = tmp_path / "write-log.jsonl"
    create_log(path)
    path.write_bytes(path.read_bytes() + b'{"run": "00000001", "created": "Agent", "key": "b"'[:size])
    assert read_write_log(path)[0].remaining == [RecordKey("Thread", "t")]
    create_log(path, OTHER_RUN_ID)
    assert [(entry.run_id, entry.remaining) for entry in read_write_log(path)] == [
        (RUN_ID, [RecordKey("Thread", "t")]),
        (OTHER_RUN_ID, [RecordKey("Thread", "t")]),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "WRITE_LOG: no run in"),
        ("PK\x03\x04", ":1: invalid line b'PK"),
        ('{"run": "00000001", "created": "Agent", "key": 1}\n', ":1: invalid line"),
        (HEADER.replace('"write_log": 1', '"write_log": 2'), ":1: invalid line"),
        (HEADER.replace('"http://x"', "5"), ":1: invalid line"),
        (HEADER + '{"torn\n{"run": "00000001"}\n', ":2: invalid line"),
        (HEADER + '{"run": "00000001", "deleted": "A"}\n', ":2: invalid line"),
        (HEADER + '{"run": "00000001", "created": "A", "key": ["a"]}\n', ":2: invalid line"),
        (HEADER + '{"run": "00000001", "write": ["a"], "target": "/a"}\n', ":2: invalid line"),
        (HEADER.replace('"00000001"', '["x"]'), ":1: invalid line"),
        (HEADER + '[1]\n{"run": "00000001"}\n', ":2: invalid line"),
    ],
)
def test_invalid_write_log_is_rejected_in_one_line(
    tmp_path: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text(text)
    assert main(["cleanup", str(path)], TOKENS) == ExitCode.USAGE
    output = capsys.readouterr().err
    assert message in output
    assert "(expected a write log of `run`)" in output
    assert len(output.splitlines()) == 1


@pytest.mark.parametrize(
    ("run", "marker"),
    [
        ("00000001", "e"),
        ("00000001", ""),
        ("00000001", "conformance-"),
        ("00000001", "conformance-00000002"),
        ("e", "conformance-e"),
        ("", "conformance-"),
        ("0000000g", "conformance-0000000g"),
    ],
)
def test_write_log_with_the_marker_of_no_run_is_rejected(
    tmp_path: Path, run: str, marker: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "write-log.jsonl"
    header = json.dumps({"write_log": 1, "run": run, "target": TARGET, "marker": marker})
    path.write_text(f'{header}\n{{"run": "{run}", "write": "createThread", "target": "/threads"}}\n')
    assert main(["cleanup", str(path)], TOKENS) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert f":1: run {run!a} with marker {marker!a} is not a run of `run`" in error
    assert "(expected a run id of 8 hexadecimal digits and the marker conformance-<run id>)" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--base-url", "http://127.0.0.1:8001/api/v1"),
            "write log of a run on '127.0.0.1:8000' (expected 127.0.0.1:8001",
        ),
        (("--base-url", "https://127.0.0.1/api/v1"), "(expected 127.0.0.1:443"),
        (("--token-env", "NONE"), "$NONE: no token"),
        (("--seed", "1"), "No such option '--seed'"),
    ],
)
def test_write_log_of_another_target_is_rejected(
    tmp_path: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    create_log(tmp_path / "write-log.jsonl")
    assert main(["cleanup", str(tmp_path / "write-log.jsonl"), *arguments], TOKENS) == ExitCode.USAGE
    assert message in capsys.readouterr().err


def test_host_without_permission_to_write_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    WriteLog.create(RUN_ID, tmp_path / "write-log.jsonl", "https://staging.example.com/api", f"conformance-{RUN_ID}")
    assert main(["cleanup", str(tmp_path / "write-log.jsonl")], TOKENS) == ExitCode.USAGE
    assert "(expected --allow-writes-to staging.example.com)" in capsys.readouterr().err


def test_unreachable_target_exits_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "write-log.jsonl"
    WriteLog.create(RUN_ID, path, "http://127.0.0.1:1/api/v1", f"conformance-{RUN_ID}").log_created("Agent", "a")
    assert main(["cleanup", str(path)], TOKENS) == ExitCode.TARGET_UNREACHABLE
    assert "1 record may be left" in capsys.readouterr().out


# Deletion, in process


@pytest.fixture(scope="module")
def api() -> Api:
    """The mock with the demo dataset."""
    return Api.create(athena_contract(), athena_schemas(), "demo")


@pytest.fixture
def run(api: Api) -> Session:
    """The session of a run, in a fresh sandbox."""
    api.reset()
    return session(api.app, api.contract, schemas=api.schemas)


def set_write_log(session: Session, write_log: WriteLog) -> None:
    """Log the writes of a session in another log."""
    session.client.write_log = write_log
    session.client.created_records = replace(session.client.created_records, write_log=write_log)


def resume_cleanup(killed_run: Session, path: Path, api: Api) -> RunCleanup:
    """The cleanup of the run whose write log is at that path."""
    (entry,) = read_write_log(path)
    write_log = WriteLog.resume(entry, path)
    new_session = session(api.app, api.contract, seed=2, schemas=api.schemas, write_log=write_log)
    new_session.client.created_records = replace(new_session.client.created_records, marker=entry.marker)
    return RunCleanup(new_session, entry)


def find_creatable_resources(contract: Contract) -> Iterator[str]:
    """Resources that can be created, listed and deleted."""
    for name in contract.resources:
        actions = {o.action for o in contract.operations.values() if o.resource == name}
        if {"create", "list", "delete"} <= actions:
            yield name


@pytest.mark.parametrize("resource", list(find_creatable_resources(athena_contract())))
def test_record_whose_create_got_no_response_is_found_by_its_marker(
    run: Session, api: Api, tmp_path: Path, resource: str
) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    record = run.records.create(resource)
    # The log of a run that is killed before the last response: its last complete line is the write.
    lines = path.read_text().splitlines()
    last = max(number for number, line in enumerate(lines) if "write" in json.loads(line))
    path.write_text("\n".join(lines[: last + 1]) + '\n{"run": "kil')
    leftovers = resume_cleanup(run, path, api)
    assert leftovers.clean_up() == []
    assert (leftovers.discovered_count, leftovers.unverified) == (1, [])
    assert run.client.retrieve(resource, record.key).response.status == 404
    assert resume_cleanup(run, path, api).session.write_log.created_records == []


def test_unlogged_record_with_the_marker_inside_an_object_is_found(run: Session, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    run.records.create("Thread", {"name": run.payloads.marker})  # a search finds only this one
    operation = run.operations.creator("Thread")
    marked = {"name": "x", "metadata": {"model": run.payloads.marker}}
    body = run.payloads.build(operation, lambda relation: ("", "")) | marked
    run.write_log.log_write(operation.id, "/threads")
    created = api.send(operation.id, body=body)  # killed before it was logged
    assert created.status == 201, created.json
    leftovers = resume_cleanup(run, path, api)
    assert (leftovers.clean_up(), leftovers.discovered_count) == ([], 1)


def kill_before_response(path: Path, number: int = -1) -> None:
    """Truncate a write log after one of its writes, by default the last one: its response was not logged."""
    lines = path.read_text().splitlines()
    writes = [index for index, line in enumerate(lines) if "write" in json.loads(line)]
    path.write_text("\n".join(lines[: writes[number] + 1]) + "\n")


@pytest.mark.parametrize(
    ("resource", "changes"),
    [
        ("Thread", {"name": "0"}),  # an object gets the marker
        ("Workflow", {"name": "null"}),  # another text gets it
        ("Prompt", {"name": "1e3", "content": "1e3"}),
        ("Thread", {"name": "x", "metadata": {"conformance-00000001": "a value"}}),  # only a property name has it
    ],
)
def test_unlogged_record_whose_texts_a_check_chose_is_found(
    run: Session, api: Api, tmp_path: Path, resource: str, changes: dict[str, Any]
) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    record = run.records.create(resource, changes)
    assert record.request_body.items() >= changes.items()
    kill_before_response(path)
    leftovers = resume_cleanup(run, path, api)
    assert (leftovers.clean_up(), leftovers.discovered_count, leftovers.unverified) == ([], 1, [])
    assert run.client.retrieve(resource, record.key).response.status == 404


@pytest.mark.parametrize("is_executed", [True, False])
def test_record_that_may_be_of_an_unmarked_create_is_reported_and_not_deleted(
    run: Session, api: Api, tmp_path: Path, is_executed: bool
) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    run.client.send(run.operations.creator("Thread"), body={"name": "unmarked" if is_executed else ["rejected"]})
    kill_before_response(path)
    leftovers = resume_cleanup(run, path, api)
    remaining = [r["uuid"] for r in run.records.rows(run.operations.require("Thread", "list"), {"search": "unmarked"})]
    assert len(remaining) == is_executed
    assert leftovers.clean_up() == []
    expected = [f"Thread {key} may belong to the run: it has the values of the last create" for key in remaining]
    assert leftovers.unverified == expected
    assert all(run.client.retrieve("Thread", key).response.ok for key in remaining)


def test_unmarked_create_without_values_is_reported(run: Session, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    run.client.send(run.operations.creator("Thread"), raw=b"{")
    kill_before_response(path)
    leftovers = resume_cleanup(run, path, api)
    leftovers.clean_up()
    assert leftovers.unverified == ["a Thread may remain: the last create contained no text with the marker"]


@pytest.mark.parametrize("is_logged", [True, False])
def test_record_of_another_token_is_deleted_with_that_token(
    run: Session, api: Api, tmp_path: Path, *, is_logged: bool
) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    body = {"name": run.payloads.marker, "content": "x"}
    exchange = run.client.send(run.operations.creator("Prompt"), body=body, actor=Actor.OTHER_TENANT)
    key = exchange.response.json["data"]["uuid"]
    if not is_logged:
        kill_before_response(path)
    leftovers = resume_cleanup(run, path, api)
    assert leftovers.clean_up() == []
    assert not leftovers.unverified
    assert run.client.retrieve("Prompt", key, actor=Actor.OTHER_TENANT).response.status == 404


def test_create_that_the_target_executes_after_the_kill_is_found(run: Session, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    create = run.operations.creator("Prompt")
    run.write_log.log_write(create.id, create.path)
    leftovers = resume_cleanup(run, path, api)
    pauses: list[float] = []

    def execute_create(seconds: float) -> None:
        pauses.append(seconds)
        body = {"name": run.payloads.marker, "content": "x"}
        assert api.send(create.id, body=body).status == 201

    leftovers.session.client.sleep = execute_create
    assert (leftovers.clean_up(), leftovers.discovered_count) == ([], 1)
    assert pauses == [leftovers.session.options.consistency_timeout]


def test_all_rows_are_read_also_if_one_record_of_the_last_write_is_logged(
    run: Session, api: Api, tmp_path: Path
) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    create = run.operations.creator("Thread")
    run.records.create("Thread")
    # Another record of the same response, in which a search does not find the marker.
    body = {"name": "x", "metadata": {"model": run.payloads.marker}}
    assert api.send(create.id, body=body).status == 201
    leftovers = resume_cleanup(run, path, api)
    assert (leftovers.clean_up(), leftovers.discovered_count) == ([], 1)


def test_record_renamed_by_the_run_through_another_spelling_of_its_key_is_deleted(run: Session) -> None:
    prompt = run.records.create("Prompt")
    update = run.operations.require("Prompt", "update")
    changed = {"name": "without the marker", "content": "without the marker", "description": None}
    path = {update.path_parameter_names[0]: str(prompt.key).upper()}
    run.client.send(update, path=path, body=changed)
    assert RecordKey("Prompt", prompt.key) not in run.write_log.marked_records
    assert run.clean_up() == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
def test_every_create_of_a_run_is_found_without_its_response(api: Api, tmp_path: Path, seed: int) -> None:
    """Checks, exploration and Schemathesis: as if the run were killed after each create, before its response."""
    api.reset()
    path, killed = tmp_path / "write-log.jsonl", tmp_path / "killed.jsonl"
    run_session = session(api.app, api.contract, seed, schemas=api.schemas)
    set_write_log(run_session, WriteLog.create(RUN_ID, path, TARGET, run_session.payloads.marker))
    run_session.client.sleep = lambda seconds: api.clock.advance(seconds=seconds)
    budget = Budget(None, time.monotonic() + MAX_RUN_SECONDS)
    target = HttpTarget(HOST + api.contract.base_path, ASGI_TOKENS, budget, transport=AsgiTransport(api.app))
    found: Counter[str] = Counter()
    missed: list[object] = []

    def discover(request: Request, response: Response) -> None:
        operation = api.contract.operations[request.operation]
        resource = api.contract.find_created_resource(operation)
        if request.method != operation.method or response.status != 201 or resource not in creatable:
            return
        killed.write_bytes(path.read_bytes())
        leftovers = resume_cleanup(run_session, killed, api)
        leftovers.discover_records(resource)
        key = response.json["data"][api.contract.resources[resource].key_attribute]
        is_discovered = RecordKey(resource, key) in leftovers.session.write_log.created_records
        found[resource] += is_discovered
        if not is_discovered and not leftovers.unverified:
            missed.append((operation.id, request.body, request.raw_body))

    creatable = set(find_creatable_resources(api.contract))
    target.observe = discover
    run_session.client.target = target
    operations = [o for o in api.contract.operations.values() if o.resource in creatable]
    run_checks(
        run_session,
        CHECKS,
        operations,
        lambda result: None,
        before_cleanup=budget.start_cleanup,
        sources=[source(operations, seed, SHORT)],
    )
    assert missed == []
    assert set(found) == creatable
    assert sum(found.values()) > MIN_CREATES


def test_record_without_a_list_operation_is_reported_as_unverified(run: Session, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    run.write_log.log_write("storeCommandRoomTask", "/command-room-tasks")
    leftovers = resume_cleanup(run, path, api)
    assert leftovers.clean_up() == []
    assert leftovers.unverified == ["a CommandRoomTask may remain: the contract defines no list or delete operation"]


@pytest.mark.parametrize("owner", ["run", "none"])
def test_record_deleted_with_its_parent_is_not_left(run: Session, api: Api, tmp_path: Path, owner: str) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    key = run.records.create("Agent").key if owner == "run" else "00000000-0000-4000-8000-000000000001"
    run.write_log.log_write("shareAgent", f"/agents/{key}/share")
    leftovers = resume_cleanup(run, path, api)
    assert (leftovers.clean_up(), leftovers.unverified) == ([], [])


def test_records_of_others_are_not_deleted(run: Session, api: Api, tmp_path: Path) -> None:
    before = {
        name: list(run.records.rows(run.operations.require(name, "list"), {}))
        for name in find_creatable_resources(api.contract)
    }
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    for resource in find_creatable_resources(api.contract):
        run.records.create(resource)
    assert resume_cleanup(run, path, api).clean_up() == []
    assert before == {
        name: list(run.records.rows(run.operations.require(name, "list"), {}))
        for name in find_creatable_resources(api.contract)
    }


def test_mutable_record_is_restored_after_a_killed_run(run: Session, api: Api, tmp_path: Path) -> None:
    workspace = next(iter(run.records.rows(run.operations.require("Workspace", "list"), {})))
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    run.client.mutable_records = MutableRecords({"Workspace": workspace["uuid"]})
    record = run.records.create("Workspace")
    update = run.operations.require("Workspace", "update")
    body = {"name": "changed", "metadata": {"added": 1}}
    assert run.client.send(update, path={update.path_parameter_names[0]: record.key}, body=body).response.ok
    assert resume_cleanup(run, path, api).clean_up() == []
    restored = run.operations.data(
        run.operations.require("Workspace", "retrieve"), run.client.retrieve("Workspace", record.key)
    )
    assert (restored["name"], restored["metadata"].get("added")) == (workspace["name"], None)
    assert read_write_log(path)[0].original_values == {}


def test_mutable_record_that_cannot_be_restored_is_reported(run: Session) -> None:
    workspace = next(iter(run.records.rows(run.operations.require("Workspace", "list"), {})))
    run.client.mutable_records = MutableRecords({"Workspace": workspace["uuid"]})
    run.records.create("Workspace")
    run.client.mutable_records.original_values["Workspace"] = {"slug": "another"}
    assert run.clean_up() == [("Workspace", workspace["uuid"])]


# Runs killed at random moments


def count_lines(path: Path) -> int:
    """The number of lines of a write log."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def totals(base: str) -> dict[str, int]:
    """operationId of each list -> its total."""
    counts = {}
    for operation in athena_contract().operations.values():
        if operation.action == "list":
            response = httpx.get(
                f"{base}{operation.path}", headers={"Authorization": "Bearer demo-token"}, timeout=30, trust_env=False
            )
            counts[operation.id] = response.json()["meta"]["total"]
    return counts


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "max_lines"), [(3, 500), (20, 1500)], ids=["3_kills", "20_kills"])
def test_cleanup_deletes_everything_of_a_run_killed_at_any_moment(tmp_path: Path, kills: int, max_lines: int) -> None:
    """`kill -9` at random moments of writing, then `cleanup`."""
    rng = random.Random(kills)
    env = {k: v for k, v in os.environ.items() if not k.startswith("ATHENA_")} | TOKENS | {"PYTHONPATH": str(ROOT)}
    mock = (*MODULE, "--port", "0", "--quiet", "--epoch", "2026-03-01T00:00:00Z")
    with run_mock(mock, build_environment(tmp_path)) as (_, startup_line):
        base = next(word for word in startup_line.split() if word.startswith("http://127.0.0.1:")).rstrip("/")
        base = base if base.endswith("/api/v1") else f"{base}/api/v1"
        before = totals(base)
        for moment in range(kills):
            path = tmp_path / f"{moment}.jsonl"
            command = (sys.executable, "-m", "conformance", "run", "--base-url", base, "--write-log", str(path))
            lines = rng.randrange(2, max_lines)
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env) as killed_run:
                while count_lines(path) < lines and killed_run.poll() is None:
                    time.sleep(rng.random() / 100)
                killed_run.kill()
            done = subprocess.run(
                (sys.executable, "-m", "conformance", "cleanup", str(path)), capture_output=True, text=True, env=env
            )
            # Only reported: a record without a list operation, and one of an invalid create without the marker.
            is_unverified = done.returncode == ExitCode.INCOMPLETE and "may remain: the " in done.stdout
            assert done.returncode == ExitCode.PASSED or is_unverified, done.stdout + done.stderr
            assert "nothing left" in done.stdout
            changed = {name: total for name, total in totals(base).items() if total != before[name]}
            assert changed == {}, f"after {lines} lines: {done.stdout}{path.read_text()[-3000:]}"
    with pytest.raises(UsageError):
        read_write_log(tmp_path / "none")


# Records that a create did not create


@pytest.mark.parametrize("is_resumed", [False, True])
def test_record_of_another_client_whose_key_a_create_returned_is_not_deleted(
    run: Session, api: Api, tmp_path: Path, is_resumed: bool
) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    create, retrieve = run.operations.creator("Prompt"), run.operations.require("Prompt", "retrieve")
    foreign = next(iter(run.records.rows(run.operations.require("Prompt", "list"), {})))["uuid"]
    created = run.records.create("Prompt")
    # The target returns the values that were sent, with the key of an existing record.
    body = json.dumps({"data": {**created.body, "uuid": foreign}}).encode()
    response = Response(created.exchange.response.status, created.exchange.response.headers, body, 0.0)
    run.client.created_records.log_created(create, Exchange(created.exchange.request, response))
    remaining = resume_cleanup(run, path, api).clean_up() if is_resumed else run.clean_up()
    assert remaining == [("Prompt", foreign)]
    assert run.client.send(retrieve, path={retrieve.path_parameter_names[0]: foreign}).response.ok
    assert run.client.retrieve("Prompt", created.key).response.status == 404


@pytest.mark.parametrize("name", ["without the marker", "conf"])
def test_record_whose_text_was_changed_by_the_run_or_shortened_by_the_target_is_deleted(
    run: Session, api: Api, name: str
) -> None:
    prompt = run.records.create("Prompt")
    update = run.operations.require("Prompt", "update")
    assert run.client.send(
        update, path={update.path_parameter_names[0]: prompt.key}, body={"name": name, "content": name}
    ).response.ok
    if name == "conf":
        run.write_log.marked_records.add(RecordKey("Prompt", prompt.key))
        run.client.created_records = replace(run.client.created_records, marker="conformance-1")
    assert run.clean_up() == []


def test_record_with_the_marker_inside_an_object_is_deleted(run: Session) -> None:
    thread = run.records.create("Thread", {"name": "x", "metadata": {"model": run.payloads.marker}})
    assert RecordKey("Thread", thread.key) in run.write_log.marked_records
    assert run.clean_up() == []


@pytest.mark.parametrize("has_write", [False, True])
@pytest.mark.parametrize("is_marked", [False, True])
def test_record_of_another_client_in_a_write_log_is_not_deleted(
    run: Session, api: Api, tmp_path: Path, has_write: bool, is_marked: bool
) -> None:
    foreign = next(iter(run.records.rows(run.operations.require("Thread", "list"), {})))
    path = tmp_path / "write-log.jsonl"
    write_log = WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker)
    if has_write:
        write_log.log_write("createThread", "/threads", unmarked_values={"name": foreign["name"]})
    write_log.log_created("Thread", foreign["uuid"], is_marked=is_marked)
    cleanup = resume_cleanup(run, path, api)
    record = RecordKey("Thread", foreign["uuid"])
    assert (cleanup.clean_up(), list(cleanup.unproven)) == ([record], [record])
    assert run.client.retrieve("Thread", foreign["uuid"]).response.ok


@pytest.mark.parametrize("difference", ["values", "created_at", None])
def test_record_without_the_marker_is_deleted_only_with_the_logged_values_and_time(
    run: Session, api: Api, tmp_path: Path, difference: str | None
) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    created = run.client.send(run.operations.creator("Thread"), body={"name": "unmarked"})
    key = created.response.json["data"]["uuid"]
    old, new = {
        "values": ('"unmarked": {"name": "unmarked"}', '"unmarked": {"name": "other"}'),
        "created_at": ('"created_at": "2', '"created_at": "1'),
        None: ("", ""),
    }[difference]
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    cleanup = resume_cleanup(run, path, api)
    expected = [] if difference is None else [RecordKey("Thread", key)]
    assert (cleanup.clean_up(), list(cleanup.unproven)) == (expected, expected)
    assert run.client.retrieve("Thread", key).response.ok == (difference is not None)


def test_record_whose_marker_was_overwritten_by_a_logged_update_is_deleted(
    run: Session, api: Api, tmp_path: Path
) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    prompt = run.records.create("Prompt")
    update = run.operations.require("Prompt", "update")
    body = {"name": "x", "content": "x", "description": "x"}
    assert run.client.send(update, path={update.path_parameter_names[0]: prompt.key}, body=body).response.ok
    assert resume_cleanup(run, path, api).clean_up() == []
    assert run.client.retrieve("Prompt", prompt.key).response.status == 404


def test_record_that_no_longer_exists_is_not_left(run: Session, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    write_log = WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker)
    write_log.log_created("Thread", "00000000-0000-4000-8000-000000000001")
    cleanup = resume_cleanup(run, path, api)
    assert (cleanup.clean_up(), cleanup.unproven) == ([], {})
    assert read_write_log(path)[0].remaining == []


@pytest.mark.parametrize("is_parent_logged", [True, False])
def test_record_that_cannot_be_retrieved_is_left_unless_it_is_deleted_with_another(
    run: Session, api: Api, tmp_path: Path, is_parent_logged: bool
) -> None:
    path = tmp_path / "write-log.jsonl"
    set_write_log(run, WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker))
    key = run.records.create("CommandRoomTask").key
    if not is_parent_logged:
        path.write_text(path.read_text().replace('"parent"', '"unknown"'))
    expected = [] if is_parent_logged else [RecordKey("CommandRoomTask", key)]
    assert resume_cleanup(run, path, api).clean_up() == expected


def test_record_of_an_unknown_resource_in_a_write_log_is_reported(run: Session, api: Api, tmp_path: Path) -> None:
    path = tmp_path / "write-log.jsonl"
    WriteLog.create(RUN_ID, path, TARGET, run.payloads.marker).log_created("Unknown", "a")
    cleanup = resume_cleanup(run, path, api)
    assert cleanup.clean_up() == [RecordKey("Unknown", "a")]
    assert "the contract defines no operation for it" in cleanup.unproven[RecordKey("Unknown", "a")]


# A log that cannot be written


def test_full_disk_ends_the_run_and_does_not_prevent_cleanup(run: Session, tmp_path: Path) -> None:
    run.records.create("Prompt")
    run.write_log.path = tmp_path / "missing" / "write-log.jsonl"
    with pytest.raises(WriteLogError, match=r"cannot write the write log .*: No such file or directory"):
        run.records.create("Prompt")
    assert run.clean_up() == []


def test_full_disk_during_cleanup_does_not_prevent_it(run: Session, tmp_path: Path) -> None:
    keys = [run.records.create("Prompt").key for _ in range(3)]
    run.write_log.path = tmp_path / "missing" / "write-log.jsonl"
    assert run.clean_up() == []
    assert [run.client.retrieve("Prompt", key).response.status for key in keys] == [404] * 3
