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
class Made:
    """A record that the run created: its resource's name and its key."""

    resource: str
    key: Any


@dataclass(slots=True)
class Ledger:
    """A file of JSON lines, opened for each of them; `path` None keeps it in memory only."""

    run: str
    path: Path | None = None
    made: list[Made] = field(default_factory=list)

    @classmethod
    def at(cls, run: str, path: Path, target: str, marker: str) -> "Ledger":
        """A ledger of a run on a target, in a file: behind what other runs have written there. Raises OSError."""
        return cls(run, _ended(path))._begun(target, marker)

    @classmethod
    def resumed(cls, entry: "Entry", path: Path) -> "Ledger":
        """The ledger of a run that is over, to note what becomes of its records. Raises OSError."""
        return cls(entry.run, _ended(path), list(entry.made))._begun(entry.target, entry.marker)

    def _begun(self, target: str, marker: str) -> "Ledger":
        """The same, with the line that begins a run, and ends one that a killed run tore."""
        self._note({"ledger": VERSION, "run": self.run, "target": target, "marker": marker})
        return self

    def writing(self, operation: str, target: str, as_: str = "self") -> None:
        """Note a write that is about to be sent; `as_`: whose token goes with it."""
        self._note({"run": self.run, "writing": operation, "target": target, "as": as_})

    def created(self, resource: str, key: Any) -> None:
        """Note a record that the run made."""
        self.made.append(Made(resource, key))
        self._note({"run": self.run, "created": resource, "key": key})

    def gone(self, resource: str, key: Any) -> None:
        """Note that a record of the run is no more."""
        made = Made(resource, key)
        if made in self.made:
            self.made.remove(made)
        self._note({"run": self.run, "gone": resource, "key": key})

    def changing(self, resource: str, key: Any, before: Mapping[str, Any]) -> None:
        """Note what a record that is not the run's is, before it is written to."""
        self._note({"run": self.run, "changing": resource, "key": key, "before": dict(before)})

    def left(self) -> Iterator[Made]:
        """What is left over, the last made first."""
        yield from reversed(list(self.made))

    def _note(self, line: dict[str, Any]) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _ended(path: Path) -> Path:
    """The same path, of a file that can be appended to and whose last line has its end. Raises OSError."""
    torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" if torn else "")
    return path


@dataclass(slots=True)
class Entry:
    """What a file says of one run. `made`: what was created and not taken away; `ever`: and what was; `wrote`:
    operationIds of its writes; `unanswered`: operationId and path of its own last write when nothing is known of the
    answer, or ""; `changed`: (resource, key) of records that were not its own -> what they were."""

    run: str
    target: str
    marker: str
    made: list[Made] = field(default_factory=list)
    ever: list[Made] = field(default_factory=list)
    wrote: list[str] = field(default_factory=list)
    unanswered: tuple[str, str] = ("", "")
    changed: dict[tuple[str, Any], Mapping[str, Any]] = field(default_factory=dict)


def entries(path: Path) -> list[Entry]:
    """The runs that a file tells of. Lines that a killed run tore are passed over. Raises UsageError."""
    allowed = "allowed: a ledger that `run` wrote"
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(f"LEDGER: found {path} ({error.strerror}); {allowed}") from None
    found: dict[str, Entry] = {}
    for number, raw in enumerate(lines, 1):
        line = _line(raw)
        if line is None:
            if not _may_be_torn(lines, number):
                raise UsageError(f"{path}:{number}: found {raw[:60]!a}; {allowed}")
            continue
        try:
            _take(found, line)
        except (KeyError, TypeError, AttributeError):
            raise UsageError(f"{path}:{number}: found {raw[:60]!a}; {allowed}") from None
    if not found:
        raise UsageError(f"LEDGER: found {path}, which tells of no run; {allowed}")
    return list(found.values())


def _line(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return line if isinstance(line, dict) else None


def _may_be_torn(lines: list[bytes], number: int) -> bool:
    """Whether a line is a run's last: the file's, or the one before another run's first."""
    if not lines[number - 1].startswith(b"{"):
        return False
    following = _line(lines[number]) if number < len(lines) else {"ledger": VERSION}
    return following is not None and "ledger" in following


def _take(found: dict[str, Entry], line: dict[str, Any]) -> None:
    """Add what a line says. Raises KeyError, TypeError: it is none of ours."""
    run = line["run"]
    if "ledger" in line:
        if line["ledger"] != VERSION or not isinstance(line["target"], str) or not isinstance(line["marker"], str):
            raise KeyError(run)
        found.setdefault(run, Entry(run, line["target"], line["marker"]))
        return
    entry = found[run]
    if "writing" in line:
        own = line.get("as", "self") == "self"
        entry.unanswered = (line["writing"], line["target"]) if own else ("", "")
        if own and line["writing"] not in entry.wrote:
            entry.wrote.append(line["writing"])
        return
    entry.unanswered = ("", "")
    if "changing" in line:
        entry.changed.setdefault((line["changing"], line["key"]), dict(line["before"]))
        return
    made = Made(line["created"] if "created" in line else line["gone"], line["key"])
    if "created" in line:
        entry.made.append(made)
        entry.ever.append(made)
    elif made in entry.made:
        entry.made.remove(made)
    else:
        entry.changed.pop((made.resource, made.key), None)
