"""From what the engine did to outcomes: each promise once, at its place, a broken one only after its replays."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from schemathesis.core.failures import Failure
from schemathesis.engine import Status as ScenarioStatus
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.openapi.checks import AllowHeaderMismatch, UseAfterFree

from conformance.errors import BudgetExhausted, TargetUnreachable
from conformance.responses.findings import inspect_response
from conformance.results import CheckResult, Requirement, Status
from conformance.schemathesis_engine.adapter import (
    INVALID_REQUEST_STATUSES,
    build_schema,
    redirect_hypothesis_files,
    run_scenarios,
)
from conformance.schemathesis_engine.checks import CHECKS_BY_RESPONSE_CHECK, ENGINE_CHECKS, EngineCheck, SentCase
from conformance.schemathesis_engine.depth import Depth
from conformance.schemathesis_engine.replay import RequestChain, build_chain, reproduce_failure
from conformance.schemathesis_engine.transport import CaseTransport
from conformance.schemathesis_engine.types import EngineResult
from conformance.schemathesis_engine.violation_location import ViolationLocation, find_violation, is_ordinary
from conformance.schemathesis_engine.write_guard import BlockedRequest, WriteGuard, get_exclusion_reason
from conformance.session.session import Session
from conformance.skip_reasons import SkipReason
from conformance.transport.messages import Exchange
from spec.loader import Operation
from spec.provenance import INFERRED, get_provenance

TOO_MANY_REQUESTS = 429  # says nothing of the operation; the target was patient before
NO_CASE_REASON = "no case of the engine came to it"


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """A broken promise, the case that shows it, and how to make it anew. `request_size`: of its requests."""

    requirement: Requirement
    check: EngineCheck
    message: str
    evidence: tuple[Exchange, ...]
    chain: RequestChain
    request_size: int


@dataclass(slots=True)
class FailureCollector:
    """What became of the promises so far.

    `completed_checks`: (operation, check) that ran. `block_reasons`: operation -> why its first case was held back. `successful_operations`:
    operations that did.
    """

    session: Session
    transport: CaseTransport
    completed_checks: set[tuple[str, str]] = field(default_factory=set)
    failures: dict[str, EngineFailure] = field(default_factory=dict)
    block_reasons: dict[str, SkipReason] = field(default_factory=dict)
    successful_operations: set[str] = field(default_factory=set)

    def collect(self, recorder: ScenarioRecorder) -> None:
        """Note what one scenario showed, and let go of it."""
        for case_id, node in recorder.cases.items():
            operation = self.transport.operation(node.value)
            if case_id in self.transport.block_reasons:
                self.block_reasons.setdefault(operation.id, self.transport.block_reasons[case_id])
            elif (
                case_id in self.transport.exchanges
                and self.transport.exchanges[case_id].response.status != TOO_MANY_REQUESTS
            ):
                sent_case = SentCase(operation, node.value, self.transport.exchanges[case_id], recorder)
                if sent_case.is_documented_method and sent_case.exchange.response.ok:
                    self.successful_operations.add(operation.id)
                self._collect_response_findings(sent_case)
                self._collect_check_failures(sent_case)
        self.transport.forget(recorder.cases)

    def _collect_response_findings(self, sent_case: SentCase) -> None:
        """What our own notices say of the answer: they give the place."""
        if not sent_case.is_documented_method:
            return
        for finding in inspect_response(self.session.schemas, sent_case.operation, sent_case.exchange):
            check = CHECKS_BY_RESPONSE_CHECK[finding.check]
            pointer, parameter = finding.pointer, finding.parameter
            if check.provenance_independent:
                violation = (
                    None
                    if sent_case.is_valid
                    else find_violation(self.session, sent_case.operation, sent_case.exchange.request)
                )
                parameter = violation.parameter if violation else ""
            location = ViolationLocation(pointer, finding.keyword, parameter, finding.message)
            self._add_failure(sent_case, check, location, None, (finding.check, finding.pointer, finding.keyword))

    def _collect_check_failures(self, sent_case: SentCase) -> None:
        """What Schemathesis's checks say of the case."""
        for node in sent_case.recorder.checks.get(sent_case.case.id, ()):
            check = ENGINE_CHECKS.get(node.name)
            if check is None or not check.applies_to(sent_case):
                continue
            self.completed_checks.add((sent_case.operation.id, check.name))
            if node.status == ScenarioStatus.FAILURE and node.failure_info is not None:
                failure = node.failure_info.failure
                location = locate_failure(
                    self.session, sent_case, check, failure, _check_exchanges(self.transport, sent_case, failure)
                )
                if location is not None:
                    self._add_failure(sent_case, check, location, failure)

    def _add_failure(
        self,
        sent_case: SentCase,
        check: EngineCheck,
        location: ViolationLocation,
        failure: Failure | None,
        finding_key: tuple[str, str, str | None] | None = None,
    ) -> None:
        provenance_level = get_provenance(self.session.contract.document, location.pointer, location.keyword)
        if not sent_case.is_valid and not check.response_check and provenance_level != INFERRED:
            provenance_level = self._rejection_provenance(
                sent_case.operation
            )  # that it is refused has to be known as well
        requirement = Requirement(
            check.check_id,
            sent_case.operation.id,
            check.requirement,
            location.pointer,
            provenance_level,
            check.provenance_independent,
            location.parameter,
        )
        self.completed_checks.add((sent_case.operation.id, check.name))
        chain = build_chain(self.transport, sent_case, failure, finding_key)
        evidence = (*chain.exchanges, *_check_exchanges(self.transport, sent_case, failure))
        request_size = sum(
            len(exchange.request.target) + len(str(exchange.request.body or exchange.request.raw_body or ""))
            for exchange in evidence
        )
        existing = self.failures.get(requirement.fingerprint)
        if existing is None or request_size < existing.request_size:
            self.failures[requirement.fingerprint] = EngineFailure(
                requirement, check, location.message, evidence, chain, request_size
            )

    def _rejection_provenance(self, operation: Operation) -> str:
        """How far it is known that the operation refuses what the contract does not admit."""
        rejection_statuses = [status for status in operation.responses if status in INVALID_REQUEST_STATUSES]
        if not rejection_statuses:
            return INFERRED
        return get_provenance(
            self.session.contract.document, operation.responses[max(rejection_statuses)] or operation.pointer
        )


