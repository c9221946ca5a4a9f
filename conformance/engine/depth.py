"""How much the engine does."""

from dataclasses import dataclass

PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True, slots=True)
class Depth:
    """How much the engine does.

    `phases`: of `PHASES`, in that order. `examples`: cases that fuzzing draws for an operation, and sequences that the
    stateful phase draws in all. `steps`: requests in a sequence, at most. `replays`: how often a failure is made anew.
    `expensive`: how often an operation with effects is asked, where the run allows it at all.
    """

    phases: tuple[str, ...]
    examples: int = 1
    steps: int = 2
    replays: int = 2
    expensive: int = 1


SMOKE = Depth(("examples",))
GATE = Depth(PHASES, examples=15, steps=6)
DEEP = Depth(PHASES, examples=100, steps=10, replays=3)
