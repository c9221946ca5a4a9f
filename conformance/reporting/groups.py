"""Groups of failures that probably have one cause, most severe first."""

from collections.abc import Iterable
from dataclasses import dataclass

from conformance.gate.verdict import join_names
from conformance.reporting.names import display_name
from conformance.results import CheckResult

MAX_OPERATION_NAMES = 3  # in a title


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """Failures of one check and keyword; at least one. Reports show the first in full."""

    results: tuple[CheckResult, ...]

    @property
    def first(self) -> CheckResult:
        """The most severe failure."""
        return self.results[0]

    @property
    def operations(self) -> tuple[str, ...]:
        """Distinct operationIds, in order."""
        return tuple(dict.fromkeys(result.requirement.operation for result in self.results))

    @property
    def location_count(self) -> int:
        """Number of distinct locations in the contract."""
        return len({result.requirement.location for result in self.results})

    def title(self, max_names: int = MAX_OPERATION_NAMES) -> str:
        """Return ``check on 12 operations: a, b, c and 9 more``; the display name for a single failure."""
        if len(self.results) == 1:
            return display_name(self.first.requirement)
        requirement, operations = self.first.requirement, self.operations
        check = f"{requirement.check} ({requirement.keyword})" if requirement.keyword else requirement.check
        if len(operations) == 1:
            return f"{check}: {len(self.results)} times on {operations[0]}"
        times = f", {len(self.results)} times" if len(self.results) > len(operations) else ""
        return f"{check} on {len(operations)} operations{times}: {join_names(operations, max_names)}"


def group_results(results: Iterable[CheckResult]) -> tuple[ResultGroup, ...]:
    """Group failures; order by provenance (independent, stated, inferred), then by number of operations."""
    by_check: dict[tuple[str, str], list[CheckResult]] = {}
    for result in results:
        by_check.setdefault((result.requirement.check, result.requirement.keyword), []).append(result)
    groups = (ResultGroup(tuple(sorted(members, key=_severity))) for members in by_check.values())
    return tuple(sorted(groups, key=lambda group: (_severity(group.first), -len(group.operations))))


def _severity(result: CheckResult) -> int:
    requirement = result.requirement
    return 0 if requirement.provenance_independent else 2 if requirement.provenance == "inferred" else 1
