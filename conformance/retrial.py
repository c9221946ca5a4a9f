"""No red without replay: what was broken is judged again, from a fresh state and in the run's own, until it is clear.

Each judging of a case draws what it draws from the case's own seed, whatever was judged before it, so that to judge it
again asks the same. Texts alone differ: some may stand only once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from conformance.disturbance import Watch
from conformance.errors import CannotMake
from conformance.laws.law import Case
from conformance.laws.lists import MOVING
from conformance.outcome import Kind, Outcome, Verdict
from conformance.sender import At
from conformance.session import Session
from conformance.steady import GATEWAY

MOST = 4  # times that something is judged again
CALMED = 2  # times that a law is asked again because a list changed while it was looked at
WARY = 3  # times that a failure must show again on a target that has stumbled; once on others

Judging = Callable[[Case], Iterator[Outcome]]


@dataclass(slots=True)
class Trials:
    """What became of one promise when it was judged again: broken or not, in fresh sessions and in the run's own."""

    fresh: list[bool] = field(default_factory=list)
    again: list[bool] = field(default_factory=list)
    why: str = "the run ended before it was judged again"

    @property
    def broken(self) -> int:
        """How often it was broken, the first time included."""
        return 1 + sum(self.fresh) + sum(self.again)

    @property
    def judged(self) -> int:
        """How often it was judged, the first time included."""
        return 1 + len(self.fresh) + len(self.again)

    def kind(self, sure: int) -> Kind | None:
        """What it is, as far as it is clear; `sure`: how often a failure has to show again."""
        failing, holding = any(self.fresh), not all(self.fresh)
        if not all(self.again) or (failing and holding):
            return Kind.FLAKY
        if failing and self.broken > sure:
            return Kind.DETERMINISTIC
        if len(self.fresh) > 1 and holding and len(self.again) > 1:
            return Kind.STATE
        return None

    def last(self) -> Kind | None:
        """What it is when it is not judged again any more; None: nobody knows."""
        known = self.kind(1)
        if known is None and not self.fresh and len(self.again) > 1:
            return Kind.STATE
        return Kind.FLAKY if known is None and self.fresh else known


