"""Reruns failures and classifies them: a failure blocks if its reruns confirm it, or if an option forbids a rerun.

Each run of a case uses the random seed of the case, so that a rerun sends the same requests. Only the marker in texts
differs, since some values must be unique.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from conformance.checks.support.check import Case
from conformance.errors import SkipCategory, SkipCheck, SkipReason
from conformance.results import CheckResult, FailureKind, Status
from conformance.runner.interference import InterferenceMonitor
from conformance.session.options import effect_limit_reached
from conformance.session.response_log import FindingKey
from conformance.session.session import Session
from conformance.transport.retry import GATEWAY_STATUSES

MAX_RERUNS = 4
MAX_LIST_CHANGE_RERUNS = 2  # reruns because a list changed during the check
# Failures required on rerun if the target had transient failures, and of requests that are sent at once; else 1.
MIN_FAILURES_IF_UNCERTAIN = 3

SCHEMA_CHECK_ID = "response-matches-schema"
RUN_ABORTED = SkipReason("the run was aborted")
BLOCKING_KINDS = (FailureKind.DETERMINISTIC, FailureKind.STATE_DEPENDENT, FailureKind.NOT_REPEATED)

RunCheck = Callable[[Case], Iterator[CheckResult]]


@dataclass(slots=True)
class Reruns:
    """Results of the reruns of one failure, in new sessions and in the session of the run. True: failed again."""

    fresh_state: list[bool] = field(default_factory=list)
    same_state: list[bool] = field(default_factory=list)
    reason: SkipReason = RUN_ABORTED

    @property
    def failed(self) -> int:
        """Number of failures, including the first."""
        return 1 + sum(self.fresh_state) + sum(self.same_state)

    @property
    def total(self) -> int:
        """Number of runs, including the first."""
        return 1 + len(self.fresh_state) + len(self.same_state)

    def kind(self, min_failures: int) -> FailureKind | None:
        """The failure kind if it is certain; `min_failures`: failures required on rerun."""
        fails_fresh, passes_fresh = any(self.fresh_state), not all(self.fresh_state)
        if not all(self.same_state) or (fails_fresh and passes_fresh):
            return FailureKind.FLAKY
        if fails_fresh and self.failed > min_failures:
            return FailureKind.DETERMINISTIC
        if len(self.fresh_state) > 1 and passes_fresh and len(self.same_state) > 1:
            return FailureKind.STATE_DEPENDENT
        return None

    def final_kind(self) -> FailureKind | None:
        """The failure kind after the last rerun; None: undecided."""
        if self.total == 1 and self.reason.category is SkipCategory.DISABLED_BY_OPTION:
            return FailureKind.NOT_REPEATED  # the first run was allowed: the limit of calls is reached
        kind = self.kind(1)
        if kind is None and not self.fresh_state and len(self.same_state) > 1:
            return FailureKind.STATE_DEPENDENT
        return FailureKind.FLAKY if kind is None and self.fresh_state else kind


def _has_changed_list(result: CheckResult) -> bool:
    return result.skip_category is SkipCategory.LIST_CHANGED


def _is_proven_by_response(result: CheckResult) -> bool:
    """Whether a response alone proves a failure: a value in it violates the schema.

    The records of a rerun may have no such value, and no other client can be the cause.
    """
    requirement = result.requirement
    is_schema_violation = requirement.check == SCHEMA_CHECK_ID and bool(requirement.keyword)
    return is_schema_violation and any(exchange.response.ok for exchange in result.evidence)


def _skip(result: CheckResult, message: str, kind: FailureKind | None) -> CheckResult:
    return replace(result, status=Status.SKIPPED, message=message, failure_kind=kind)


@dataclass(slots=True)
class Rerunner:
    """Reruns cases of a run. `watch`: detects other writers. `seed_case`: sets the random seed of a case.

    `causes`: the case during which a finding first occurred; it is rerun before the case that reports the finding.
    """

    session: Session
    run_check: RunCheck
    seed_case: Callable[[Session, Case], None]
    watch: InterferenceMonitor
    causes: dict[FindingKey, Case] = field(default_factory=dict)
    number: int = 0

    def collect_findings(self, case: Case, session: Session) -> None:
        """Add the findings of a session to those of the run, with the case that caused them."""
        for key, finding in session.responses.findings.items():
            self.session.responses.findings.setdefault(key, finding)
            self.causes.setdefault(key, case)

    def rerun_changed_lists(self, case: Case, results: Sequence[CheckResult]) -> list[CheckResult]:
        """Rerun results whose list changed during the check; if it always changes, classify them as interference."""
        current = list(results)
        for _ in range(MAX_LIST_CHANGE_RERUNS):
            if not any(map(_has_changed_list, current)):
                return current
            try:
                _, rerun = self._rerun(case, (), fresh=False)
            except SkipCheck:  # its lists are not accessible
                break
            current = [rerun.get(r.requirement.fingerprint, r) if _has_changed_list(r) else r for r in current]
        return [replace(r, failure_kind=FailureKind.INTERFERENCE) if _has_changed_list(r) else r for r in current]

    def confirm(self, case: Case, failed: Sequence[CheckResult]) -> Mapping[str, tuple[CheckResult, Reruns]]:
        """Rerun failures. Returns fingerprint -> (final result, reruns)."""
        reruns_by_fingerprint = {result.requirement.fingerprint: Reruns() for result in failed}
        disturbed = 0
        is_uncertain = bool(self.session.client.retrier.recovered) or case.check.is_concurrent
        min_failures = MIN_FAILURES_IF_UNCERTAIN if is_uncertain else 1
        for attempt in range(MAX_RERUNS):
            undecided = [name for name, r in reruns_by_fingerprint.items() if r.kind(min_failures) is None]
            if not undecided:
                break
            try:
                is_undisturbed, results = self._rerun(case, failed, fresh=attempt % 2 == 0)
            except SkipCheck as error:
                for fingerprint in undecided:
                    reruns_by_fingerprint[fingerprint].reason = error.reason
                continue
            disturbed += not is_undisturbed
            for fingerprint in undecided if is_undisturbed else ():
                self._count(reruns_by_fingerprint[fingerprint], results.get(fingerprint), fresh=attempt % 2 == 0)
        final_results: dict[str, tuple[CheckResult, Reruns]] = {}
        for result in failed:
            fingerprint = result.requirement.fingerprint
            reruns = reruns_by_fingerprint[fingerprint]
            final_results[fingerprint] = self._final_result(result, reruns, min_failures, disturbed)
        return final_results

    def _count(self, reruns: Reruns, result: CheckResult | None, *, fresh: bool) -> None:
        if result is not None and result.status is Status.SKIPPED:
            reruns.reason = SkipReason(result.message, result.skip_category)
        else:
            has_failed = result is not None and result.status is Status.FAILED
            (reruns.fresh_state if fresh else reruns.same_state).append(has_failed)

    def _final_result(
        self, result: CheckResult, reruns: Reruns, min_failures: int, disturbed: int
    ) -> tuple[CheckResult, Reruns]:
        kind = reruns.kind(min_failures) or reruns.final_kind()
        if kind not in BLOCKING_KINDS and _is_proven_by_response(result):
            kind = FailureKind.STATE_DEPENDENT
        if any(exchange.response.status in GATEWAY_STATUSES for exchange in result.evidence):
            return _skip(result, f"response of a gateway: {result.message}", FailureKind.INFRASTRUCTURE), reruns
        if disturbed and kind not in BLOCKING_KINDS:
            message = "modified by another client during the check"
            return _skip(result, message, FailureKind.INTERFERENCE), reruns
        if kind is None:
            counts = f"failed {reruns.failed} of {reruns.total} times"
            message = f"{counts}; the rerun was skipped: {reruns.reason}: {result.message}"
            return _skip(result, message, result.failure_kind), reruns
        return replace(result, failure_kind=kind), reruns

    def _rerun(self, case: Case, failed: Sequence[CheckResult], *, fresh: bool) -> tuple[bool, dict[str, CheckResult]]:
        """Run a case again. Returns whether no other client interfered, and the results by fingerprint.

        A check that is skipped as a whole has one result, which applies to all its requirements.
        """
        self.number += 1
        needs_new_state = fresh and not case.check.affected_by_other_clients  # lists contain records of others
        session = self.session.new_state(self.number) if needs_new_state else self.session.same_state(self.number)
        snapshot = self.watch.snapshot(case)
        results: dict[str, CheckResult] = {}
        for rerun_case in (*self._find_causes(case, failed), case):
            current_case = replace(rerun_case, session=session)
            self.seed_case(session, current_case)
            results = {result.requirement.fingerprint: result for result in self.run_check(current_case)}
        self.collect_findings(case, session)
        self.session.merge(session)
        for failure in failed:
            results |= self._not_evaluated(case, failure, results, session)
        return self.watch.is_unchanged(case, snapshot), results

    def _not_evaluated(
        self, case: Case, failure: CheckResult, results: Mapping[str, CheckResult], session: Session
    ) -> Mapping[str, CheckResult]:
        """A skip result for a failure whose check was skipped or whose operation was not called, if so."""
        case_result, fingerprint = results.get(case.build_requirement().fingerprint), failure.requirement.fingerprint
        rerun = results.get(fingerprint)
        if case_result is not None and case_result.status is Status.SKIPPED and (rerun is None or len(results) == 1):
            return {fingerprint: case_result}
        if rerun is not None and rerun.status is Status.FAILED:
            return {}
        was_called = any(name == failure.requirement.operation for name, _ in session.responses.call_counts)
        operation = session.contract.operations.get(failure.requirement.operation)
        calls = session.client.effects.calls[failure.requirement.operation]
        is_limited = operation is not None and operation.effects and calls >= session.options.max_effect_calls
        if operation is not None and is_limited and (rerun is None or not was_called):
            return {fingerprint: case.skip(failure.requirement, effect_limit_reached(operation, calls))}
        if not was_called:
            return {fingerprint: case.skip(failure.requirement, "the operation was not called in the rerun")}
        return {}

    def _find_causes(self, case: Case, failed: Sequence[CheckResult]) -> list[Case]:
        """Return the other cases that sent the requests in the evidence of the failures."""
        evidence = {exchange.request.number for result in failed for exchange in result.evidence}
        cases: dict[tuple[str, str], Case] = {}
        for key, (_, exchange) in self.session.responses.findings.items():
            cause = self.causes.get(key)
            if exchange.request.number in evidence and cause is not None:
                cases.setdefault((cause.check.id, cause.operation.id), cause)
        cases.pop((case.check.id, case.operation.id), None)
        return list(cases.values())
