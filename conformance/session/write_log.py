"""The write log of a run: every write before it is sent, and every created record, for cleanup.

A file of JSON lines. Each run starts with a header line, so that one file can hold several runs:

    {"write_log": 1, "run": id, "target": base URL, "marker": marker in all texts of the run}
    {"run": id, "write": operationId, "target": path, "as": actor}              before it is sent
    {..., "unmarked": {property: value}}    also in the line of a create or update without the marker in a readable text
    {"run": id, "created": resource, "key": key, "marked": true}    "marked" only if a readable text has the marker
    {..., "created_at": text}    also in the line of a created record that shows its time of creation
    {..., "parent": [resource, key]}    also in the line of a record that is deleted with another one of the run
    {"run": id, "deleted": resource, "key": key}
    {"run": id, "changing": resource, "key": key, "original": {property: value}}    a record that the run borrows

Each line is written to the operating system before the run continues: a killed run loses no line, and at most its last
line is truncated.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from conformance.errors import UsageError, WriteLogError
from conformance.transport.messages import Actor

VERSION = 1
RUN_ID = re.compile("[0-9a-f]{8}")
EXPECTED_HEADER = "a run id of 8 hexadecimal digits and the marker conformance-<run id>"


def run_marker(run_id: str) -> str:
    """The marker in all text that a run writes to the target."""
    return f"conformance-{run_id}"


def is_key(value: Any) -> bool:
    """Whether a value can identify a record."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


class RecordKey(NamedTuple):
    """A record created by the run: resource name and key."""

    resource: str
    key: Any


@dataclass(slots=True)
class WriteLog:
    """The write log of one run. Without `path` it exists only in memory.

    `marked_records`: those that were created with the marker of the run in a readable text, and not written since.
    `parents`: record -> the record of the run that it is deleted with.
    `references`: record that the token of the run created -> records of the run that its requests and responses named,
    and with which it may be deleted. `delete_requests`: segments of the paths of all DELETE requests.
    """

    run_id: str
    path: Path | None = None
    created_records: list[RecordKey] = field(default_factory=list)
    marked_records: set[RecordKey] = field(default_factory=set)
    parents: dict[RecordKey, RecordKey] = field(default_factory=dict)
    references: dict[RecordKey, set[RecordKey]] = field(default_factory=dict)
    delete_requests: set[str] = field(default_factory=set)

    @classmethod
    def create(cls, run_id: str, path: Path, target: str, marker: str) -> "WriteLog":
        """Start the write log of a run, appending to an existing file. Raises OSError."""
        return cls(run_id, _terminate_last_line(path))._write_header(target, marker)

    @classmethod
    def resume(cls, logged_run: "LoggedRun", path: Path) -> "WriteLog":
        """Continue the write log of a finished run, to log deletions. Raises OSError."""
        write_log = cls(logged_run.run_id, _terminate_last_line(path), list(logged_run.remaining))
        write_log.marked_records |= logged_run.marked
        return write_log._write_header(logged_run.target, logged_run.marker)

    def _write_header(self, target: str, marker: str) -> "WriteLog":
        """Write the header line of the run. Raises OSError."""
        self._write_line({"write_log": VERSION, "run": self.run_id, "target": target, "marker": marker})
        return self

    def log_write(
        self, operation: str, target: str, actor: Actor = Actor.OWNER, unmarked_values: Mapping[str, Any] | None = None
    ) -> None:
        """Log a write before it is sent. Raises WriteLogError.

        `actor`: whose token it uses. `unmarked_values`: the values of a create or update without the marker in a
        readable text.
        """
        if actor == Actor.OWNER:
            self.marked_records -= find_records_in(target, self.marked_records)
        unmarked = {} if unmarked_values is None else {"unmarked": dict(unmarked_values)}
        self._append({"run": self.run_id, "write": operation, "target": target, "as": actor, **unmarked})

    def log_created(
        self, resource: str, key: Any, *, is_marked: bool = False, created_at: str = "", parent: RecordKey | None = None
    ) -> None:
        """Log a record that the run created.

        `is_marked`: a readable text of it has the marker. `created_at`: its time of creation as the target returned it.
        `parent`: a record of the run that it is deleted with.
        """
        self.created_records.append(RecordKey(resource, key))
        if is_marked:
            self.marked_records.add(RecordKey(resource, key))
        if parent is not None:
            self.parents[RecordKey(resource, key)] = parent
        details = {"marked": is_marked, "created_at": created_at, "parent": parent}
        details = {name: value for name, value in details.items() if value}
        self._append({"run": self.run_id, "created": resource, "key": key, **details})

    def log_delete_request(self, target: str) -> None:
        """Log a DELETE request, whatever its result: the records in its path may not exist any more."""
        self.delete_requests |= _split_path(target)

    def find_named(self, texts: Collection[str]) -> set[RecordKey]:
        """Return the records of the run whose keys are among some texts."""
        return {record for record in self.created_records if str(record.key) in texts}

    def list_undeleted(self, resource: str) -> list[RecordKey]:
        """List the records that the token of the run created, and that no DELETE request can have removed."""
        created = (record for record in self.created_records if record.resource == resource)
        return [record for record in created if record in self.references and not self._may_be_deleted(record)]

    def _may_be_deleted(self, record: RecordKey) -> bool:
        """Whether a DELETE request named the record, or one that it refers to, directly or through others."""
        pending, seen = [record], {record}
        while pending:
            current = pending.pop()
            if str(current.key).casefold() in self.delete_requests:
                return True
            pending += self.references.get(current, set()) - seen
            seen |= self.references.get(current, set())
        return False

    def log_deleted(self, resource: str, key: Any) -> None:
        """Log that a record of the run no longer exists."""
        record = RecordKey(resource, key)
        if record in self.created_records:
            self.created_records.remove(record)
        self._append({"run": self.run_id, "deleted": resource, "key": key})

    def log_original(self, resource: str, key: Any, original: Mapping[str, Any]) -> None:
        """Log the values of a borrowed record before the first write to it."""
        self._append({"run": self.run_id, "changing": resource, "key": key, "original": dict(original)})

    def list_remaining(self) -> list[RecordKey]:
        """The records that are not deleted, newest first."""
        return self.created_records[::-1]

    def _append(self, event: dict[str, Any]) -> None:
        """Write a line. Raises WriteLogError, once."""
        path = self.path
        try:
            self._write_line(event)
        except OSError as error:
            self.path = None  # the run ends, and its cleanup needs no file
            raise WriteLogError(f"cannot write the write log {path}: {error.strerror}") from None

    def _write_line(self, event: dict[str, Any]) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")


