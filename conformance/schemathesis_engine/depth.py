"""How much the engine does."""

from dataclasses import dataclass

PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True, slots=True)
class Depth:
    """How much the engine does.

    `phases`: of `PHASES`, in that order. `max_examples`: cases that fuzzing draws for an operation, and sequences that the
    stateful phase draws in all. `max_steps`: requests in a sequence, at most. `reruns`: how often a failure is made anew.
    `max_effect_calls`: how often an operation with effects is asked, where the run allows it at all.
    """

    phases: tuple[str, ...]
    max_examples: int = 1
    max_steps: int = 2
    reruns: int = 2
    max_effect_calls: int = 1


SMOKE = Depth(("examples",))
GATE = Depth(PHASES, max_examples=15, max_steps=6)
DEEP = Depth(PHASES, max_examples=100, max_steps=10, reruns=3)