def run_operations(
    session: Session,
    operations: Sequence[Operation],
    *,
    seed: int,
    depth: Depth,
    on_result: Callable[[CheckResult], None],
) -> Iterator[EngineResult]:
    """See `conformance.schemathesis_engine.judge`."""
    runnable, skipped = split_runnable(session, operations)
    yield from _report_results(on_result, (_skipped_result(operation, reason) for operation, reason in skipped))
    if not runnable:
        return
    guard = WriteGuard(session, depth.max_effect_calls)
    transport = CaseTransport(session, guard)
    collector = FailureCollector(session, transport)
    previous_findings = set(session.findings)
    abort_error = _collect_scenarios(collector, runnable, seed, depth)
    no_case_reason = f"not reached: {str(abort_error) or 'interrupted'}" if abort_error is not None else NO_CASE_REASON
    yield from _report_results(
        on_result, _passed_results(collector, runnable, no_case_reason if "coverage" in depth.phases else "")
    )
    yield from _report_results(on_result, _engine_error_results(collector, runnable))
    guard.max_public_calls *= 2
    for engine_failure in collector.failures.values():
        result = _inconclusive_result(engine_failure, "the run ended before it was judged again")
        if abort_error is None:
            try:
                result = _rerun_failure(transport, engine_failure, depth.reruns)
            except (BudgetExhausted, TargetUnreachable, KeyboardInterrupt) as error:
                abort_error = error
        yield from _report_results(on_result, [result])
    # what the engine's traffic showed was told here, with its replays
    for finding_key in set(session.findings) - previous_findings:
        del session.findings[finding_key]
    if abort_error is not None:
        raise abort_error


