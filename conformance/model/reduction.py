"""Reduces a sequence to the steps, fields and parameters that a divergence needs, by repeating it with new records."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from conformance.errors import SkipCheck
from conformance.model.execution import Divergence, Execution
from conformance.model.steps import Action, Step
from conformance.session.session import Session


def reduce_steps(
    session: Session, divergence: Divergence, steps: Sequence[Step], max_requests: int
) -> tuple[list[Step], Divergence]:
    """Return the shortest sequence found within `max_requests` that shows the same divergence, with what it showed.

    If it does not occur again, the arguments are returned as they are.
    """
    budget = [max_requests]
    shown = [divergence]  # by the last sequence that showed it, which is the shortest one
    session = replace(session, consistency_timeout=session.observed_delay)  # the divergence did not disappear before

    def fails(candidate: Sequence[Step]) -> bool:
        found = _find_again(session, divergence, candidate, budget) if budget[0] > 0 else None
        shown[0] = found or shown[0]
        return found is not None

    writes = [step for step in steps[:-1] if step.action in (Action.CREATE, Action.UPDATE, Action.DELETE)]
    candidates = ([*writes, *steps[-1:]], list(steps))
    current = next((candidate for candidate in candidates if fails(candidate)), None)
    if current is None:
        return list(steps), divergence
    for shrink in (_without_steps, _without_arguments, _without_steps):  # a reference may have needed a step
        current = _shrink(current, shrink, fails)
    return current, shown[0]


def _find_again(
    session: Session, divergence: Divergence, steps: Sequence[Step], budget: list[int]
) -> Divergence | None:
    """Return the same divergence if a sequence shows it; `budget`: remaining requests."""
    execution = Execution.start(session)
    before = sum(session.call_counts.values())
    for step in steps:
        try:
            execution.execute(step)
        except SkipCheck:
            continue
        if any(other.identity == divergence.identity for other in execution.divergences):
            break
    budget[0] -= sum(session.call_counts.values()) - before
    return next((other for other in execution.divergences if other.identity == divergence.identity), None)


def _shrink(
    steps: list[Step],
    candidates: Callable[[list[Step]], Iterator[list[Step]]],
    fails: Callable[[Sequence[Step]], bool],
) -> list[Step]:
    """Take the first shorter candidate that fails, until there is none."""
    while True:
        shorter = next((candidate for candidate in candidates(steps) if fails(candidate)), None)
        if shorter is None:
            return steps
        steps = shorter


def _without_steps(steps: list[Step]) -> Iterator[list[Step]]:
    """Yield the sequence without a block of steps, large blocks first; the last step shows the divergence."""
    size = max(1, len(steps) // 2)
    while size:
        for start in range(len(steps) - 1 - size, -1, -size):
            yield steps[:start] + steps[start + size :]
        size //= 2


def _without_arguments(steps: list[Step]) -> Iterator[list[Step]]:
    """Yield the sequence without one field or parameter."""
    for position, step in enumerate(steps):
        for name in step.body:
            body = {other: value for other, value in step.body.items() if other != name}
            yield [*steps[:position], replace(step, body=body), *steps[position + 1 :]]
        for name in step.query:
            query = {other: value for other, value in step.query.items() if other != name}
            yield [*steps[:position], replace(step, query=query), *steps[position + 1 :]]
