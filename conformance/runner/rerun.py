"""No red without replay: what was broken is judged again, from a fresh state and in the run's own, until it is clear.

Each judging of a case draws what it draws from the case's own seed, whatever was judged before it, so that to judge it
again asks the same. Texts alone differ: some may stand only once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from conformance.checks.support.check import Case
from conformance.checks.support.listing import LIST_CHANGED_MESSAGE
from conformance.errors import SkipCheck
from conformance.results import CheckResult, FailureKind, Status
from conformance.runner.interference import InterferenceMonitor
from conformance.session.client import FindingKey
from conformance.session.session import Session
from conformance.transport.retry import GATEWAY_STATUSES

MAX_RERUNS = 4  # times that something is judged again
MAX_LIST_CHANGE_RERUNS = 2  # times that a law is asked again because a list changed while it was looked at
MIN_FAILURES_ON_UNSTABLE_TARGET = (
    3  # times that a failure must show again on a target that has stumbled; once on others
)

RunCheck = Callable[[Case], Iterator[CheckResult]]


@dataclass(slots=True)
class Reruns:
    """What became of one promise when it was judged again: broken or not, in fresh sessions and in the run's own."""

    fresh_state: list[bool] = field(default_factory=list)
    same_state: list[bool] = field(default_factory=list)
    reason: str = "the run ended before it was judged again"

    @property
    def failed(self) -> int:
        """How often it was broken, the first time included."""
        return 1 + sum(self.fresh_state) + sum(self.same_state)

    @property
    def total(self) -> int:
        """How often it was judged, the first time included."""
        return 1 + len(self.fresh_state) + len(self.same_state)

    def kind(self, min_failures: int) -> FailureKind | None:
        """What it is, as far as it is clear; `min_failures`: how often a failure has to show again."""
        fails_fresh, passes_fresh = any(self.fresh_state), not all(self.fresh_state)
        if not all(self.same_state) or (fails_fresh and passes_fresh):
            return FailureKind.FLAKY
        if fails_fresh and self.failed > min_failures:
            return FailureKind.DETERMINISTIC
        if len(self.fresh_state) > 1 and passes_fresh and len(self.same_state) > 1:
            return FailureKind.STATE_DEPENDENT
        return None

    def final_kind(self) -> FailureKind | None:
        """What it is when it is not judged again any more; None: nobody knows."""
        kind = self.kind(1)
        if kind is None and not self.fresh_state and len(self.same_state) > 1:
            return FailureKind.STATE_DEPENDENT
        return FailureKind.FLAKY if kind is None and self.fresh_state else kind


