"""Schemathesis as an engine: its cases and checks, with our target, locations and reruns.

Only this package uses Schemathesis. Its engine is not a documented API, so the version is pinned and tested. The import
takes about 1 s and is deferred until the engine runs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from conformance.results import CheckResult
from conformance.session.session import Session
from spec.model import Operation

PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True, slots=True)
class Depth:
    """How much the engine does.

    `phases`: of `PHASES`, in that order. `max_examples`: fuzzing cases per operation, and stateful sequences in total.
    `max_steps`: maximum requests in a sequence. `reruns`: of each failure.
    """

    phases: tuple[str, ...]
    max_examples: int = 1
    max_steps: int = 2
    reruns: int = 2


SMOKE = Depth(("examples",))
GATE = Depth(PHASES, max_examples=15, max_steps=6)
DEEP = Depth(PHASES, max_examples=100, max_steps=10, reruns=3)
DEPTHS = {"smoke": SMOKE, "gate": GATE, "deep": DEEP, None: GATE}  # by the name of the profile


class EngineResult(NamedTuple):
    """A check result. `counts`: (failed runs, all runs); flaky if it failed in some only."""

    result: CheckResult
    counts: tuple[int, int] = (0, 1)


def run_engine(
    session: Session,
    operations: Sequence[Operation],
    *,
    seed: int,
    depth: Depth,
    seconds_left: Callable[[], float] | None = None,
) -> Iterator[EngineResult]:
    """Run the engine on operations; yield one result per requirement, failed ones after their reruns.

    `seed`: equal seeds send equal cases in the same order. `seconds_left`: until the deadline of the run. Raises
    BudgetExhausted, TargetUnreachable and KeyboardInterrupt after the results so far.
    """
    from conformance.schemathesis_engine.results import run_operations  # imports Schemathesis

    return run_operations(session, operations, seed, depth, seconds_left)
