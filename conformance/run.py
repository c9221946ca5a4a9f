"""Runs laws on operations and says what became of each promise, as it becomes known.

Nothing is red without replay (`conformance.retrial`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from conformance.cause import NO_OTHER
from conformance.disturbance import Watch
from conformance.errors import CannotMake, OutOfBudget, SuiteError, TargetLost
from conformance.laws.law import Case, Law
from conformance.notice import notices
from conformance.outcome import Kind, Outcome, Verdict
from conformance.retrial import Retrial, Trials
from conformance.session import Session
from spec.contract import Operation

Told = Callable[[Outcome], None]
# Judges by other means than laws: outcomes, each with how often it was broken and how often it was judged.
Source = Callable[[Session], Iterator[tuple[Outcome, tuple[int, int]]]]


class SourceFailed(Exception):
    """What judges beside the laws failed by itself: how."""


@dataclass(slots=True)
class Run:
    """What became of a run.

    `outcomes`: each judged promise, the flaky ones apart (`flaky`). `replays`: fingerprint -> (how often it was broken,
    how often it was judged). `left`: what could not be taken away. `ended`: why it ended before its time, or "".
    `lost`: whether the target was lost. `unsteady`: how much failed and did not when it was asked for again: promises,
    answers of 5xx, requests without an answer. `lag`: seconds after which a write was seen, where that took time.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    left: list[tuple[str, object]] = field(default_factory=list)
    ended: str = ""
    lost: bool = False
    flaky: list[Outcome] = field(default_factory=list)
    replays: dict[str, tuple[int, int]] = field(default_factory=dict)
    unsteady: int = 0
    lag: float = 0.0

    def of(self, verdict: Verdict) -> Iterator[Outcome]:
        """The outcomes with that verdict."""
        return (outcome for outcome in self.outcomes if outcome.verdict is verdict)

    def note(self, outcome: Outcome, tally: tuple[int, int] | None) -> Outcome:
        """Keep an outcome as it stands after it was judged again; `tally`: how often broken, how often judged."""
        if outcome.verdict is Verdict.BROKEN and tally is not None:
            self.replays[outcome.promise.fingerprint] = tally
        if outcome.verdict is Verdict.BROKEN and outcome.kind is Kind.FLAKY:
            self.flaky.append(outcome)
        else:
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
    sources: Iterable[Source] = (),
) -> Run:
    """Judge every law on every operation that it applies to, law by law, and take away what was made.

    What the run did not come to is not judged, with the reason. `sources`: asked for outcomes when the laws are done.
    `before_cleaning`: lifts a budget that is used up. Without `cleaning`, what was made stays: another case of the same
    session may use it.
    """
    found = Run()
    cases = list(cases_of(session, laws, operations))
    reached = 0
    seed = session.bodies.chance.getrandbits(64)
    retrial = Retrial(session, _guarded, lambda asked, case: begin(asked, case, seed), Watch(session))
    try:
        for case in cases:
            reached += 1
            begin(session, case, seed)
            _judge(found, case, told, retrial)
        for outcome, tally in chain.from_iterable(_asked(source, session) for source in sources):
            told(found.note(replace(outcome, kind=_kind(outcome, tally)), tally))
    except (OutOfBudget, TargetLost, SourceFailed, KeyboardInterrupt) as error:
        found.ended, found.lost = str(error) or "interrupted", isinstance(error, TargetLost)
    for case in cases[reached:]:
        found.outcomes.append(case.not_judged(case.promise(), f"not reached: {found.ended}"))
    _note_stumbles(found, session, {case.law.id: case.law for case in cases})
    if cleaning:
        before_cleaning()
        found.left = _cleaned(session, found)
    return found


def _asked(source: Source, session: Session) -> Iterator[tuple[Outcome, tuple[int, int]]]:
    """What a source says. Raises SourceFailed: what the laws judged until then is worth a report."""
    try:
        yield from source(session)
    except SuiteError:
        raise
    except Exception as error:
        raise SourceFailed(f"what judges beside the laws failed, a fault of the suite: {error!r}") from error


def begin(session: Session, case: Case, seed: int) -> None:
    """Let a case draw from its own seed: the same values, whatever was judged before it."""
    session.bodies.chance.seed(f"{seed} {case.law.id} {case.operation.id}")


