"""Failures of a run compared with those of an earlier run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from conformance.gate.verdict import GateResult, join_names
from conformance.results import CheckResult

MAX_NAMES = 5


@dataclass(frozen=True, slots=True)
class PastFailure:
    """A failure of an earlier run. `since`: the run in which it was first reported, like ``run 1a2b, 2026-03-01``."""

    fingerprint: str
    name: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureComparison:
    """`new`, `known`: failures of this run. `fixed`: requirements that pass now. `skipped`: they did not run now."""

    past_run: str
    new: tuple[CheckResult, ...]
    known: tuple[CheckResult, ...]
    fixed: tuple[PastFailure, ...]
    skipped: tuple[PastFailure, ...]
    since: Mapping[str, str]

    @classmethod
    def create(cls, past_run: str, past: Collection[PastFailure], gate_result: GateResult) -> "FailureComparison":
        """Compare the failures of an earlier run, except flaky ones, with those of a gate result."""
        by_fingerprint = {failure.fingerprint: failure for failure in past}
        failed = {result.requirement.fingerprint for result in gate_result.failed}
        passed = {result.requirement.fingerprint for result in gate_result.passed}
        return cls(
            past_run=past_run,
            new=tuple(r for r in gate_result.failed if r.requirement.fingerprint not in by_fingerprint),
            known=tuple(r for r in gate_result.failed if r.requirement.fingerprint in by_fingerprint),
            fixed=tuple(f for name, f in by_fingerprint.items() if name in passed and name not in failed),
            skipped=tuple(f for name, f in by_fingerprint.items() if name not in passed | failed),
            since={name: failure.since for name, failure in by_fingerprint.items() if name in failed},
        )

    def lines(self) -> list[str]:
        """Describe the comparison in one line per kind, the first with all counts."""
        counts = f"{len(self.new)} new, {len(self.known)} known, {len(self.fixed)} fixed"
        counts += f", {len(self.skipped)} not checked" if self.skipped else ""
        named = {
            "new": [_describe(result) for result in self.new],
            "fixed": [failure.name for failure in self.fixed],
            "not checked": [failure.name for failure in self.skipped],
        }
        details = [f"{kind}: {join_names(names, MAX_NAMES)}" for kind, names in named.items() if names]
        return [f"compared with {self.past_run}: {counts}", *details]


def _describe(result: CheckResult) -> str:
    requirement = result.requirement
    name = " ".join(filter(None, (requirement.operation, requirement.parameter, requirement.check)))
    return f"{name} ({requirement.id})"
