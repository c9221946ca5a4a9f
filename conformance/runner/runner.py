"""Runs laws on operations and says what became of each promise, as it becomes known.

Nothing is red without replay (`conformance.runner.rerun`).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from conformance.checks.support.check import Case, Check
from conformance.errors import BudgetExhausted, SkipCheck, SuiteError, TargetUnreachable
from conformance.responses.findings import inspect_response
from conformance.results import CheckResult, FailureKind, Status
from conformance.runner.interference import InterferenceMonitor
from conformance.runner.rerun import Rerunner, Reruns
from conformance.session.session import Session
from conformance.skip_reasons import NO_SECOND_TOKEN
from spec.loader import Operation

ReportResult = Callable[[CheckResult], None]
# Judges by other means than laws: outcomes, each with how often it was broken and how often it was judged.
ResultSource = Callable[[Session], Iterator[tuple[CheckResult, tuple[int, int]]]]


class ResultSourceError(Exception):
    """What judges beside the laws failed by itself: how."""


@dataclass(slots=True)
class RunResult:
    """What became of a run.

    `results`: each judged promise, the flaky ones apart (`flaky`). `reruns`: fingerprint -> (how often it was broken,
    how often it was judged). `records_not_deleted`: what could not be taken away. `abort_reason`: why it ended before its time, or "".
    `target_unreachable`: whether the target was lost. `transient_failures`: how much failed and did not when it was asked for again: promises,
    answers of 5xx, requests without an answer. `observed_delay`: seconds after which a write was seen, where that took time.
    """

    results: list[CheckResult] = field(default_factory=list)
    records_not_deleted: list[tuple[str, object]] = field(default_factory=list)
    abort_reason: str = ""
    target_unreachable: bool = False
    flaky: list[CheckResult] = field(default_factory=list)
    reruns: dict[str, tuple[int, int]] = field(default_factory=dict)
    transient_failures: int = 0
    observed_delay: float = 0.0

    def with_status(self, status: Status) -> Iterator[CheckResult]:
        """The outcomes with that verdict."""
        return (result for result in self.results if result.status is status)

    def record(self, result: CheckResult, counts: tuple[int, int] | None) -> CheckResult:
        """Keep an outcome as it stands after it was judged again; `counts`: how often broken, how often judged."""
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
    """Judge every law on every operation that it applies to, law by law, and take away what was made.

    What the run did not come to is not judged, with the reason. `sources`: asked for outcomes when the laws are done.
    `before_cleanup`: lifts a budget that is used up. Without `clean_up`, what was made stays: another case of the same
    session may use it.
    """
    run_result = RunResult()
    cases = list(build_cases(session, checks, operations))
    cases_started = 0
    seed = session.payloads.random.getrandbits(64)
    reruns = Rerunner(
        session, run_check_safely, lambda session_, case: seed_case(session_, case, seed), InterferenceMonitor(session)
    )
    try:
        for case in cases:
            cases_started += 1
            seed_case(session, case, seed)
            _run_case(run_result, case, report_result, reruns)
        for result, counts in chain.from_iterable(_results_from(source, session) for source in sources):
            report_result(run_result.record(replace(result, failure_kind=_failure_kind(result, counts)), counts))
    except (BudgetExhausted, TargetUnreachable, ResultSourceError, KeyboardInterrupt) as error:
        run_result.abort_reason, run_result.target_unreachable = (
            str(error) or "interrupted",
            isinstance(error, TargetUnreachable),
        )
    for case in cases[cases_started:]:
        run_result.results.append(case.skip(case.build_requirement(), f"not reached: {run_result.abort_reason}"))
    _record_transient_failures(run_result, session, {case.check.id: case.check for case in cases})
    if clean_up:
        before_cleanup()
        run_result.records_not_deleted = _clean_up(session, run_result)
    return run_result


def _results_from(source: ResultSource, session: Session) -> Iterator[tuple[CheckResult, tuple[int, int]]]:
    """What a source says. Raises SourceFailed: what the laws judged until then is worth a report."""
    try:
        yield from source(session)
    except SuiteError:
        raise
    except Exception as error:
        raise ResultSourceError(f"what judges beside the laws failed, a fault of the suite: {error!r}") from error


def seed_case(session: Session, case: Case, seed: int) -> None:
    """Let a case draw from its own seed: the same values, whatever was judged before it."""
    session.payloads.random.seed(f"{seed} {case.check.id} {case.operation.id}")


def _failure_kind(result: CheckResult, counts: tuple[int, int]) -> FailureKind | None:
    """What a failure is that its source has judged again by itself."""
    if result.status is not Status.FAILED:
        return result.failure_kind
    failed, total = counts
    return FailureKind.DETERMINISTIC if total > 1 and failed == total else FailureKind.FLAKY


def _record_transient_failures(run_result: RunResult, session: Session, checks: dict[str, Check]) -> None:
    """Tell as flaky what went away when it was asked for again, in place of the promise that is kept otherwise."""
    retrier = session.retrier
    run_result.transient_failures = len(run_result.flaky) + len(retrier.recovered) + len(retrier.unanswered)
    run_result.observed_delay = session.observed_delay
    flaky: dict[str, tuple[CheckResult, int]] = {}
    for exchange in retrier.recovered:
        operation = session.contract.operations[exchange.request.operation]
        for finding in inspect_response(session.schemas, operation, exchange):
            if finding.check in checks:
                case = Case(checks[finding.check], session, operation)
                result = case.build_result(
                    case.build_requirement(finding.pointer, finding.keyword), finding.message, exchange
                )
                first, times = flaky.get(result.requirement.fingerprint, (result, 0))
                flaky[result.requirement.fingerprint] = first, times + 1
    responses = Counter[str]()
    for (name, _), times in session.call_counts.items():
        responses[name] += times
    for fingerprint, (result, times) in flaky.items():
        total = responses[result.requirement.operation] + times
        run_result.results = [o for o in run_result.results if o.requirement.fingerprint != fingerprint]
        message = f"{result.message}; the same request was answered otherwise at once after"
        run_result.record(replace(result, message=message, failure_kind=FailureKind.FLAKY), (times, total))


def build_cases(session: Session, checks: Iterable[Check], operations: Iterable[Operation]) -> Iterator[Case]:
    """Each law on each operation that it applies to, law by law; writing laws only where writes are allowed."""
    selected = list(operations)
    for check in checks:
        for operation in selected if not (check.writes and session.read_only) else ():
            if check.applies_to(session.contract, operation):
                yield Case(check, session, operation)


def run_check(case: Case) -> Iterator[CheckResult]:
    """The outcomes of one law on one operation; what cannot be had makes it not judged."""
    if case.check.needs_second_token and not case.session.has_token("other"):
        yield case.skip(case.build_requirement(), NO_SECOND_TOKEN)
        return
    try:
        yield from case.check.run(case)
    except SkipCheck as error:
        yield case.skip(case.build_requirement(), error.reason)


def _run_case(run_result: RunResult, case: Case, report_result: ReportResult, reruns: Rerunner) -> None:
    """Judge a case, again when something is broken, and keep the outcomes, also when the run ends meanwhile."""
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
    finally:
        if not is_complete and not results:
            results.append(case.skip(case.build_requirement(), "the run ended while it was judged"))
        for result in results:
            report_result(_record(run_result, result, confirmed))


def _record(
    run_result: RunResult, result: CheckResult, confirmed: dict[str, tuple[CheckResult, Reruns]]
) -> CheckResult:
    if result.status is not Status.FAILED:
        return run_result.record(result, None)
    if result.requirement.fingerprint not in confirmed:
        message = f"broken once, and the run ended before it was judged again: {result.message}"
        return run_result.record(replace(result, status=Status.SKIPPED, message=message), None)
    final, reruns = confirmed[result.requirement.fingerprint]
    return run_result.record(final, (reruns.failed, reruns.total))


def run_check_safely(case: Case) -> Iterator[CheckResult]:
    """The same as `run_check`; a law that fails by itself, on an answer that nobody thought of, ends nothing else."""
    try:
        yield from run_check(case)
    except SuiteError:
        raise
    except Exception as error:
        yield case.skip(case.build_requirement(), f"the law itself failed, a fault of the suite: {error!r}")


def _clean_up(session: Session, run_result: RunResult) -> list[tuple[str, object]]:
    """Take away what was made, where the target is still there; what is left over."""
    try:
        return (
            list(session.clean_up())
            if not run_result.target_unreachable
            else [(created.resource, created.key) for created in session.write_log.remaining()]
        )
    except (SuiteError, KeyboardInterrupt) as error:
        run_result.abort_reason = run_result.abort_reason or str(error) or "interrupted"
        run_result.target_unreachable = run_result.target_unreachable or isinstance(error, TargetUnreachable)
        return [(made.resource, made.key) for made in session.write_log.remaining()]


def aborted_run(
    session: Session,
    checks: Iterable[Check],
    operations: Iterable[Operation],
    reason: str,
    *,
    target_unreachable: bool = False,
) -> RunResult:
    """A run that ended before anything was judged."""
    skipped = [
        case.skip(case.build_requirement(), f"not reached: {reason}")
        for case in build_cases(session, checks, operations)
    ]
    return RunResult(results=skipped, abort_reason=reason, target_unreachable=target_unreachable)