def _kind(outcome: Outcome, tally: tuple[int, int]) -> Kind | None:
    """What a failure is that its source has judged again by itself."""
    if outcome.verdict is not Verdict.BROKEN:
        return outcome.kind
    broken, judged = tally
    return Kind.DETERMINISTIC if judged > 1 and broken == judged else Kind.FLAKY


def _note_stumbles(found: Run, session: Session, laws: dict[str, Law]) -> None:
    """Tell as flaky what went away when it was asked for again, in place of the promise that is kept otherwise."""
    steady = session.steady
    found.unsteady = len(found.flaky) + len(steady.stumbles) + len(steady.silent)
    found.lag = session.lag
    told: dict[str, tuple[Outcome, int]] = {}
    for exchange in steady.stumbles:
        operation = session.contract.operations[exchange.request.operation]
        for notice in notices(session.schemas, operation, exchange):
            if notice.law in laws:
                case = Case(laws[notice.law], session, operation)
                outcome = case.judged(case.promise(notice.pointer, notice.keyword), notice.said, exchange)
                first, times = told.get(outcome.promise.fingerprint, (outcome, 0))
                told[outcome.promise.fingerprint] = first, times + 1
    answers = Counter[str]()
    for (name, _), times in session.seen.items():
        answers[name] += times
    for mark, (outcome, times) in told.items():
        asked = answers[outcome.promise.operation] + times
        found.outcomes = [o for o in found.outcomes if o.promise.fingerprint != mark]
        said = f"{outcome.said}; the same request was answered otherwise at once after"
        found.note(replace(outcome, said=said, kind=Kind.FLAKY), (times, asked))


def cases_of(session: Session, laws: Iterable[Law], operations: Iterable[Operation]) -> Iterator[Case]:
    """Each law on each operation that it applies to, law by law; writing laws only where writes are allowed."""
    asked = list(operations)
    for law in laws:
        for operation in asked if not (law.writes and session.read_only) else ():
            if law.applies(session.contract, operation):
                yield Case(law, session, operation)


def judged(case: Case) -> Iterator[Outcome]:
    """The outcomes of one law on one operation; what cannot be had makes it not judged."""
    if case.law.needs_second_token and not case.session.has_token("other"):
        yield case.not_judged(case.promise(), NO_OTHER)
        return
    try:
        yield from case.law.judge(case)
    except CannotMake as error:
        yield case.not_judged(case.promise(), error.reason)


def _judge(found: Run, case: Case, told: Told, retrial: Retrial) -> None:
    """Judge a case, again when something is broken, and keep the outcomes, also when the run ends meanwhile."""
    first: list[Outcome] = []
    settled: dict[str, tuple[Outcome, Trials]] = {}
    complete = False
    try:
        for outcome in _guarded(case):
            first.append(outcome)
        retrial.noticing(case, case.session)
        first = retrial.calm(case, first)
        broken = [outcome for outcome in first if outcome.verdict is Verdict.BROKEN]
        settled |= retrial.settle(case, broken) if broken else {}
        complete = True
    finally:
        if not complete and not first:
            first.append(case.not_judged(case.promise(), "the run ended while it was judged"))
        for outcome in first:
            told(_kept(found, outcome, settled))


def _kept(found: Run, outcome: Outcome, settled: dict[str, tuple[Outcome, Trials]]) -> Outcome:
    if outcome.verdict is not Verdict.BROKEN:
        return found.note(outcome, None)
    if outcome.promise.fingerprint not in settled:
        said = f"broken once, and the run ended before it was judged again: {outcome.said}"
        return found.note(replace(outcome, verdict=Verdict.NOT_JUDGED, said=said), None)
    now, tally = settled[outcome.promise.fingerprint]
    return found.note(now, (tally.broken, tally.judged))


def _guarded(case: Case) -> Iterator[Outcome]:
    """The same as `judged`; a law that fails by itself, on an answer that nobody thought of, ends nothing else."""
    try:
        yield from judged(case)
    except SuiteError:
        raise
    except Exception as error:
        yield case.not_judged(case.promise(), f"the law itself failed, a fault of the suite: {error!r}")


def _cleaned(session: Session, found: Run) -> list[tuple[str, object]]:
    """Take away what was made, where the target is still there; what is left over."""
    try:
        return list(session.clean()) if not found.lost else [(m.resource, m.key) for m in session.ledger.left()]
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
