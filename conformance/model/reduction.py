"""Reduces a sequence to the steps, fields and parameters that a divergence needs, by repeating it with new records."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from conformance.errors import SkipCheck
from conformance.model.execution import Divergence, Execution
from conformance.model.steps import Action, RecordName, Step, find_names
from conformance.session.session import Session

MAX_SEPARATE_ARGUMENTS = 2  # more of one step are first removed together
WRITES = (Action.CREATE, Action.UPDATE, Action.DELETE)


def reduce_steps(
    session: Session, divergence: Divergence, steps: Sequence[Step], max_requests: int
) -> tuple[list[Step], Divergence]:
    """Return the shortest sequence found within `max_requests` that shows the same divergence, and that divergence.

    Its evidence consists of all writes of the sequence and the requests that show it. If it does not occur again, the
    arguments are returned unchanged.
    """
    session = session.with_timeout(session.client.observed_delay)  # the divergence did not disappear before
    reduction = _Reduction(session, divergence, list(steps), max_requests)
    *earlier, last = steps
    writes = [step for step in earlier if step.action in WRITES]
    related = [step for step in earlier if step.action in WRITES or step.record in (last.record, None)]
    candidates = (*_find_short_sequences(earlier, last), writes, related, earlier)
    if any(
        len(candidate) < reduction.budget and reduction.try_candidate([*candidate, last]) for candidate in candidates
    ):
        reduction.remove_steps()
        reduction.remove_arguments()
        reduction.remove_steps()  # a reference may have needed a step
        reduction.renumber()
    return reduction.steps, reduction.divergence


def _find_short_sequences(earlier: Sequence[Step], last: Step) -> list[list[Step]]:
    """Return the last write with the creates that it and the last step need, without and with that step before it.

    One of these two often suffices, the second for a cached read; the others take as many requests as the sequence.
    """
    write = next((step for step in reversed(earlier) if step.action in WRITES), None)
    if write is None:
        return []
    creates = {step.record: step for step in earlier if step.action is Action.CREATE}
    needed, pending = set[RecordName](), [*_find_step_names(last), *_find_step_names(write)]
    while pending:
        name = pending.pop()
        if name not in needed:
            needed.add(name)
            pending += _find_step_names(creates[name]) if name in creates else ()
    before = [step for name, step in creates.items() if name in needed and step is not write]
    return [[*before, write], [*before, last, write]]


def _find_step_names(step: Step) -> list[RecordName]:
    names = [name for name in (step.record, step.parent) if name is not None]
    return [*names, *find_names(step.body), *find_names(step.query)]


@dataclass(slots=True)
class _Reduction:
    """The shortest sequence so far. `divergence`: what it shows. `budget`: remaining requests."""

    session: Session
    divergence: Divergence
    steps: list[Step]
    budget: int

    def try_candidate(self, candidate: Sequence[Step]) -> bool:
        """Execute a sequence. If it shows the divergence, make it the current one and return True."""
        if self.budget <= 0:
            return False
        execution = Execution.start(self.session)
        before = sum(self.session.responses.call_counts.values())
        divergence = next(self._execute(execution, candidate), None)
        self.budget -= sum(self.session.responses.call_counts.values()) - before
        if divergence is None:
            return False
        evidence = divergence.evidence
        writes = [write for write in execution.writes if all(write is not shown for shown in evidence)]
        self.steps, self.divergence = list(execution.steps), replace(divergence, evidence=(*writes, *evidence))
        return True

    def _execute(self, execution: Execution, steps: Sequence[Step]) -> Iterator[Divergence]:
        """Execute steps; yield the divergences with the same identity."""
        for step in steps:
            try:
                divergences = execution.execute(step)
            except SkipCheck:
                continue
            yield from (other for other in divergences if other.identity == self.divergence.identity)

    def remove_steps(self) -> None:
        """Remove blocks of steps, large blocks first; the last step shows the divergence."""
        size = max(1, len(self.steps) // 2)
        while size:
            end = len(self.steps) - 1
            while end > 0:
                start = max(0, end - size)
                self.try_candidate(self.steps[:start] + self.steps[end:])
                end = min(start, len(self.steps) - 1)
            size //= 2

    def renumber(self) -> None:
        """Number the records of each resource from 1."""
        counts: Counter[str] = Counter()
        numbers = {}
        for name in [step.record for step in self.steps if step.action is Action.CREATE and step.record]:
            counts[name.resource] += 1
            numbers[name] = replace(name, number=counts[name.resource])
        if any(name != renumbered for name, renumbered in numbers.items()):
            self.try_candidate([step.rename(numbers) for step in self.steps])

    def remove_arguments(self) -> None:
        """Remove fields and parameters: all but the diverging one, then one at a time."""
        subject = self.divergence.subject.rpartition(".")[2]
        for position in range(len(self.steps) - 1, -1, -1):
            for argument in ("body", "query"):
                if len(self._get_names(position, argument)) > MAX_SEPARATE_ARGUMENTS:
                    self._keep_arguments(position, argument, [])
                    self._keep_arguments(position, argument, [subject])
                for name in self._get_names(position, argument):
                    current = self._get_names(position, argument)
                    if name in current:
                        self._keep_arguments(position, argument, [other for other in current if other != name])

    def _get_names(self, position: int, argument: str) -> list[str]:
        return list(getattr(self.steps[position], argument)) if position < len(self.steps) else []

    def _keep_arguments(self, position: int, argument: str, names: Collection[str]) -> None:
        if position < len(self.steps):
            step = self.steps[position]
            kept = {name: value for name, value in getattr(step, argument).items() if name in names}
            changed_step = replace(step, body=kept) if argument == "body" else replace(step, query=kept)
            self.try_candidate([*self.steps[:position], changed_step, *self.steps[position + 1 :]])
