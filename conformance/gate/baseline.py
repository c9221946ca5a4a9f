"""Accepted failures: known, with a date and a reason, and not red until they expire.

    version: 1
    accepted:
    - fingerprint: '#/paths/~1authors/get/parameters/0 page-size-respected listAuthors per_page'
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

from conformance.errors import UsageError
from conformance.gate import yaml_files
from conformance.results import CheckResult

OPTION = "--baseline"
VERSION = 1
REQUIRED_KEYS = ("fingerprint", "date", "reason")
OPTIONAL_KEYS = ("expires", "found")
HEADING = "Accepted failures: not red until they expire. Say why under `reason`; remove what is mended."
DEFAULT_REASON = "accepted by --update-baseline; nobody has said why yet"
MAX_OBSERVED_CHARS = 200  # characters of what was found


@dataclass(frozen=True, slots=True)
class AcceptedFailure:
    """An accepted failure. `expires`: the first day on which it blocks again."""

    fingerprint: str
    date: Date
    reason: str
    expires: Date | None = None
    observed: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Accepted failures by fingerprint, and the day on which they are looked at."""

    today: Date
    entries: Mapping[str, AcceptedFailure] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, today: Date) -> "Baseline":
        """Those of a file; none where there is no file yet. Raises UsageError."""
        raw_entries = yaml_files.read(OPTION, path, "accepted", VERSION)
        if raw_entries is None:
            return cls(today)
        if not isinstance(raw_entries, list):
            raise UsageError(f"{OPTION}: {path}: accepted: found {type(raw_entries).__name__}; allowed: a list")
        entries: dict[str, AcceptedFailure] = {}
        for index, raw_entry in enumerate(raw_entries):
            location = f"{path}: accepted.{index}"
            entry = _parse_entry(location, raw_entry)
            if entry.fingerprint in entries:
                raise UsageError(f"{OPTION}: {location}: found a fingerprint for the second time; allowed: once")
            entries[entry.fingerprint] = entry
        return cls(today, entries)

    def accepts(self, result: CheckResult) -> bool:
        """Whether a failure is accepted today."""
        entry = self.entries.get(result.requirement.fingerprint)
        return entry is not None and not self._is_expired(entry)

    def expired_entries(self, failed: Iterable[CheckResult]) -> list[AcceptedFailure]:
        """Entries that blocked again as their day has come."""
        entries = (self.entries.get(result.requirement.fingerprint) for result in failed)
        return [entry for entry in entries if entry is not None and self._is_expired(entry)]

    def stale_entries(self, passed: Iterable[CheckResult]) -> list[AcceptedFailure]:
        """Entries whose promise is kept now."""
        entries = (self.entries.get(result.requirement.fingerprint) for result in passed)
        return [entry for entry in entries if entry is not None]

    def with_results(self, failed: Iterable[CheckResult], passed: Iterable[CheckResult]) -> "Baseline":
        """With what is broken now, without what is kept now; what stood there stays as it was said, if not expired."""
        stale = {entry.fingerprint for entry in self.stale_entries(passed)}
        entries = {fingerprint: entry for fingerprint, entry in self.entries.items() if fingerprint not in stale}
        for result in failed:
            fingerprint = result.requirement.fingerprint
            observed = " ".join(result.message.split())[:MAX_OBSERVED_CHARS]
            new_entry = AcceptedFailure(fingerprint, self.today, DEFAULT_REASON, None, observed)
            current = entries.get(fingerprint, new_entry)
            entries[fingerprint] = (
                replace(current, date=self.today, expires=None) if self._is_expired(current) else current
            )
        return replace(self, entries=entries)

    def save(self, path: Path) -> None:
        """Write the file, sorted. Raises UsageError."""
        documents = [_entry_to_yaml(self.entries[fingerprint]) for fingerprint in sorted(self.entries)]
        yaml_files.write(OPTION, path, HEADING, {"version": VERSION, "accepted": documents})

    def _is_expired(self, entry: AcceptedFailure) -> bool:
        return entry.expires is not None and self.today >= entry.expires


def _parse_entry(location: str, raw_entry: Any) -> AcceptedFailure:
    yaml_files.check_keys(OPTION, location, raw_entry, required=REQUIRED_KEYS, optional=OPTIONAL_KEYS)
    for key in ("fingerprint", "reason"):
        if not isinstance(raw_entry[key], str) or not raw_entry[key].strip():
            raise UsageError(f"{OPTION}: {location}.{key}: found {str(raw_entry[key])[:60]!a}; allowed: a text")
    expires = raw_entry.get("expires")
    expiry_date = None if expires is None else _parse_date(f"{location}.expires", expires)
    return AcceptedFailure(
        raw_entry["fingerprint"],
        _parse_date(f"{location}.date", raw_entry["date"]),
        raw_entry["reason"],
        expiry_date,
        str(raw_entry.get("found", "")),
    )


def _parse_date(location: str, value: Any) -> Date:
    """A day as YAML or JSON say it."""
    if isinstance(value, Date) and not isinstance(value, datetime):
        return value
    try:
        return Date.fromisoformat(value)
    except (TypeError, ValueError):
        raise UsageError(f"{OPTION}: {location}: found {str(value)[:60]!a}; allowed: a day like 2026-03-01") from None


def _entry_to_yaml(entry: AcceptedFailure) -> dict[str, Any]:
    document: dict[str, Any] = {"fingerprint": entry.fingerprint, "date": entry.date, "reason": entry.reason}
    if entry.expires is not None:
        document["expires"] = entry.expires
    return document | ({"found": entry.observed} if entry.observed else {})
