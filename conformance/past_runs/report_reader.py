"""Reader of the JSON report of an earlier run."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.errors import UsageError
from conformance.files import read_json
from conformance.gate.verdict import join_names
from conformance.reporting.json_report import VERSION
from conformance.runner.rerun import BLOCKING_KINDS
from spec.model import Contract

MAX_REPORT_BYTES = 500_000_000
MIN_ID_CHARS = 4  # of an abbreviated id
MAX_LISTED_IDS = 12  # ids listed in a message
EXPECTED = "the conformance.json of an earlier run"
TEXTS = ("fingerprint", "id", "check", "operation", "parameter", "requirement", "status", "message", "provenance")
RECURRING_KINDS = ("", *(kind.value for kind in BLOCKING_KINDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedResult:
    """A result in a report.

    `since`: the run in which a failure was first reported. `proposal`, `sequence`: JSON as in the report, or None.
    """

    fingerprint: str
    id: str
    check: str
    operation: str
    parameter: str
    requirement: str
    status: str
    failure_kind: str = ""
    message: str
    location: str
    pointer: str
    keyword: str
    provenance: str
    proposal: Any
    sequence: Any
    since: str = ""

    @property
    def is_recurring(self) -> bool:
        """Whether the check failed in each rerun."""
        return self.status == "failed" and self.failure_kind in RECURRING_KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class PastReport:
    """Report of an earlier run. `digest`: of the contract. `statuses`: operationId -> statuses it returned."""

    file: str
    target: str
    seed: int
    run_id: str
    started: str
    digest: str
    statuses: Mapping[str, frozenset[int]]
    results: tuple[ReportedResult, ...]

    def failures(self) -> Iterator[ReportedResult]:
        """Yield the failed results, including flaky ones."""
        return (result for result in self.results if result.status == "failed")

    def failure(self, name: str) -> ReportedResult:
        """Find a failure by its id, the beginning of the id, or its fingerprint. Raises UsageError."""
        query = name.strip().removeprefix("#")
        failures = {failure.fingerprint: failure for failure in self.failures()}
        matches = [f for f in failures.values() if query in (f.fingerprint, f.id)]
        if not matches and len(query) >= MIN_ID_CHARS:
            matches = [f for f in failures.values() if f.id.startswith(query.lower())]
        if len(matches) == 1:
            return matches[0]
        candidates = [f"{f.id} ({f.operation} {f.check})" for f in (matches or failures.values())]
        expected = join_names(candidates, MAX_LISTED_IDS) or "none: the report has no failures"
        raise UsageError(f"id: {query[:80]!a} matches {len(matches)} failures (expected one of {expected})")


def read_report(path: Path) -> PastReport:
    """Read a report file. Raises UsageError if it is not a report of the current version."""
    root = read_json(path, MAX_REPORT_BYTES, EXPECTED)
    version = root.get("version") if isinstance(root, dict) else None
    if version != VERSION:
        hint = "; rerun the suite to create a new report" if version == 1 else ""
        expected = f"{EXPECTED}, version {VERSION}"
        raise UsageError(f"{path}: invalid report version {version!r:.40} (expected {expected}){hint}")
    try:
        run = root["run"]
        return PastReport(
            **{name: str(run[name]) for name in ("target", "started", "digest")},
            file=str(path),
            seed=int(run["seed"]),
            run_id=str(run["id"]),
            statuses={str(name): frozenset(map(int, statuses)) for name, statuses in root["responses"].items()},
            results=tuple(_parse_result(result) for result in root["results"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: invalid report: {error!r:.100} (expected {EXPECTED})") from None


def _parse_result(data: Mapping[str, Any]) -> ReportedResult:
    location = data["location"]
    return ReportedResult(
        **{name: str(data[name]) for name in TEXTS},
        failure_kind=str(data.get("failure_kind") or ""),
        keyword=str(data.get("keyword") or ""),
        location=f"{location['file']}:{location['line']} {location['pointer']}",
        pointer=str(location["pointer"]),
        proposal=data.get("proposal"),
        sequence=data.get("sequence"),
        since=str(data.get("since") or ""),
    )


def contract_difference(report: PastReport, contract: Contract) -> str:
    """Return a note if the report was made with another contract, or ""."""
    digest = contract.document.digest
    if report.digest == digest:
        return ""
    return f"the report was made with another contract ({report.digest[:12]}, this one is {digest[:12]})"
