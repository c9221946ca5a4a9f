"""Known failures of the suite on real backends, each with its cause."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml


class Verdict(StrEnum):
    """Cause of a failure, as determined by hand."""

    TRUE = "true"  # the backend is wrong
    CONTRACT = "contract"  # its OpenAPI document is wrong or incomplete
    FALSE_ALARM = "false alarm"  # both are right


@dataclass(frozen=True, slots=True)
class TriagedFailure:
    """A known failure. `check`, `operation` and `parameter` may be patterns (``*``)."""

    check: str
    operation: str
    parameter: str
    verdict: Verdict
    note: str

    def matches(self, result: Mapping[str, Any]) -> bool:
        """Whether a result of a JSON report is this failure."""
        names = (result["check"], result["operation"], result["parameter"])
        patterns = (self.check, self.operation, self.parameter)
        return all(fnmatchcase(name, pattern) for name, pattern in zip(names, patterns, strict=True))


@dataclass(frozen=True, slots=True)
class Triage:
    """The known failures of one backend."""

    findings: Sequence[TriagedFailure]

    @classmethod
    def load(cls, path: Path) -> "Triage":
        """Read a file: a list of entries with check, operation, parameter (default: any), verdict and note."""
        entries = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else []
        return cls(
            [
                TriagedFailure(**{"parameter": "*", **entry, "verdict": Verdict(entry["verdict"])})
                for entry in entries or []
            ]
        )

    def find(self, result: Mapping[str, Any]) -> TriagedFailure | None:
        """Return the first finding that matches a failure; None if there is none."""
        return next((finding for finding in self.findings if finding.matches(result)), None)

    def find_unknown(self, report: Mapping[str, Any]) -> list[str]:
        """Return a line for each failure of a report that matches no finding."""
        return [_describe(result) for result in _failures(report) if self.find(result) is None]

    def count(self, report: Mapping[str, Any]) -> dict[str, int]:
        """Count the failures of a report by verdict."""
        findings = [self.find(result) for result in _failures(report)]
        return dict(sorted(Counter(str(finding.verdict) for finding in findings if finding is not None).items()))


def _failures(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (result for result in report["results"] if result["status"] == "failed")


def _describe(result: Mapping[str, Any]) -> str:
    kind = "blocking" if result["blocking"] else "gap"
    return f"{kind} {result['check']} {result['operation']} {result['parameter']}: {result['message']}"
