"""Runs laws on operations and says what became of each promise, as it becomes known.

Nothing is red without replay: a broken outcome is judged once more, by running its law on its operation again. What
is not broken again is flaky; what could not be judged again is not judged.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from conformance.errors import CannotMake, OutOfBudget, SuiteError, TargetLost
from conformance.laws.law import Case, Law
from conformance.outcome import Outcome, Verdict
from conformance.session import Session
from spec.contract import Operation

Told = Callable[[Outcome], None]
JUDGED_TWICE = 2


@dataclass(slots=True)
class Run:
    """What became of a run.

    `outcomes`: each judged promise, the flaky ones apart (`flaky`). `replays`: fingerprint -> (how often it was broken,
    how often it was judged). `left`: what could not be taken away. `ended`: why it ended before its time, or "".
    `lost`: whether the target was lost.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    left: list[tuple[str, object]] = field(default_factory=list)
    ended: str = ""
    lost: bool = False
    flaky: list[Outcome] = field(default_factory=list)
    replays: dict[str, tuple[int, int]] = field(default_factory=dict)

    def of(self, verdict: Verdict) -> Iterator[Outcome]:
        """The outcomes with that verdict."""
        return (outcome for outcome in self.outcomes if outcome.verdict is verdict)

    def note(self, outcome: Outcome, again: set[str] | None) -> Outcome:
        """Keep an outcome; `again`: what was broken when judged again, None when it was not. The outcome as kept."""
        mark = outcome.promise.fingerprint
        if outcome.verdict is Verdict.BROKEN and again is None:
            said = f"broken once, and the run ended before it was judged again: {outcome.said}"
            outcome = replace(outcome, verdict=Verdict.NOT_JUDGED, said=said)
        elif outcome.verdict is Verdict.BROKEN and again is not None:
            self.replays[mark] = (1 + (mark in again), JUDGED_TWICE)
            if mark not in again:
                self.flaky.append(outcome)
                return outcome
        self.outcomes.append(outcome)
        return outcome


def run(
    session: Session,
    laws: Iterable[Law],
    operations: Iterable[Operation],
    told: Told,
    *,
    before_cleaning: Callable[[], None] = lambda: None,
    cleaning: bool = True,
) -> Run:
    """Judge every law on every operation that it applies to, law by law, and take away what was made.

    What the run did not come to is not judged, with the reason. `before_cleaning`: lifts a budget that is used up.
    Without `cleaning`, what was made stays: another case of the same session may use it.
    """
    found = Run()
    cases = list(cases_of(session, laws, operations))
    reached = 0
    try:
        for case in cases:
            reached += 1
            _judge(found, case, told)
    except OutOfBudget as error:
        found.ended = str(error)
    except TargetLost as error:
        found.ended, found.lost = str(error), True
    except KeyboardInterrupt:
        found.ended = "interrupted"
    for case in cases[reached:]:
        found.outcomes.append(case.not_judged(case.promise(), f"not reached: {found.ended}"))
    if not cleaning:
        return found
    if not found.lost:
        before_cleaning()
        found.left = _cleaned(session, found)
    else:
        found.left = [(made.resource, made.key) for made in session.ledger.left()]
    return found


def cases_of(session: Session, laws: Iterable[Law], operations: Iterable[Operation]) -> Iterator[Case]:
    """Each law on each operation that it applies to, law by law; writing laws only where writes are allowed."""
    asked = list(operations)
    for law in laws:
        for operation in asked if not (law.writes and session.read_only) else ():
            if law.applies(session.contract, operation):
                yield Case(law, session, operation)


def judged(case: Case) -> Iterator[Outcome]:
    """The outcomes of one law on one operation; what cannot be had makes it not judged."""
    try:
        yield from case.law.judge(case)
    except CannotMake as error:
        yield case.not_judged(case.promise(), str(error))


def _judge(found: Run, case: Case, told: Told) -> None:
    """Judge a case, again when something is broken, and keep the outcomes, also when the run ends meanwhile."""
    first: list[Outcome] = []
    again: set[str] | None = None
    complete = False
    try:
        for outcome in _guarded(case):
            first.append(outcome)
        if any(outcome.verdict is Verdict.BROKEN for outcome in first):
            again = {o.promise.fingerprint for o in _guarded(case) if o.verdict is Verdict.BROKEN}
        complete = True
    finally:
        if not complete and not first:
            first.append(case.not_judged(case.promise(), "the run ended while it was judged"))
        for outcome in first:
            told(found.note(outcome, again))


def _guarded(case: Case) -> Iterator[Outcome]:
    """The same as `judged`; a law that fails by itself, on an answer that nobody thought of, ends nothing else."""
    try:
        yield from judged(case)
    except SuiteError:
        raise
    except Exception as error:
        yield case.not_judged(case.promise(), f"the law itself failed, a fault of the suite: {error!r}")


def _cleaned(session: Session, found: Run) -> list[tuple[str, object]]:
    try:
        return list(session.clean())
    except (SuiteError, KeyboardInterrupt) as error:
        found.ended = found.ended or str(error) or "interrupted"
        found.lost = found.lost or isinstance(error, TargetLost)
        return [(made.resource, made.key) for made in session.ledger.left()]


def not_begun(
    session: Session, laws: Iterable[Law], operations: Iterable[Operation], why: str, *, lost: bool = False
) -> Run:
    """A run that ended before anything was judged."""
    missed = [case.not_judged(case.promise(), f"not reached: {why}") for case in cases_of(session, laws, operations)]
    return Run(outcomes=missed, ended=why, lost=lost)