def find_records_in(target: str, records: Iterable[RecordKey]) -> set[RecordKey]:
    """The records whose keys are segments of a path, in any case and encoding."""
    segments = _split_path(target)
    return {record for record in records if str(record.key).casefold() in segments}


def _split_path(target: str) -> set[str]:
    """Return the segments of a path without its query, decoded and in lower case."""
    return {unquote(segment).casefold() for segment in target.partition("?")[0].split("/")}


def _terminate_last_line(path: Path) -> Path:
    """Ensure that a file is writable and its last line is terminated; returns the path. Raises OSError."""
    is_truncated = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" if is_truncated else "")
    return path


@dataclass(slots=True)
class LoggedRun:
    """One run in a write log.

    `created`: all created records; `remaining`: those not deleted; `marked`: as in `WriteLog`.
    `write_operations`: operationIds of its writes.
    `last_write`: operationId of the last write of the run's own token, or "".
    `writes_of_others`: operationIds of the writes with each other token than that of the run.
    `pending_write`: operationId and path of that write if no response to it was logged, else "".
    `unmarked_values`: the values of that write, if it has no marker in a readable text.
    `written_values`: created record -> the values of each of its writes without the marker.
    `creation_times`: created record -> its time of creation, as the target returned it.
    `parents`: created record -> another one that it is deleted with. `original_values`: borrowed record -> values.
    """

    run_id: str
    target: str
    marker: str
    remaining: list[RecordKey] = field(default_factory=list)
    created: list[RecordKey] = field(default_factory=list)
    marked: set[RecordKey] = field(default_factory=set)
    write_operations: list[str] = field(default_factory=list)
    writes_of_others: dict[Actor, set[str]] = field(default_factory=dict)
    last_write: str = ""
    pending_write: tuple[str, str] = ("", "")
    unmarked_values: Mapping[str, Any] | None = None
    written_values: dict[RecordKey, list[Mapping[str, Any]]] = field(default_factory=dict)
    creation_times: dict[RecordKey, str] = field(default_factory=dict)
    parents: dict[RecordKey, RecordKey] = field(default_factory=dict)
    original_values: dict[RecordKey, Mapping[str, Any]] = field(default_factory=dict)


