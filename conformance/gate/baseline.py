"""The baseline: accepted failures, which do not fail the run until they expire.

    version: 1
    accepted:
    - fingerprint: '#/paths/~1authors/get/parameters/0 blank-parameter-ignored listAuthors page'
      date: 2026-03-01
      reason: fixed with the next release
      expires: 2026-06-01           # optional: from this day on the failure blocks again
      owner: platform team          # optional: who fixes it
      message: got other rows      # optional: the message of the failure

A fingerprint identifies one requirement at one location of the contract; other failures of the operation still block.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date as Date
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from conformance.errors import UsageError
from conformance.gate import yaml_files
from conformance.results import CheckResult

OPTION = "--baseline"
REQUIRED_KEYS = ("fingerprint", "date", "reason")
OPTIONAL_KEYS = ("expires", "owner", "message")
HEADING = "Accepted failures: they do not block until they expire. State the reason; remove what is fixed."
DEFAULT_REASON = "accepted by --update-baseline"
MAX_MESSAGE_CHARS = 200
NOTICE_PERIOD = timedelta(days=7)  # before an entry expires


@dataclass(frozen=True, slots=True)
class AcceptedFailure:
    """`expires`: the first day on which the failure blocks again."""

    fingerprint: str
    date: Date
    reason: str
    expires: Date | None = None
    message: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """Accepted failures by fingerprint, and the date of the run."""

    today: Date
    entries: Mapping[str, AcceptedFailure] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, today: Date) -> "Baseline":
        """Read a file; an empty baseline if it does not exist. Raises UsageError."""
        raw_entries = yaml_files.read(OPTION, path, "accepted")
        if raw_entries is None:
            return cls(today)
        if not isinstance(raw_entries, list):
            raise UsageError(f"{OPTION}: {path}: accepted: invalid {type(raw_entries).__name__} (expected a list)")
        entries: dict[str, AcceptedFailure] = {}
        for index, raw_entry in enumerate(raw_entries):
            location = f"{path}: accepted.{index}"
            entry = _parse_entry(location, raw_entry)
            if entry.fingerprint in entries:
                raise UsageError(f"{OPTION}: {location}: duplicate fingerprint (expected one entry)")
            entries[entry.fingerprint] = entry
        return cls(today, entries)

    def accepts(self, result: CheckResult) -> bool:
        entry = self.entries.get(result.requirement.fingerprint)
        return entry is not None and not self._is_expired(entry)

    def expired_entries(self, failed: Iterable[CheckResult]) -> list[AcceptedFailure]:
        """Entries of failures that block again because they expired."""
        entries = (self.entries.get(result.requirement.fingerprint) for result in failed)
        return [entry for entry in entries if entry is not None and self._is_expired(entry)]

    def expiring_entries(self) -> list[AcceptedFailure]:
        """Entries that expire within `NOTICE_PERIOD`, the first to expire first."""
        limit = self.today + NOTICE_PERIOD
        entries = (entry for entry in self.entries.values() if entry.expires and self.today < entry.expires <= limit)
        return sorted(entries, key=lambda entry: (str(entry.expires), entry.fingerprint))

    def with_entry(self, entry: AcceptedFailure) -> "Baseline":
        """Add an entry, or replace the one with its fingerprint."""
        return replace(self, entries={**self.entries, entry.fingerprint: entry})

    def stale_entries(self, passed: Iterable[CheckResult]) -> list[AcceptedFailure]:
        """Entries whose requirement passes now."""
        entries = (self.entries.get(result.requirement.fingerprint) for result in passed)
        return [entry for entry in entries if entry is not None]

    def with_results(self, failed: Iterable[CheckResult], passed: Iterable[CheckResult]) -> "Baseline":
        """Add failures and remove what passed; entries that exist and have not expired are unchanged."""
        stale = {entry.fingerprint for entry in self.stale_entries(passed)}
        entries = {fingerprint: entry for fingerprint, entry in self.entries.items() if fingerprint not in stale}
        for result in failed:
            fingerprint = result.requirement.fingerprint
            message = " ".join(result.message.split())[:MAX_MESSAGE_CHARS]
            new_entry = AcceptedFailure(fingerprint, self.today, DEFAULT_REASON, None, message)
            current = entries.get(fingerprint, new_entry)
            is_expired = self._is_expired(current)
            entries[fingerprint] = replace(current, date=self.today, expires=None) if is_expired else current
        return replace(self, entries=entries)

    def save(self, path: Path) -> None:
        """Write the file, sorted. Raises UsageError."""
        entries = (asdict(self.entries[fingerprint]) for fingerprint in sorted(self.entries))
        documents = [{key: value for key, value in entry.items() if value not in (None, "")} for entry in entries]
        yaml_files.write(OPTION, path, HEADING, "accepted", documents)

    def _is_expired(self, entry: AcceptedFailure) -> bool:
        return entry.expires is not None and self.today >= entry.expires


def _parse_entry(location: str, raw_entry: Any) -> AcceptedFailure:
    yaml_files.check_keys(OPTION, location, raw_entry, required=REQUIRED_KEYS, optional=OPTIONAL_KEYS)
    for key in ("fingerprint", "reason"):
        if not isinstance(raw_entry[key], str) or not raw_entry[key].strip():
            raise UsageError(f"{OPTION}: {location}.{key}: invalid value {str(raw_entry[key])[:60]!a} (expected text)")
    expires = raw_entry.get("expires")
    expiry_date = None if expires is None else _parse_date(f"{location}.expires", expires)
    date, message = _parse_date(f"{location}.date", raw_entry["date"]), str(raw_entry.get("message", ""))
    owner = str(raw_entry.get("owner", ""))
    return AcceptedFailure(raw_entry["fingerprint"], date, raw_entry["reason"], expiry_date, message, owner)


def _parse_date(location: str, value: Any) -> Date:
    """A date of YAML, or an ISO date string of JSON."""
    if isinstance(value, Date) and not isinstance(value, datetime):
        return value
    try:
        return Date.fromisoformat(value)
    except (TypeError, ValueError):
        problem = f"invalid value {str(value)[:60]!a} (expected a date like 2026-03-01)"
        raise UsageError(f"{OPTION}: {location}: {problem}") from None
