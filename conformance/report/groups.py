"""Broken promises put together: what is likely one fault, shown by many operations, and the weightiest first."""

from collections.abc import Iterable
from dataclasses import dataclass

from conformance.outcome import CheckResult, Requirement
from conformance.report.names import name

NAMES = 3  # operations that a title names


@dataclass(frozen=True, slots=True)
class Group:
    """Broken promises of one law and keyword; at least one. The first stands for them all."""

    outcomes: tuple[CheckResult, ...]

    @property
    def first(self) -> CheckResult:
        """What is shown in full."""
        return self.outcomes[0]

    @property
    def operations(self) -> tuple[str, ...]:
        """The operations, each once."""
        return tuple(dict.fromkeys(outcome.requirement.operation for outcome in self.outcomes))

    @property
    def places(self) -> int:
        """At how many places of the contract."""
        return len({outcome.requirement.location for outcome in self.outcomes})

    def title(self, most: int = NAMES) -> str:
        """``law on 12 operations: a, b, c and 9 more``; of one promise its own name."""
        if len(self.outcomes) == 1:
            return name(self.first.requirement)
        promise, told = self.first.requirement, self.operations
        law = f"{promise.check} ({promise.keyword})" if promise.keyword else promise.check
        if len(told) == 1:
            return f"{law}: {len(self.outcomes)} times on {told[0]}"
        more = f" and {len(told) - most} more" if len(told) > most else ""
        times = f", {len(self.outcomes)} times" if len(self.outcomes) > len(told) else ""
        return f"{law} on {len(told)} operations{times}: {', '.join(told[:most])}{more}"


def grouped(outcomes: Iterable[CheckResult]) -> tuple[Group, ...]:
    """The groups: what holds for any API first, then what is stated, then by the number of operations."""
    found: dict[tuple[str, str], list[CheckResult]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.requirement.check, outcome.requirement.keyword), []).append(outcome)
    groups = (Group(tuple(sorted(together, key=_weight))) for together in found.values())
    return tuple(sorted(groups, key=lambda group: (_weight(group.first), -len(group.operations))))


def _weight(outcome: CheckResult) -> int:
    promise: Requirement = outcome.requirement
    return 0 if promise.provenance_independent else 2 if promise.provenance == "inferred" else 1
