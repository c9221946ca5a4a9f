"""Accepted failures: known, with a date and a reason, and not red until they expire.

    version: 1
    accepted:
    - fingerprint: '#/paths/~1authors/get/parameters/0 size-is-respected listAuthors per_page'
      date: 2026-03-01
      reason: the page size is mended with the next release
      expires: 2026-06-01        # the first day on which it blocks again; may be left out
      found: what was found then  # for people; may be left out

A fingerprint names one promise at one place of the contract: to accept it hides no other of the same operation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date as Date
from datetime import datetime
from pathlib import Path
from typing import Any

from conformance import yaml_files
from conformance.errors import UsageError
from conformance.outcome import Outcome

FLAG = "--baseline"
VERSION = 1
REQUIRED = ("fingerprint", "date", "reason")
OPTIONAL = ("expires", "found")
HEADING = "Accepted failures: not red until they expire. Say why under `reason`; remove what is mended."
UNSAID = "accepted by --update-baseline; nobody has said why yet"
CUT = 200  # characters of what was found


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted failure. `expires`: the first day on which it blocks again."""

    fingerprint: str
    date: Date
    reason: str
    expires: Date | None = None
    found: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Accepted failures by fingerprint, and the day on which they are looked at."""

    today: Date
    entries: Mapping[str, Accepted] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, today: Date) -> "Baseline":
        """Those of a file; none where there is no file yet. Raises UsageError."""
        said = yaml_files.read(FLAG, path, "accepted", VERSION)
        if said is None:
            return cls(today)
        if not isinstance(said, list):
            raise UsageError(f"{FLAG}: {path}: accepted: found {type(said).__name__}; allowed: a list")
        entries: dict[str, Accepted] = {}
        for number, one in enumerate(said):
            where = f"{path}: accepted.{number}"
            entry = _entry(where, one)
            if entry.fingerprint in entries:
                raise UsageError(f"{FLAG}: {where}: found a fingerprint for the second time; allowed: once")
            entries[entry.fingerprint] = entry
        return cls(today, entries)

    def accepts(self, outcome: Outcome) -> bool:
        """Whether a failure is accepted today."""
        entry = self.entries.get(outcome.promise.fingerprint)
        return entry is not None and not self._over(entry)

    def expired(self, broken: Iterable[Outcome]) -> list[Accepted]:
        """Entries that blocked again as their day has come."""
        entries = (self.entries.get(outcome.promise.fingerprint) for outcome in broken)
        return [entry for entry in entries if entry is not None and self._over(entry)]

    def stale(self, kept: Iterable[Outcome]) -> list[Accepted]:
        """Entries whose promise is kept now."""
        entries = (self.entries.get(outcome.promise.fingerprint) for outcome in kept)
        return [entry for entry in entries if entry is not None]

    def updated(self, broken: Iterable[Outcome], kept: Iterable[Outcome]) -> "Baseline":
        """With what is broken now, without what is kept now; what stood there stays as it was said, if not expired."""
        over = {entry.fingerprint for entry in self.stale(kept)}
        entries = {mark: entry for mark, entry in self.entries.items() if mark not in over}
        for outcome in broken:
            mark = outcome.promise.fingerprint
            found = " ".join(outcome.said.split())[:CUT]
            new = Accepted(mark, self.today, UNSAID, None, found)
            there = entries.get(mark, new)
            entries[mark] = replace(there, date=self.today, expires=None) if self._over(there) else there
        return replace(self, entries=entries)

    def save(self, path: Path) -> None:
        """Write the file, sorted. Raises UsageError."""
        listed = [_document(self.entries[mark]) for mark in sorted(self.entries)]
        yaml_files.write(FLAG, path, HEADING, {"version": VERSION, "accepted": listed})

    def _over(self, entry: Accepted) -> bool:
        return entry.expires is not None and self.today >= entry.expires


def _entry(where: str, said: Any) -> Accepted:
    yaml_files.keys(FLAG, where, said, required=REQUIRED, optional=OPTIONAL)
    for name in ("fingerprint", "reason"):
        if not isinstance(said[name], str) or not said[name].strip():
            raise UsageError(f"{FLAG}: {where}.{name}: found {str(said[name])[:60]!a}; allowed: a text")
    expires = said.get("expires")
    day = None if expires is None else _day(f"{where}.expires", expires)
    return Accepted(
        said["fingerprint"], _day(f"{where}.date", said["date"]), said["reason"], day, str(said.get("found", ""))
    )


def _day(where: str, said: Any) -> Date:
    """A day as YAML or JSON say it."""
    if isinstance(said, Date) and not isinstance(said, datetime):
        return said
    try:
        return Date.fromisoformat(said)
    except (TypeError, ValueError):
        raise UsageError(f"{FLAG}: {where}: found {str(said)[:60]!a}; allowed: a day like 2026-03-01") from None


def _document(entry: Accepted) -> dict[str, Any]:
    said: dict[str, Any] = {"fingerprint": entry.fingerprint, "date": entry.date, "reason": entry.reason}
    if entry.expires is not None:
        said["expires"] = entry.expires
    return said | ({"found": entry.found} if entry.found else {})
