"""Runs checks on operations and reports each result. Failures are rerun (`conformance.runner.rerun`)."""

import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from conformance import interrupts
from conformance.checks.support.check import Case, Check
from conformance.errors import (
    NO_MEMBER_TOKEN,
    NO_SECOND_TOKEN,
    BudgetExhausted,
    SkipCategory,
    SkipCheck,
    SkipReason,
    SuiteError,
    TargetUnreachable,
    not_reached,
)
from conformance.responses.findings import inspect_response
from conformance.results import CheckResult, FailureKind, Status
from conformance.runner.interference import InterferenceMonitor
from conformance.runner.rerun import Rerunner, Reruns
from conformance.session.session import Session
from conformance.transport.messages import Actor
from spec.model import Operation

ReportResult = Callable[[CheckResult], None]
# Results from other sources than checks, each with (failures, runs).
ResultSource = Callable[[Session], Iterator[tuple[CheckResult, tuple[int, int]]]]


class ResultSourceError(Exception):
    """A result source other than the checks failed; the message says how."""


@dataclass(slots=True)
class RunResult:
    """Result of a run.

    `results`: of each requirement, except flaky failures (`flaky`). `reruns`: fingerprint -> (failures, runs).
    `records_not_deleted`: (resource, key). `abort_reason`: why the run was aborted, or "". `transient_failures`: number
    of failures that disappeared on retry or rerun: checks, 5xx responses, requests without a response.
    `observed_delay`: seconds until writes were visible, if measurable.
    """

    results: list[CheckResult] = field(default_factory=list)
    records_not_deleted: list[tuple[str, object]] = field(default_factory=list)
    abort_reason: str = ""
    target_unreachable: bool = False
    is_interrupted: bool = False
    flaky: list[CheckResult] = field(default_factory=list)
    reruns: dict[str, tuple[int, int]] = field(default_factory=dict)
    transient_failures: int = 0
    observed_delay: float = 0.0

    def with_status(self, status: Status) -> Iterator[CheckResult]:
        """The results with a status."""
        return (result for result in self.results if result.status is status)

    def record(self, result: CheckResult, counts: tuple[int, int] | None) -> CheckResult:
        """Record a final result; `counts`: (failures, runs)."""
        if result.status is Status.FAILED and counts is not None:
            self.reruns[result.requirement.fingerprint] = counts
        if result.status is Status.FAILED and result.failure_kind is FailureKind.FLAKY:
            self.flaky.append(result)
        else:
            self.results.append(result)
        return result


def run(
    session: Session,
    checks: Iterable[Check],
    operations: Iterable[Operation],
    report_result: ReportResult,
    *,
    before_cleanup: Callable[[], None] = lambda: None,
    clean_up: bool = True,
    sources: Iterable[ResultSource] = (),
) -> RunResult:
    """Run every check on every operation that it applies to, check by check, and delete the created records.

    Cases that an aborted run did not reach are skipped with the reason. `sources`: further results, collected after the
    checks. `before_cleanup`: lifts an exhausted budget. `clean_up`: False if another case of the session uses the
    records.
    """
    run_result = RunResult()
    cases = list(build_cases(session, checks, operations))
    pending_cases = iter(cases)
    seed = session.payloads.random.getrandbits(64)
    reruns = Rerunner(session, run_check_safely, partial(seed_case, seed=seed), InterferenceMonitor(session))
    try:
        for case in pending_cases:
            seed_case(session, case, seed)
            _run_case(run_result, case, report_result, reruns)
        for result, counts in chain.from_iterable(_results_from(source, session) for source in sources):
            report_result(run_result.record(replace(result, failure_kind=_failure_kind(result, counts)), counts))
        interrupts.hold()
    except (BudgetExhausted, TargetUnreachable, ResultSourceError, KeyboardInterrupt) as error:
        run_result.abort_reason = str(error) or "interrupted"
        run_result.target_unreachable = isinstance(error, TargetUnreachable)
        run_result.is_interrupted = isinstance(error, KeyboardInterrupt)
    reason = not_reached(f"not reached: {run_result.abort_reason}")
    run_result.results += [case.skip(case.build_requirement(), reason) for case in pending_cases]
    _record_transient_failures(run_result, session, {case.check.id: case.check for case in cases})
    if clean_up:
        before_cleanup()
        run_result.records_not_deleted = _clean_up(session, run_result)
    return run_result


def _results_from(source: ResultSource, session: Session) -> Iterator[tuple[CheckResult, tuple[int, int]]]:
    """The results of a source. Raises ResultSourceError, so that the results of the checks are still reported."""
    try:
        yield from source(session)
    except SuiteError:
        raise
    except Exception as error:
        raise ResultSourceError(f"internal error in a result source: {error!r}") from error


def seed_case(session: Session, case: Case, seed: int) -> None:
    """Set the random seed of a case, so that it generates the same values in any order of cases."""
    session.payloads.random.seed(f"{seed} {case.check.id} {case.operation.id}")


def _failure_kind(result: CheckResult, counts: tuple[int, int]) -> FailureKind | None:
    """The kind of a failure that its source has rerun itself."""
    if result.status is not Status.FAILED:
        return result.failure_kind
    failed, total = counts
    return FailureKind.DETERMINISTIC if total > 1 and failed == total else FailureKind.FLAKY