@dataclass(slots=True)
class Rerunner:
    """Judges cases of a run again. `watch`: sees whether somebody else writes. `seed_case`: gives a case its own seed.

    `causes`: the case during which something was first noticed, which is judged before the one that tells of it.
    """

    session: Session
    run_check: RunCheck
    seed_case: Callable[[Session, Case], None]
    watch: InterferenceMonitor
    causes: dict[FindingKey, Case] = field(default_factory=dict)
    number: int = 0

    def collect_findings(self, case: Case, session: Session) -> None:
        """Keep in mind what was noticed during a case; from a session of a retrial, tell the run's own too."""
        for key, finding in session.findings.items():
            self.session.findings.setdefault(key, finding)
            self.causes.setdefault(key, case)

    def rerun_changed_lists(self, case: Case, results: Sequence[CheckResult]) -> list[CheckResult]:
        """The outcomes, judged again where a list changed meanwhile; what changes each time is told as disturbed."""
        current = list(results)
        for _ in range(MAX_LIST_CHANGE_RERUNS):
            if all(result.message != LIST_CHANGED_MESSAGE for result in current):
                return current
            try:
                _, rerun = self._rerun(case, (), fresh=False)
            except SkipCheck:  # the lists that it depends on are not to be looked at
                break
            current = [
                rerun.get(result.requirement.fingerprint, result) if result.message == LIST_CHANGED_MESSAGE else result
                for result in current
            ]
        return [
            replace(result, failure_kind=FailureKind.INTERFERENCE) if result.message == LIST_CHANGED_MESSAGE else result
            for result in current
        ]

    def confirm(self, case: Case, failed: Sequence[CheckResult]) -> Mapping[str, tuple[CheckResult, Reruns]]:
        """Judge again what was broken; fingerprint -> (the outcome as it stands now, how often it was broken)."""
        reruns_by_fingerprint = {result.requirement.fingerprint: Reruns() for result in failed}
        disturbed = 0
        min_failures = MIN_FAILURES_ON_UNSTABLE_TARGET if self.session.retrier.recovered else 1
        for attempt in range(MAX_RERUNS):
            undecided = [
                fingerprint
                for fingerprint, reruns in reruns_by_fingerprint.items()
                if reruns.kind(min_failures) is None
            ]
            if not undecided:
                break
            try:
                is_undisturbed, results = self._rerun(case, failed, fresh=attempt % 2 == 0)
            except SkipCheck as error:
                for fingerprint in undecided:
                    reruns_by_fingerprint[fingerprint].reason = f"it could not be judged again: {error}"
                continue
            disturbed += not is_undisturbed
            for fingerprint in undecided if is_undisturbed else ():
                self._count(reruns_by_fingerprint[fingerprint], results.get(fingerprint), fresh=attempt % 2 == 0)
        return {
            result.requirement.fingerprint: self._final_result(
                result, reruns_by_fingerprint[result.requirement.fingerprint], min_failures, disturbed
            )
            for result in failed
        }

    def _count(self, reruns: Reruns, result: CheckResult | None, *, fresh: bool) -> None:
        if result is not None and result.status is Status.SKIPPED:
            reruns.reason = f"it could not be judged again: {result.message}"
        else:
            (reruns.fresh_state if fresh else reruns.same_state).append(
                result is not None and result.status is Status.FAILED
            )

    def _final_result(
        self, result: CheckResult, reruns: Reruns, min_failures: int, disturbed: int
    ) -> tuple[CheckResult, Reruns]:
        kind = reruns.kind(min_failures) or reruns.final_kind()
        if any(exchange.response.status in GATEWAY_STATUSES for exchange in result.evidence):
            message = f"a gateway answered in the target's place: {result.message}"
            return replace(
                result, status=Status.SKIPPED, message=message, failure_kind=FailureKind.INFRASTRUCTURE
            ), reruns
        if disturbed and kind not in (FailureKind.DETERMINISTIC, FailureKind.STATE_DEPENDENT):
            message = "somebody else wrote meanwhile, each time that it was judged"
            return replace(
                result, status=Status.SKIPPED, message=message, failure_kind=FailureKind.INTERFERENCE
            ), reruns
        if kind is None:
            message = f"broken once; {reruns.reason}: {result.message}"
            return replace(result, status=Status.SKIPPED, message=message), reruns
        return replace(result, failure_kind=kind), reruns

    def _rerun(
        self, case: Case, failed: Sequence[CheckResult], *, fresh: bool
    ) -> tuple[bool, Mapping[str, CheckResult]]:
        """Judge once more: whether nobody disturbed it, and what became of each promise.

        A law that judges a case as a whole tells by one outcome that it could not: that stands for each promise.
        """
        self.number += 1
        needs_new_state = (
            fresh and not case.check.affected_by_other_clients
        )  # what a list shows is not the run's to begin anew
        session = self.session.new_state(self.number) if needs_new_state else self.session.same_state(self.number)
        snapshot = self.watch.snapshot(case)
        results: dict[str, CheckResult] = {}
        for rerun_case in (*self._causes(case, failed), case):
            trial_case = replace(rerun_case, session=session)
            self.seed_case(session, trial_case)
            results = {result.requirement.fingerprint: result for result in self.run_check(trial_case)}
        self.collect_findings(case, session)
        self.session.merge(session)
        for failure in failed:
            results |= self._not_evaluated(case, failure, results, session)
        return self.watch.unchanged(case, snapshot), results

    def _not_evaluated(
        self, case: Case, failure: CheckResult, results: Mapping[str, CheckResult], session: Session
    ) -> Mapping[str, CheckResult]:
        """That a promise was not judged, where the law as a whole could not be, or nobody asked the operation."""
        case_result, fingerprint = results.get(case.build_requirement().fingerprint), failure.requirement.fingerprint
        if case_result is not None and case_result.status is Status.SKIPPED and len(results) == 1:
            return {fingerprint: case_result}
        rerun = results.get(fingerprint)
        if rerun is not None and rerun.status is Status.FAILED:
            return {}
        if all(name != failure.requirement.operation for name, _ in session.call_counts):
            return {fingerprint: case.skip(failure.requirement, "it was not asked again")}
        return {}

    def _causes(self, case: Case, failed: Sequence[CheckResult]) -> list[Case]:
        """The cases that sent what is shown, where that was noticed during other ones."""
        evidence = {id(exchange) for result in failed for exchange in result.evidence}
        cases: dict[tuple[str, str], Case] = {}
        for key, (_, exchange) in self.session.findings.items():
            cause = self.causes.get(key)
            if id(exchange) in evidence and cause is not None:
                cases.setdefault((cause.check.id, cause.operation.id), cause)
        cases.pop((case.check.id, case.operation.id), None)
        return list(cases.values())
