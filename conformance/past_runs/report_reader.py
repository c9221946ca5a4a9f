"""What an earlier run found, read from the JSON that it wrote. A file that is none is refused in one line."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import UsageError
from conformance.reporting.json_report import VERSION
from spec.loader import Contract

MAX_REPORT_BYTES = 500_000_000  # bytes
MIN_ID_CHARS = 4  # characters of an id
MAX_LISTED_IDS = 12  # ids that a message lists
EXPECTED = "the conformance.json of an earlier run"


@dataclass(frozen=True, slots=True)
class ReportedFailure:
    """A promise as a report tells of it. `keyword`: that its grade is of, "" when it is of the place.

    `proposal`, `sequence`: as written, or None (`conformance.trace.sequence.read`).
    """

    fingerprint: str
    id: str
    check: str
    operation: str
    parameter: str
    requirement: str
    status: str
    message: str
    location: str
    pointer: str
    keyword: str
    provenance: str
    proposal: Any
    sequence: Any


@dataclass(frozen=True, slots=True)
class PastReport:
    """A run's report. `target`: the address, with the contract's base path. `digest`: of the contract's bytes.
    `statuses`: operationId -> the statuses that it answered."""

    file: str
    target: str
    seed: int
    run_id: str
    started: str
    digest: str
    statuses: Mapping[str, frozenset[int]]
    results: tuple[ReportedFailure, ...]

    def failures(self) -> Iterator[ReportedFailure]:
        """The promises that were broken, or broken at times."""
        return (p for p in self.results if p.status in ("broken", "flaky"))

    def failure(self, name: str) -> ReportedFailure:
        """The broken promise with that id, the beginning of it, or that fingerprint. Raises UsageError."""
        query = name.strip().removeprefix("#")
        failures = {failure.fingerprint: failure for failure in self.failures()}
        matches = [f for f in failures.values() if query == f.fingerprint or query == f.id]
        if not matches and len(query) >= MIN_ID_CHARS:
            matches = [f for f in failures.values() if f.id.startswith(query.lower())]
        if len(matches) == 1:
            return matches[0]
        candidates = [f"{f.id} ({f.operation} {f.check})" for f in (matches or failures.values())]
        more = f" and {len(candidates) - MAX_LISTED_IDS} more" if len(candidates) > MAX_LISTED_IDS else ""
        expected = ", ".join(candidates[:MAX_LISTED_IDS]) + more or "none: the report tells of nothing broken"
        raise UsageError(f"id: found {query[:80]!a}, which {len(matches)} failures have; allowed: {expected}")


def read_report(path: Path) -> PastReport:
    """The report in a file. Raises UsageError."""
    root = _json(path)
    if not isinstance(root, dict) or root.get("version") != VERSION:
        version = root.get("version") if isinstance(root, dict) else type(root).__name__
        raise UsageError(f"{path}: found version {version!r:.40}; allowed: {EXPECTED}, version {VERSION}")
    try:
        run = root["run"]
        return PastReport(
            str(path),
            str(run["target"]),
            int(run["seed"]),
            str(run["id"]),
            str(run["started"]),
            str(run["digest"]),
            {str(name): frozenset(map(int, statuses)) for name, statuses in root["answers"].items()},
            tuple(_failure_from_json(said) for said in root["promises"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: found {error!r:.100}; allowed: {EXPECTED}") from None


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_REPORT_BYTES:
            raise UsageError(f"{path}: found {path.stat().st_size} bytes; allowed: {MAX_REPORT_BYTES} at most")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: found no readable file ({error.strerror}); allowed: {EXPECTED}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: found no JSON ({str(error)[:100]}); allowed: {EXPECTED}") from None


def _failure_from_json(data: Mapping[str, Any]) -> ReportedFailure:
    location = data["place"]
    return ReportedFailure(
        fingerprint=str(data["id"]),
        location=f"{location['file']}:{location['line']} {location['pointer']}",
        pointer=str(location["pointer"]),
        keyword=str(data.get("keyword") or ""),
        proposal=data.get("proposal"),
        sequence=data.get("sequence"),
        id=str(data["short"]),
        check=str(data["law"]),
        operation=str(data["operation"]),
        parameter=str(data["parameter"]),
        requirement=str(data["sentence"]),
        status=str(data["verdict"]),
        message=str(data["said"]),
        provenance=str(data["grade"]),
    )


def contract_difference(report: PastReport, contract: Contract) -> str:
    """A note where the report was made with another contract than this one; "" otherwise."""
    if report.digest == contract.document.digest:
        return ""
    return (
        f"the report was made with another contract ({report.digest[:12]}; this one: {contract.document.digest[:12]})"
    )