def _collect_scenarios(
    collector: FailureCollector, runnable: Sequence[Operation], seed: int, depth: Depth
) -> BaseException | None:
    """Let the engine work; what ended it before its time."""
    try:
        with redirect_hypothesis_files():
            for recorder in run_scenarios(build_schema(collector.transport, runnable, seed, depth)):
                collector.collect(recorder)
    except (BudgetExhausted, TargetUnreachable, KeyboardInterrupt) as error:
        return error
    return None


def split_runnable(
    session: Session, operations: Sequence[Operation]
) -> tuple[list[Operation], list[tuple[Operation, SkipReason]]]:
    """The operations that may be asked, and the others with why not."""
    runnable: list[Operation] = []
    skipped: list[tuple[Operation, SkipReason]] = []
    for operation in operations:
        reason = get_exclusion_reason(
            session.contract, operation, read_only=session.read_only, effects=session.allow_effects
        )
        if reason:
            skipped.append((operation, reason))
        else:
            runnable.append(operation)
    return runnable, skipped


def _report_results(
    on_result: Callable[[CheckResult], None], results: Iterable[EngineResult]
) -> Iterator[EngineResult]:
    for result in results:
        on_result(result.result)
        yield result


def _passed_results(
    collector: FailureCollector, runnable: Sequence[Operation], no_case_reason: str
) -> Iterator[EngineResult]:
    """Each check on each operation on which it ran and held.

    What was held back is not judged; nor is what no case came to, and why (`no_case_reason`); "": it was not due.
    """
    failed = {
        (engine_failure.requirement.operation, engine_failure.check.name)
        for engine_failure in collector.failures.values()
    }
    for operation in runnable:
        check_names = [
            check_name for check_name in ENGINE_CHECKS if (operation.id, check_name) in collector.completed_checks
        ]
        for check_name in check_names:
            if (operation.id, check_name) not in failed:
                yield EngineResult(
                    CheckResult(
                        _build_requirement(collector.session, operation, ENGINE_CHECKS[check_name]), Status.PASSED
                    )
                )
        if operation.id in collector.block_reasons and operation.id not in collector.successful_operations:
            yield _skipped_result(operation, collector.block_reasons[operation.id])
        elif no_case_reason and not check_names:
            yield _skipped_result(operation, no_case_reason)


def _engine_error_results(collector: FailureCollector, runnable: Sequence[Operation]) -> Iterator[EngineResult]:
    """What Schemathesis could not go on with."""
    for label, error in collector.transport.engine_errors:
        for operation in runnable:
            if label == f"{operation.method.upper()} {operation.path}":
                yield _skipped_result(operation, f"Schemathesis could not go on with it: {error!r:.300}", "cases")


def _build_requirement(session: Session, operation: Operation, check: EngineCheck) -> Requirement:
    provenance_level = get_provenance(session.contract.document, operation.pointer)
    return Requirement(
        check.check_id,
        operation.id,
        check.requirement,
        operation.pointer,
        provenance_level,
        check.provenance_independent,
    )


def _skipped_result(operation: Operation, reason: SkipReason | str, parameter: str = "") -> EngineResult:
    check = ENGINE_CHECKS["positive_data_acceptance"]
    pointer = f"{operation.pointer}/responses"
    requirement = Requirement(check.check_id, operation.id, check.requirement, pointer, INFERRED, parameter=parameter)
    return EngineResult(CheckResult.skip(requirement, reason), total_runs=0)


def _inconclusive_result(engine_failure: EngineFailure, reason: str) -> EngineResult:
    message = f"broken once, and {reason}: {engine_failure.message}"
    return EngineResult(CheckResult(engine_failure.requirement, Status.SKIPPED, message, engine_failure.evidence), 1, 1)


def _rerun_failure(transport: CaseTransport, engine_failure: EngineFailure, reruns: int) -> EngineResult:
    try:
        failed_runs = 1 + sum(
            reproduce_failure(transport, engine_failure.chain, engine_failure.check) for _ in range(reruns)
        )
    except BlockedRequest as error:
        return _inconclusive_result(engine_failure, f"not to be made anew ({error})")
    return EngineResult(
        CheckResult(engine_failure.requirement, Status.FAILED, engine_failure.message, engine_failure.evidence),
        failed_runs,
        1 + reruns,
    )