def read_write_log(path: Path) -> list[LoggedRun]:
    """The runs in a file. Truncated last lines of killed runs are ignored. Raises UsageError."""
    expected = "(expected a write log of `run`)"
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"WRITE_LOG: cannot read {path}: {error.strerror} {expected}") from None
    runs: dict[str, LoggedRun] = {}
    for line_number, raw_line in enumerate(lines, 1):
        event = _parse_line(raw_line)
        if event is None:
            if not _may_be_truncated(lines, line_number):
                raise UsageError(f"{path}:{line_number}: invalid line {raw_line[:60]!a} {expected}")
            continue
        if _is_foreign_header(event):
            found = f"run {event.get('run')!a:.60} with marker {event.get('marker')!a:.60}"
            raise UsageError(f"{path}:{line_number}: {found} is not a run of `run` (expected {EXPECTED_HEADER})")
        try:
            _apply_line(runs, event)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise UsageError(f"{path}:{line_number}: invalid line {raw_line[:60]!a} {expected}") from None
    if not runs:
        raise UsageError(f"WRITE_LOG: no run in {path} {expected}")
    return list(runs.values())


def _parse_line(raw_line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(raw_line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _is_foreign_header(event: Mapping[str, Any]) -> bool:
    """Whether a header has another run id or marker than `run` creates: records of others may contain that marker."""
    run_id, marker = event.get("run"), event.get("marker")
    if "write_log" not in event or not isinstance(run_id, str) or not isinstance(marker, str):
        return False
    return RUN_ID.fullmatch(run_id) is None or marker != run_marker(run_id)


def _may_be_truncated(lines: list[bytes], line_number: int) -> bool:
    """Whether a line is the last line of a run: of the file, or before the header of another run."""
    if not lines[line_number - 1].startswith(b"{"):
        return False
    following = _parse_line(lines[line_number]) if line_number < len(lines) else {"write_log": VERSION}
    return following is not None and "write_log" in following


def _apply_line(runs: dict[str, LoggedRun], event: dict[str, Any]) -> None:
    """Apply one event. Raises KeyError, TypeError, AttributeError if it is not valid."""
    run_id = event["run"]
    if "write_log" in event:
        texts = run_id, event["target"], event["marker"]
        if event["write_log"] != VERSION or not all(isinstance(text, str) for text in texts):
            raise KeyError(run_id)
        runs.setdefault(run_id, LoggedRun(run_id, event["target"], event["marker"]))
    elif "write" in event:
        _apply_write(runs[run_id], event)
    else:
        _apply_result(runs[run_id], event)


def _apply_write(logged_run: LoggedRun, event: dict[str, Any]) -> None:
    """Apply the line of a write."""
    operation, target = event["write"], event["target"]
    if not isinstance(operation, str):
        raise TypeError(operation)
    logged_run.unmarked_values = dict(event["unmarked"]) if "unmarked" in event else None
    actor = Actor(event.get("as", Actor.OWNER))
    if actor is not Actor.OWNER:
        logged_run.last_write, logged_run.pending_write = "", ("", "")
        logged_run.writes_of_others.setdefault(actor, set()).add(operation)
        return
    logged_run.last_write, logged_run.pending_write = operation, (operation, target)
    written = find_records_in(target, logged_run.created)
    logged_run.marked -= written
    for record in written:
        _add_written_values(logged_run, record)
    if operation not in logged_run.write_operations:
        logged_run.write_operations.append(operation)


def _add_written_values(logged_run: LoggedRun, record: RecordKey) -> None:
    """Add the values of the last write to those written to a record."""
    if logged_run.unmarked_values:
        logged_run.written_values.setdefault(record, []).append(logged_run.unmarked_values)


def _apply_result(logged_run: LoggedRun, event: dict[str, Any]) -> None:
    """Apply the line of a created, deleted or borrowed record."""
    logged_run.pending_write = ("", "")
    kind = next((name for name in ("changing", "created") if name in event), "deleted")
    record = RecordKey(event[kind], event["key"])
    if not isinstance(record.resource, str) or not is_key(record.key):
        raise TypeError(record)
    if kind == "changing":
        logged_run.original_values.setdefault(record, dict(event["original"]))
    elif kind == "created":
        _add_written_values(logged_run, record)
        if isinstance(event.get("created_at"), str):
            logged_run.creation_times[record] = event["created_at"]
        if "parent" in event:
            logged_run.parents[record] = RecordKey(*event["parent"])
        if record not in logged_run.remaining:  # a broken target returns the same key for several creates
            logged_run.remaining.append(record)
        logged_run.created.append(record)
        logged_run.marked |= {record} if event.get("marked") else set()
    elif record in logged_run.remaining:
        logged_run.remaining.remove(record)
    else:
        logged_run.original_values.pop(record, None)
