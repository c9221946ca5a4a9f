"""Every write before it is sent, and everything that was created: what the run has to take away again.

A file of JSON lines. Each run begins with a line of its own, so that a file may hold several, one after another:

    {"ledger": 1, "run": id, "target": address, "marker": what stands in the texts that it wrote}
    {"run": id, "writing": operationId, "target": path, "as": whose token}      before it is sent
    {"run": id, "created": resource, "key": key}
    {"run": id, "gone": resource, "key": key}
    {"run": id, "changing": resource, "key": key, "before": {property: value}}    a record that is not the run's

Every line is with the operating system before the run goes on: a killed run loses no line, at most tears its last.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conformance.errors import UsageError

VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordKey:
    """A record that the run created: its resource's name and its key."""

    resource: str
    key: Any


@dataclass(slots=True)
class WriteLog:
    """A file of JSON lines, opened for each of them; `path` None keeps it in memory only."""

    run_id: str
    path: Path | None = None
    created_records: list[RecordKey] = field(default_factory=list)

    @classmethod
    def create(cls, run_id: str, path: Path, target: str, marker: str) -> "WriteLog":
        """A ledger of a run on a target, in a file: behind what other runs have written there. Raises OSError."""
        return cls(run_id, _terminate_last_line(path))._write_header(target, marker)

    @classmethod
    def resume(cls, logged_run: "LoggedRun", path: Path) -> "WriteLog":
        """The ledger of a run that is over, to note what becomes of its records. Raises OSError."""
        return cls(logged_run.run_id, _terminate_last_line(path), list(logged_run.remaining))._write_header(
            logged_run.target, logged_run.marker
        )

    def _write_header(self, target: str, marker: str) -> "WriteLog":
        """The same, with the line that begins a run, and ends one that a killed run tore."""
        self._append({"ledger": VERSION, "run": self.run_id, "target": target, "marker": marker})
        return self

    def log_write(self, operation: str, target: str, actor: str = "self") -> None:
        """Note a write that is about to be sent; `actor`: whose token goes with it."""
        self._append({"run": self.run_id, "writing": operation, "target": target, "as": actor})

    def log_created(self, resource: str, key: Any) -> None:
        """Note a record that the run made."""
        self.created_records.append(RecordKey(resource, key))
        self._append({"run": self.run_id, "created": resource, "key": key})

    def log_deleted(self, resource: str, key: Any) -> None:
        """Note that a record of the run is no more."""
        record = RecordKey(resource, key)
        if record in self.created_records:
            self.created_records.remove(record)
        self._append({"run": self.run_id, "gone": resource, "key": key})

    def log_original(self, resource: str, key: Any, original: Mapping[str, Any]) -> None:
        """Note what a record that is not the run's is, before it is written to."""
        self._append({"run": self.run_id, "changing": resource, "key": key, "before": dict(original)})

    def remaining(self) -> Iterator[RecordKey]:
        """What is left over, the last made first."""
        yield from reversed(list(self.created_records))

    def _append(self, event: dict[str, Any]) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(event) + "\n")


def _terminate_last_line(path: Path) -> Path:
    """The same path, of a file that can be appended to and whose last line has its end. Raises OSError."""
    is_truncated = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" if is_truncated else "")
    return path


@dataclass(slots=True)
class LoggedRun:
    """What a file says of one run. `remaining`: what was created and not taken away; `created`: and what was; `write_operations`:
    operationIds of its writes; `pending_write`: operationId and path of its own last write when nothing is known of the
    answer, or ""; `original_values`: (resource, key) of records that were not its own -> what they were."""

    run_id: str
    target: str
    marker: str
    remaining: list[RecordKey] = field(default_factory=list)
    created: list[RecordKey] = field(default_factory=list)
    write_operations: list[str] = field(default_factory=list)
    pending_write: tuple[str, str] = ("", "")
    original_values: dict[tuple[str, Any], Mapping[str, Any]] = field(default_factory=dict)


def read_write_log(path: Path) -> list[LoggedRun]:
    """The runs that a file tells of. Lines that a killed run tore are passed over. Raises UsageError."""
    expected = "allowed: a ledger that `run` wrote"
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"LEDGER: found {path} ({error.strerror}); {expected}") from None
    runs: dict[str, LoggedRun] = {}
    for line_number, raw_line in enumerate(lines, 1):
        event = _parse_line(raw_line)
        if event is None:
            if not _may_be_truncated(lines, line_number):
                raise UsageError(f"{path}:{line_number}: found {raw_line[:60]!a}; {expected}")
            continue
        try:
            _apply_line(runs, event)
        except (KeyError, TypeError, AttributeError):
            raise UsageError(f"{path}:{line_number}: found {raw_line[:60]!a}; {expected}") from None
    if not runs:
        raise UsageError(f"LEDGER: found {path}, which tells of no run; {expected}")
    return list(runs.values())


def _parse_line(raw_line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(raw_line)
    except (ValueError, RecursionError):
        return None
    return event if isinstance(event, dict) else None


def _may_be_truncated(lines: list[bytes], line_number: int) -> bool:
    """Whether a line is a run's last: the file's, or the one before another run's first."""
    if not lines[line_number - 1].startswith(b"{"):
        return False
    following = _parse_line(lines[line_number]) if line_number < len(lines) else {"ledger": VERSION}
    return following is not None and "ledger" in following


def _apply_line(runs: dict[str, LoggedRun], event: dict[str, Any]) -> None:
    """Add what a line says. Raises KeyError, TypeError: it is none of ours."""
    run_id = event["run"]
    if "ledger" in event:
        if event["ledger"] != VERSION or not isinstance(event["target"], str) or not isinstance(event["marker"], str):
            raise KeyError(run_id)
        runs.setdefault(run_id, LoggedRun(run_id, event["target"], event["marker"]))
        return
    logged_run = runs[run_id]
    if "writing" in event:
        is_run_token = event.get("as", "self") == "self"
        logged_run.pending_write = (event["writing"], event["target"]) if is_run_token else ("", "")
        if is_run_token and event["writing"] not in logged_run.write_operations:
            logged_run.write_operations.append(event["writing"])
        return
    logged_run.pending_write = ("", "")
    if "changing" in event:
        logged_run.original_values.setdefault((event["changing"], event["key"]), dict(event["before"]))
        return
    record = RecordKey(event["created"] if "created" in event else event["gone"], event["key"])
    if "created" in event:
        logged_run.remaining.append(record)
        logged_run.created.append(record)
    elif record in logged_run.remaining:
        logged_run.remaining.remove(record)
    else:
        logged_run.original_values.pop((record.resource, record.key), None)
