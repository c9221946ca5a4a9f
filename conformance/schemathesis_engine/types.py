"""What comes out of the engine."""

from dataclasses import dataclass

from conformance.results import CheckResult


@dataclass(frozen=True, slots=True)
class EngineResult:
    """An outcome. `failed_runs` of `total_runs`: how often the promise was broken when it was judged that often (flaky: less)."""

    result: CheckResult
    failed_runs: int = 0
    total_runs: int = 1
