"""Broken promises put together: what is likely one fault, shown by many operations, and the weightiest first."""

from collections.abc import Iterable
from dataclasses import dataclass

from conformance.reporting.names import display_name
from conformance.results import CheckResult, Requirement

MAX_OPERATION_NAMES = 3  # operations that a title names


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """Broken promises of one law and keyword; at least one. The first stands for them all."""

    results: tuple[CheckResult, ...]

    @property
    def first(self) -> CheckResult:
        """What is shown in full."""
        return self.results[0]

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations, each once."""
        return tuple(dict.fromkeys(result.requirement.operation for result in self.results))

    @property
    def location_count(self) -> int:
        """At how many places of the contract."""
        return len({result.requirement.location for result in self.results})

    def title(self, max_names: int = MAX_OPERATION_NAMES) -> str:
        """``law on 12 operations: a, b, c and 9 more``; of one promise its own name."""
        if len(self.results) == 1:
            return display_name(self.first.requirement)
        requirement, operations = self.first.requirement, self.operations
        check = f"{requirement.check} ({requirement.keyword})" if requirement.keyword else requirement.check
        if len(operations) == 1:
            return f"{check}: {len(self.results)} times on {operations[0]}"
        omitted_note = f" and {len(operations) - max_names} more" if len(operations) > max_names else ""
        count_note = f", {len(self.results)} times" if len(self.results) > len(operations) else ""
        return f"{check} on {len(operations)} operations{count_note}: {', '.join(operations[:max_names])}{omitted_note}"


def group_results(results: Iterable[CheckResult]) -> tuple[ResultGroup, ...]:
    """The groups: what holds for any API first, then what is stated, then by the number of operations."""
    results_by_check: dict[tuple[str, str], list[CheckResult]] = {}
    for result in results:
        results_by_check.setdefault((result.requirement.check, result.requirement.keyword), []).append(result)
    groups = (ResultGroup(tuple(sorted(members, key=_severity))) for members in results_by_check.values())
    return tuple(sorted(groups, key=lambda group: (_severity(group.first), -len(group.operations))))


def _severity(result: CheckResult) -> int:
    requirement: Requirement = result.requirement
    return 0 if requirement.provenance_independent else 2 if requirement.provenance == "inferred" else 1
