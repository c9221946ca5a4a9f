"""What comes out of the engine."""

from dataclasses import dataclass

from conformance.outcome import CheckResult


@dataclass(frozen=True, slots=True)
class Judged:
    """An outcome. `broken` of `times`: how often the promise was broken when it was judged that often (flaky: less)."""

    outcome: CheckResult
    broken: int = 0
    times: int = 1