@dataclass(slots=True)
class Retrial:
    """Judges cases of a run again. `watch`: sees whether somebody else writes. `begin`: gives a case its own seed.

    `causes`: the case during which something was first noticed, which is judged before the one that tells of it.
    """

    session: Session
    judge: Judging
    begin: Callable[[Session, Case], None]
    watch: Watch
    causes: dict[At, Case] = field(default_factory=dict)
    number: int = 0

    def noticing(self, case: Case, session: Session) -> None:
        """Keep in mind what was noticed during a case; from a session of a retrial, tell the run's own too."""
        for at, said in session.noticed.items():
            self.session.noticed.setdefault(at, said)
            self.causes.setdefault(at, case)

    def calm(self, case: Case, first: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes, judged again where a list changed meanwhile; what changes each time is told as disturbed."""
        found = list(first)
        for _ in range(CALMED):
            if all(outcome.said != MOVING for outcome in found):
                return found
            try:
                _, again = self._once(case, (), fresh=False)
            except CannotMake:  # the lists that it depends on are not to be looked at
                break
            found = [again.get(o.promise.fingerprint, o) if o.said == MOVING else o for o in found]
        return [replace(o, kind=Kind.DISTURBED) if o.said == MOVING else o for o in found]

    def settle(self, case: Case, broken: Sequence[Outcome]) -> Mapping[str, tuple[Outcome, Trials]]:
        """Judge again what was broken; fingerprint -> (the outcome as it stands now, how often it was broken)."""
        by_mark = {outcome.promise.fingerprint: Trials() for outcome in broken}
        disturbed = 0
        sure = WARY if self.session.steady.stumbles else 1
        for turn in range(MOST):
            left = [mark for mark, trials in by_mark.items() if trials.kind(sure) is None]
            if not left:
                break
            try:
                quiet, found = self._once(case, broken, fresh=turn % 2 == 0)
            except CannotMake as error:
                for mark in left:
                    by_mark[mark].why = f"it could not be judged again: {error}"
                continue
            disturbed += not quiet
            for mark in left if quiet else ():
                self._count(by_mark[mark], found.get(mark), fresh=turn % 2 == 0)
        return {o.promise.fingerprint: self._ended(o, by_mark[o.promise.fingerprint], sure, disturbed) for o in broken}

    def _count(self, trials: Trials, found: Outcome | None, *, fresh: bool) -> None:
        if found is not None and found.verdict is Verdict.NOT_JUDGED:
            trials.why = f"it could not be judged again: {found.said}"
        else:
            (trials.fresh if fresh else trials.again).append(found is not None and found.verdict is Verdict.BROKEN)

    def _ended(self, outcome: Outcome, trials: Trials, sure: int, disturbed: int) -> tuple[Outcome, Trials]:
        kind = trials.kind(sure) or trials.last()
        if any(exchange.response.status in GATEWAY for exchange in outcome.shown):
            said = f"a gateway answered in the target's place: {outcome.said}"
            return replace(outcome, verdict=Verdict.NOT_JUDGED, said=said, kind=Kind.INFRASTRUCTURE), trials
        if disturbed and kind not in (Kind.DETERMINISTIC, Kind.STATE):
            said = "somebody else wrote meanwhile, each time that it was judged"
            return replace(outcome, verdict=Verdict.NOT_JUDGED, said=said, kind=Kind.DISTURBED), trials
        if kind is None:
            said = f"broken once; {trials.why}: {outcome.said}"
            return replace(outcome, verdict=Verdict.NOT_JUDGED, said=said), trials
        return replace(outcome, kind=kind), trials

    def _once(self, case: Case, broken: Sequence[Outcome], *, fresh: bool) -> tuple[bool, Mapping[str, Outcome]]:
        """Judge once more: whether nobody disturbed it, and what became of each promise.

        A law that judges a case as a whole tells by one outcome that it could not: that stands for each promise.
        """
        self.number += 1
        anew = fresh and not case.law.shared  # what a list shows is not the run's to begin anew
        session = self.session.fresh(self.number) if anew else self.session.again(self.number)
        before = self.watch.look(case)
        found: dict[str, Outcome] = {}
        for one in (*self._causes(case, broken), case):
            trial = replace(one, session=session)
            self.begin(session, trial)
            found = {o.promise.fingerprint: o for o in self.judge(trial)}
        self.noticing(case, session)
        self.session.take(session)
        for outcome in broken:
            found |= self._untold(case, outcome, found, session)
        return self.watch.quiet(case, before), found

    def _untold(
        self, case: Case, outcome: Outcome, found: Mapping[str, Outcome], session: Session
    ) -> Mapping[str, Outcome]:
        """That a promise was not judged, where the law as a whole could not be, or nobody asked the operation."""
        whole, mark = found.get(case.promise().fingerprint), outcome.promise.fingerprint
        if whole is not None and whole.verdict is Verdict.NOT_JUDGED and len(found) == 1:
            return {mark: whole}
        again = found.get(mark)
        if again is not None and again.verdict is Verdict.BROKEN:
            return {}
        if all(name != outcome.promise.operation for name, _ in session.seen):
            return {mark: case.not_judged(outcome.promise, "it was not asked again")}
        return {}

    def _causes(self, case: Case, broken: Sequence[Outcome]) -> list[Case]:
        """The cases that sent what is shown, where that was noticed during other ones."""
        shown = {id(exchange) for outcome in broken for exchange in outcome.shown}
        found: dict[tuple[str, str], Case] = {}
        for at, (_, exchange) in self.session.noticed.items():
            cause = self.causes.get(at)
            if id(exchange) in shown and cause is not None:
                found.setdefault((cause.law.id, cause.operation.id), cause)
        found.pop((case.law.id, case.operation.id), None)
        return list(found.values())