def _record_transient_failures(run_result: RunResult, session: Session, checks: dict[str, Check]) -> None:
    """Report failures that disappeared on retry as flaky, in place of the passed result."""
    retrier = session.client.retrier
    run_result.transient_failures = len(run_result.flaky) + len(retrier.recovered) + len(retrier.unanswered)
    run_result.observed_delay = session.client.observed_delay
    flaky: dict[str, tuple[CheckResult, int]] = {}
    for exchange in retrier.recovered:
        operation = session.contract.operations[exchange.request.operation]
        for finding in inspect_response(session.schemas, operation, exchange):
            if finding.check in checks:
                case = Case(checks[finding.check], session, operation)
                requirement = case.build_requirement(finding.pointer, finding.keyword)
                result = case.build_result(requirement, finding.message, exchange)
                first, times = flaky.get(result.requirement.fingerprint, (result, 0))
                flaky[result.requirement.fingerprint] = first, times + 1
    call_counts = session.responses.call_counts.items()
    for fingerprint, (result, times) in flaky.items():
        total = times + sum(calls for (name, _), calls in call_counts if name == result.requirement.operation)
        run_result.results = [o for o in run_result.results if o.requirement.fingerprint != fingerprint]
        message = f"{result.message}; a retry of the same request succeeded"
        run_result.record(replace(result, message=message, failure_kind=FailureKind.FLAKY), (times, total))


def build_cases(session: Session, checks: Iterable[Check], operations: Iterable[Operation]) -> Iterator[Case]:
    """Each check on each operation that it applies to, check by check, if the options of the run allow the check."""
    selected, options = list(operations), session.options
    for check in checks:
        is_allowed = not (check.writes and options.read_only) and (options.concurrency or not check.is_concurrent)
        for operation in selected if is_allowed else ():
            if check.applies_to(session.contract, operation):
                yield Case(check, session, operation)


def run_check(case: Case) -> Iterator[CheckResult]:
    """The results of one check on one operation; a SkipCheck exception becomes a skipped result."""
    if case.check.needs_second_token and not case.session.client.has_token(Actor.OTHER_TENANT):
        yield case.skip(case.build_requirement(), NO_SECOND_TOKEN)
        return
    if case.check.needs_member_token and not case.session.client.has_token(Actor.MEMBER):
        yield case.skip(case.build_requirement(), NO_MEMBER_TOKEN)
        return
    try:
        yield from case.check.run(case)
    except SkipCheck as error:
        yield case.skip(case.build_requirement(), error.reason)


def _run_case(run_result: RunResult, case: Case, report_result: ReportResult, reruns: Rerunner) -> None:
    """Run a case, rerun its failures and record the results, also if the run is aborted."""
    results: list[CheckResult] = []
    confirmed: dict[str, tuple[CheckResult, Reruns]] = {}
    is_complete = False
    try:
        for result in run_check_safely(case):
            results.append(result)
        reruns.collect_findings(case, case.session)
        results = reruns.rerun_changed_lists(case, results)
        failed = [result for result in results if result.status is Status.FAILED]
        confirmed |= reruns.confirm(case, failed) if failed else {}
        is_complete = True
    except SuiteError:
        raise
    except Exception as error:
        results.append(_skip_after_error(case, error))
    finally:
        if not is_complete and not results:
            results.append(case.skip(case.build_requirement(), not_reached("run aborted during the check")))
        for result in results:
            report_result(_record(run_result, result, confirmed))


def _record(
    run_result: RunResult, result: CheckResult, confirmed: dict[str, tuple[CheckResult, Reruns]]
) -> CheckResult:
    if result.status is not Status.FAILED:
        return run_result.record(result, None)
    if result.requirement.fingerprint not in confirmed:
        message = f"failed once; run aborted before the rerun: {result.message}"
        skipped = replace(result, status=Status.SKIPPED, message=message, skip_category=SkipCategory.NOT_REACHED)
        return run_result.record(skipped, None)
    final, reruns = confirmed[result.requirement.fingerprint]
    return run_result.record(final, (reruns.failed, reruns.total))


def run_check_safely(case: Case) -> Iterator[CheckResult]:
    """The same as `run_check`; an internal error of the check becomes a skipped result."""
    try:
        yield from run_check(case)
    except SuiteError:
        raise
    except Exception as error:
        yield _skip_after_error(case, error)


def _skip_after_error(case: Case, error: Exception) -> CheckResult:
    """The result of a check that raised an exception, with its place in the code."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    message = f"internal error in the check: {error!r} at {Path(frame.filename).name}:{frame.lineno}"
    return case.skip(case.build_requirement(), SkipReason(message, SkipCategory.INTERNAL_ERROR))


def _clean_up(session: Session, run_result: RunResult) -> list[tuple[str, object]]:
    """Delete the created records if the target is reachable; returns those that remain."""
    counts = session.records.creates_without_key.items()
    unidentified = [(name, f"({number} without a key in the response)") for name, number in counts]
    try:
        if not run_result.target_unreachable:
            with interrupts.interruptible():
                return [*session.clean_up(), *unidentified]
    except (SuiteError, KeyboardInterrupt) as error:
        run_result.is_interrupted = run_result.is_interrupted or isinstance(error, KeyboardInterrupt)
        run_result.abort_reason = run_result.abort_reason or str(error) or "interrupted"
        run_result.target_unreachable = run_result.target_unreachable or isinstance(error, TargetUnreachable)
    return [*session.write_log.list_remaining(), *unidentified]


def aborted_run(
    session: Session,
    checks: Iterable[Check],
    operations: Iterable[Operation],
    reason: str,
    *,
    target_unreachable: bool = False,
) -> RunResult:
    """The result of a run that was aborted before the first check."""
    skip_reason, cases = not_reached(f"not reached: {reason}"), build_cases(session, checks, operations)
    skipped = [case.skip(case.build_requirement(), skip_reason) for case in cases]
    return RunResult(results=skipped, abort_reason=reason, target_unreachable=target_unreachable)