def _check_exchanges(transport: CaseTransport, sent_case: SentCase, failure: Failure | None) -> tuple[Exchange, ...]:
    """What a check itself asked, when the breach shows there."""
    case_id = failure.case_id if failure is not None else None
    if case_id is None or case_id == sent_case.case.id or case_id not in transport.exchanges:
        return ()
    return (transport.exchanges[case_id],)


def locate_failure(
    session: Session, sent_case: SentCase, check: EngineCheck, failure: Failure, check_exchanges: tuple[Exchange, ...]
) -> ViolationLocation | None:
    """Where a failure stands; None where our reading of the contract, or a usual server, knows no breach."""
    operation, status = sent_case.operation, sent_case.exchange.response.status
    message = " ".join(failure.message.split())[:300] or failure.title
    responses_pointer = f"{operation.pointer}/responses"
    if check.response_check:
        # our notices tell it, all but what they do not look at: another method than the contract's
        is_reported_by_finding = sent_case.is_documented_method or check.name != "not_a_server_error"
        return (
            None
            if is_reported_by_finding
            else ViolationLocation(operation.pointer, None, sent_case.case.method, f"{message} ({status})")
        )
    if check.name == "negative_data_rejection":
        violation = find_violation(session, operation, sent_case.exchange.request)
        if violation is None:
            return None
        return replace(violation, message=f"{violation.message}; answered {status}, due: a refusal")
    if check.name == "positive_data_acceptance":
        is_valid_input = (
            is_ordinary(sent_case.exchange.request)
            and find_violation(session, operation, sent_case.exchange.request) is None
        )
        return (
            ViolationLocation(responses_pointer, "*", str(status), f"what the contract admits was answered {status}")
            if is_valid_input
            else None
        )
    if _is_common_behavior(session, sent_case, check, failure, check_exchanges):
        return None
    if check.name == "unsupported_method":
        return ViolationLocation(responses_pointer, "*", sent_case.case.method, message)
    if check.name == "allow_header_conformance":
        return ViolationLocation(responses_pointer, "*", "Allow", message)
    return ViolationLocation(
        operation.pointer, None, failure.free.split()[0] if isinstance(failure, UseAfterFree) else "", message
    )


def _is_common_behavior(
    session: Session, sent_case: SentCase, check: EngineCheck, failure: Failure, check_exchanges: tuple[Exchange, ...]
) -> bool:
    """Whether a usual server does so, and breaks nothing that the contract says."""
    if isinstance(failure, AllowHeaderMismatch):
        return not failure.missing_methods  # routers join what all templates that fit the path allow
    if check.name == "unsupported_method":
        return _is_other_route(session, sent_case)
    if check.name == "missing_required_header":
        return not sent_case.exchange.response.ok  # refused for another reason first
    # refused in another way than with 401: laws judge how
    return check.name == "ignored_auth" and (
        not _is_success(check_exchanges) or (not check_exchanges and _sent_run_token(session, sent_case))
    )


def _sent_run_token(session: Session, sent_case: SentCase) -> bool:
    """Whether the run's own bearer, which opens the operation by itself, went with a case.

    One alternative that is met is enough: a header of another scheme, made up by the engine, takes nothing away. The
    documented requests send it blank beside the bearer.
    """
    schemes = session.contract.security_schemes
    single_schemes = [alternative[0] for alternative in sent_case.operation.security if len(alternative) == 1]
    return sent_case.exchange.request.actor == "self" and any(
        schemes[name].get("scheme") == "bearer" for name in single_schemes
    )


def _is_success(check_exchanges: tuple[Exchange, ...]) -> bool:
    return not check_exchanges or check_exchanges[-1].response.ok


def _is_other_route(session: Session, sent_case: SentCase) -> bool:
    """Whether another template of the contract takes the same path with that method."""
    segments = sent_case.operation.path.split("/")
    return any(
        other.method == sent_case.case.method.lower()
        and len(other_segments := other.path.split("/")) == len(segments)
        and all("{" in (a + b) or a == b for a, b in zip(other_segments, segments, strict=True))
        for other in session.contract.operations.values()
    )
