"""Settings and results of an engine run."""

from dataclasses import dataclass

from conformance.results import CheckResult

PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True, slots=True)
class Depth:
    """How much the engine does.

    `phases`: of `PHASES`, in that order. `max_examples`: fuzzing cases per operation, and stateful sequences in total.
    `max_steps`: maximum requests in a sequence. `reruns`: of each failure. `max_effect_calls`: per operation with
    effects, where the run allows them.
    """

    phases: tuple[str, ...]
    max_examples: int = 1
    max_steps: int = 2
    reruns: int = 2
    max_effect_calls: int = 1


SMOKE = Depth(("examples",))
GATE = Depth(PHASES, max_examples=15, max_steps=6)
DEEP = Depth(PHASES, max_examples=100, max_steps=10, reruns=3)


@dataclass(frozen=True, slots=True)
class EngineResult:
    """A check result. It failed in `failed_runs` of `total_runs` runs; flaky if in some only."""

    result: CheckResult
    failed_runs: int = 0
    total_runs: int = 1
