"""Conversion of engine events to results: one per requirement, with its location; failures after their reruns."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from schemathesis.core.failures import Failure
from schemathesis.engine import Status as ScenarioStatus
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.openapi.checks import AllowHeaderMismatch, UseAfterFree

from conformance.errors import (
    BudgetExhausted,
    SkipCategory,
    SkipCheck,
    SkipReason,
    SuiteError,
    TargetUnreachable,
    not_reached,
    not_testable,
)
from conformance.files import redirect_hypothesis_files
from conformance.responses.findings import Finding, inspect_response
from conformance.results import CheckResult, Requirement, Status
from conformance.schemathesis_engine import Depth, EngineResult
from conformance.schemathesis_engine.adapter import (
    INVALID_REQUEST_STATUSES,
    TransportSchema,
    build_schema,
    run_scenarios,
)
from conformance.schemathesis_engine.checks import (
    CHECKS_BY_RESPONSE_CHECK,
    ENGINE_CHECKS,
    RESPONSE_CHECKS,
    EngineCheck,
    SentCase,
)
from conformance.schemathesis_engine.replay import RequestChain, build_chain, reproduce_failure
from conformance.schemathesis_engine.transport import CaseTransport
from conformance.schemathesis_engine.violation_location import find_violation, is_ordinary
from conformance.schemathesis_engine.write_guard import WriteGuard, get_exclusion_reason
from conformance.session.session import Session
from conformance.transport.messages import Actor, Exchange
from spec.model import Operation
from spec.provenance import INFERRED, get_provenance

TOO_MANY_REQUESTS = 429  # no result for the operation
CHECKS_OF_ANY_CASE = tuple(
    name for name in RESPONSE_CHECKS if name != "no_traceback"
)  # this one is only reported failed
NO_CASE_REASON = "the engine generated no case"


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """A failed result with the chain to rerun. `request_size`: characters of the requests."""

    result: CheckResult
    check: EngineCheck
    chain: RequestChain
    request_size: int


@dataclass(slots=True)
class FailureCollector:
    """Collects failures from scenarios, the shortest evidence of each requirement.

    `completed_checks`: (operation, check) that ran. `failures`: by fingerprint. `block_reasons`: of the first blocked
    case, by operation.
    """

    transport: CaseTransport
    completed_checks: set[tuple[str, str]] = field(default_factory=set)
    failures: dict[str, EngineFailure] = field(default_factory=dict)
    block_reasons: dict[str, SkipReason] = field(default_factory=dict)
    successful_operations: set[str] = field(default_factory=set)

    def collect(self, recorder: ScenarioRecorder) -> None:
        """Collect the failures of a scenario and discard its exchanges."""
        for case_id, node in recorder.cases.items():
            operation = self.transport.operation(node.value)
            if case_id in self.transport.block_reasons:
                self.block_reasons.setdefault(operation.id, self.transport.block_reasons[case_id])
                continue
            exchange = self.transport.exchanges.get(case_id)
            if exchange is not None and exchange.response.status != TOO_MANY_REQUESTS:
                sent_case = SentCase(operation, node.value, exchange, recorder)
                if sent_case.is_documented() and exchange.response.ok:
                    self.successful_operations.add(operation.id)
                self._collect_response_findings(sent_case)
                self._collect_check_failures(sent_case)
        self.transport.forget(recorder.cases)

    def _collect_response_findings(self, sent_case: SentCase) -> None:
        """Collect the failures that our response checks locate."""
        if not sent_case.is_documented():
            return
        for finding in inspect_response(self.transport.session.schemas, sent_case.operation, sent_case.exchange):
            check = CHECKS_BY_RESPONSE_CHECK[finding.check]
            if check.provenance_independent:
                request, session = sent_case.exchange.request, self.transport.session
                is_valid = sent_case.is_valid
                violation = None if is_valid else find_violation(session, sent_case.operation, request)
                finding = replace(finding, parameter=violation.parameter if violation else "")
            self._add_failure(sent_case, check, finding, None)

    def _collect_check_failures(self, sent_case: SentCase) -> None:
        for node in sent_case.recorder.checks.get(sent_case.case.id, ()):
            check = ENGINE_CHECKS.get(node.name)
            if check is None or not check.applies_to(sent_case):
                continue
            self.completed_checks.add((sent_case.operation.id, check.name))
            if node.status == ScenarioStatus.FAILURE and node.failure_info is not None:
                failure = node.failure_info.failure
                check_exchanges = _check_exchanges(self.transport, sent_case, failure)
                finding = locate_failure(self.transport.session, sent_case, check, failure, check_exchanges)
                if finding is not None:
                    self._add_failure(sent_case, check, finding, failure)

    def _add_failure(self, sent_case: SentCase, check: EngineCheck, finding: Finding, failure: Failure | None) -> None:
        """Record a finding. `failure`: of Schemathesis; None: the finding is one of our response checks."""
        provenance_level = get_provenance(self.transport.session.contract.document, finding.pointer, finding.keyword)
        if not sent_case.is_valid and check.name not in RESPONSE_CHECKS and provenance_level != INFERRED:
            provenance_level = self._rejection_provenance(sent_case.operation)  # a rejection has to be documented too
        head = (check.check_id, sent_case.operation.id, check.requirement, finding.pointer)
        is_independent = check.provenance_independent or finding.provenance_independent
        requirement = Requirement(*head, provenance_level, is_independent, finding.parameter)
        self.completed_checks.add((sent_case.operation.id, check.name))
        chain = build_chain(self.transport, sent_case, failure, None if failure else finding)
        evidence = (*chain.exchanges, *_check_exchanges(self.transport, sent_case, failure))
        requests = [exchange.request for exchange in evidence]
        request_size = sum(len(item.target) + len(str(item.body or item.raw_body or "")) for item in requests)
        existing = self.failures.get(requirement.fingerprint)
        if existing is None or request_size < existing.request_size:
            result = CheckResult(requirement, Status.FAILED, finding.message, evidence)
            self.failures[requirement.fingerprint] = EngineFailure(result, check, chain, request_size)

    def _rejection_provenance(self, operation: Operation) -> str:
        """The provenance of the operation's rejection of invalid requests."""
        rejection_statuses = [status for status in operation.responses if status in INVALID_REQUEST_STATUSES]
        if not rejection_statuses:
            return INFERRED
        pointer = operation.responses[max(rejection_statuses)] or operation.pointer
        return get_provenance(self.transport.session.contract.document, pointer)


def run_operations(
    session: Session,
    operations: Sequence[Operation],
    seed: int,
    depth: Depth,
    seconds_left: Callable[[], float] | None = None,
) -> Iterator[EngineResult]:
    """Implement `conformance.schemathesis_engine.run_engine`."""
    options = {"read_only": session.options.read_only, "effects": session.options.allow_effects}
    reasons = {op.id: get_exclusion_reason(session.contract, op, **options) for op in operations}
    yield from (_skipped_result(op, reason) for op in operations if (reason := reasons[op.id]))
    runnable = [op for op in operations if not reasons[op.id]]
    if not runnable:
        return
    guard = WriteGuard(session)
    transport = CaseTransport(session, guard)
    collector = FailureCollector(transport)
    previous_findings = set(session.responses.findings)
    schema = build_schema(transport, runnable, seed, depth)
    abort_error = _collect_scenarios(collector, schema, seconds_left)
    has_case_expected = "coverage" in depth.phases  # this phase has at least one case for each operation
    yield from _passed_results(collector, runnable, has_case_expected=has_case_expected and abort_error is None)
    if has_case_expected and abort_error is not None:
        yield from _not_reached_results(collector, runnable, str(abort_error) or "interrupted")
    yield from _engine_error_results(collector, runnable)
    guard.max_public_calls *= 2
    for engine_failure in collector.failures.values():
        result = _inconclusive_result(engine_failure, "run aborted before the rerun")
        if abort_error is None:
            try:
                result = _rerun_failure(transport, engine_failure, depth.reruns)
            except (BudgetExhausted, TargetUnreachable, KeyboardInterrupt) as error:
                abort_error = error
        yield result
    # the findings of the engine's traffic are reported above, with reruns
    for finding_key in set(session.responses.findings) - previous_findings:
        del session.responses.findings[finding_key]
    if abort_error is not None:
        raise abort_error


def _collect_scenarios(
    collector: FailureCollector, schema: TransportSchema, seconds_left: Callable[[], float] | None
) -> BaseException | None:
    """Run the engine; return the error that aborted it."""
    try:
        with redirect_hypothesis_files():
            for recorder in run_scenarios(schema, seconds_left):
                collector.collect(recorder)
    except (BudgetExhausted, TargetUnreachable, KeyboardInterrupt) as error:
        collector.transport.abort_error = error if isinstance(error, SuiteError) else BudgetExhausted("interrupted")
        return error
    return None


def _passed_results(
    collector: FailureCollector, runnable: Sequence[Operation], *, has_case_expected: bool
) -> Iterator[EngineResult]:
    """Results of the checks that passed, and of the operations without a case, if each should have one."""
    failed = {(failure.result.requirement.operation, failure.check.name) for failure in collector.failures.values()}
    for operation in runnable:
        check_names = [name for name in ENGINE_CHECKS if (operation.id, name) in collector.completed_checks]
        for check in (ENGINE_CHECKS[name] for name in check_names if (operation.id, name) not in failed):
            requirement = _build_requirement(collector, operation, check)
            yield EngineResult(CheckResult(requirement, Status.PASSED))
        if _is_blocked(collector, operation):
            yield _skipped_result(operation, collector.block_reasons[operation.id])
        elif has_case_expected and not check_names:
            yield _skipped_result(operation, NO_CASE_REASON)


def _not_reached_results(
    collector: FailureCollector, runnable: Sequence[Operation], abort_reason: str
) -> Iterator[EngineResult]:
    """Skipped results of the checks of any response that an aborted run did not reach."""
    reason = not_reached(f"not reached: {abort_reason}")
    for operation in runnable:
        for name in () if _is_blocked(collector, operation) else CHECKS_OF_ANY_CASE:
            if (operation.id, name) not in collector.completed_checks:
                requirement = _build_requirement(collector, operation, ENGINE_CHECKS[name])
                yield EngineResult(CheckResult.skip(requirement, reason), (0, 0))


def _is_blocked(collector: FailureCollector, operation: Operation) -> bool:
    """Whether the cases of an operation were not allowed."""
    return operation.id in collector.block_reasons and operation.id not in collector.successful_operations


def _build_requirement(collector: FailureCollector, operation: Operation, check: EngineCheck) -> Requirement:
    """Return the requirement of a check on an operation as a whole."""
    level = get_provenance(collector.transport.session.contract.document, operation.pointer)
    head = (check.check_id, operation.id, check.requirement, operation.pointer, level)
    return Requirement(*head, check.provenance_independent)


def _engine_error_results(collector: FailureCollector, runnable: Sequence[Operation]) -> Iterator[EngineResult]:
    """Skipped results for the operations on which Schemathesis raised an error."""
    for label, error in collector.transport.engine_errors:
        for operation in runnable:
            if label == f"{operation.method.upper()} {operation.path}":
                yield _skipped_result(operation, f"Schemathesis error: {error!r:.300}", "cases")


def _skipped_result(operation: Operation, reason: SkipReason | str, parameter: str = "") -> EngineResult:
    check = ENGINE_CHECKS["positive_data_acceptance"]
    pointer = f"{operation.pointer}/responses"
    requirement = Requirement(check.check_id, operation.id, check.requirement, pointer, INFERRED, parameter=parameter)
    skip_reason = SkipReason.coerce(reason)
    if operation.is_static and skip_reason.category is SkipCategory.TARGET:
        skip_reason = not_testable(skip_reason.message)
    return EngineResult(CheckResult.skip(requirement, skip_reason), (0, 0))


def _inconclusive_result(engine_failure: EngineFailure, reason: str) -> EngineResult:
    failed = engine_failure.result
    result = replace(failed, status=Status.SKIPPED, message=f"failed once; {reason}: {failed.message}")
    return EngineResult(result, (1, 1))


def _rerun_failure(transport: CaseTransport, failure: EngineFailure, reruns: int) -> EngineResult:
    try:
        failed_reruns = [reproduce_failure(transport, failure.chain, failure.check) for _ in range(reruns)]
    except SkipCheck as error:
        return _inconclusive_result(failure, f"rerun not possible ({error})")
    return EngineResult(failure.result, (1 + sum(failed_reruns), 1 + reruns))


def _check_exchanges(transport: CaseTransport, sent_case: SentCase, failure: Failure | None) -> tuple[Exchange, ...]:
    """The request of the check itself, if the failure is in its response."""
    case_id = failure.case_id if failure is not None else None
    if case_id is None or case_id == sent_case.case.id or case_id not in transport.exchanges:
        return ()
    return (transport.exchanges[case_id],)


def locate_failure(
    session: Session, sent_case: SentCase, check: EngineCheck, failure: Failure, check_exchanges: tuple[Exchange, ...]
) -> Finding | None:
    """Locate a failure; None when the request is valid after all, or the behavior is common."""
    pointer, method = sent_case.operation.pointer, sent_case.case.method
    message = " ".join(failure.message.split())[:300] or failure.title
    if check.name in RESPONSE_CHECKS:
        if sent_case.is_documented() or check.name != "not_a_server_error":
            return None  # reported as a response finding
        return Finding(check.check_id, pointer, None, f"{message} ({sent_case.exchange.response.status})", method)
    if check.name in ("negative_data_rejection", "positive_data_acceptance"):
        return _locate_input_failure(session, sent_case, check)
    if _is_common_behavior(session, sent_case, check, failure, check_exchanges):
        return None
    if check.name in ("unsupported_method", "allow_header_conformance"):
        parameter = method if check.name == "unsupported_method" else "Allow"
        return Finding(check.check_id, f"{pointer}/responses", "*", message, parameter)
    freed_by = failure.free.split()[0] if isinstance(failure, UseAfterFree) else ""
    return Finding(check.check_id, pointer, None, message, freed_by)


def _locate_input_failure(session: Session, sent_case: SentCase, check: EngineCheck) -> Finding | None:
    request, status = sent_case.exchange.request, sent_case.exchange.response.status
    violation = find_violation(session, sent_case.operation, request)
    if check.name == "negative_data_rejection":
        if violation is None:
            return None
        return replace(violation, message=f"{violation.message}; got {status}, expected a rejection")
    if violation is not None or not is_ordinary(request):
        return None
    pointer, message = f"{sent_case.operation.pointer}/responses", f"valid input was rejected with {status}"
    return Finding(check.check_id, pointer, "*", message, str(status))


def _is_common_behavior(
    session: Session, sent_case: SentCase, check: EngineCheck, failure: Failure, check_exchanges: tuple[Exchange, ...]
) -> bool:
    """Whether common servers behave so without violating the contract."""
    if isinstance(failure, AllowHeaderMismatch):
        return not failure.missing_methods  # routers combine the methods of all matching templates
    if check.name == "unsupported_method":
        return _is_other_route(session, sent_case)
    if check.name == "missing_required_header":
        return not sent_case.exchange.response.ok  # rejected for another reason
    if check.name != "ignored_auth":
        return False
    # rejected with another status than 401: covered by our own checks
    return not check_exchanges[-1].response.ok if check_exchanges else _sent_run_token(session, sent_case)


def _sent_run_token(session: Session, sent_case: SentCase) -> bool:
    """Whether a case had the run's bearer token, and that alone authorizes the operation.

    One satisfied alternative is sufficient: a generated header of another scheme does not matter.
    """
    schemes = session.contract.security_schemes
    single_schemes = [alternative[0] for alternative in sent_case.operation.security if len(alternative) == 1]
    accepts_bearer = any(schemes[name].get("scheme") == "bearer" for name in single_schemes)
    return sent_case.exchange.request.actor == Actor.OWNER and accepts_bearer


def _is_other_route(session: Session, sent_case: SentCase) -> bool:
    """Whether another path template of the contract matches the path and has the method."""
    segments = sent_case.operation.path.split("/")
    return any(
        other.method == sent_case.case.method.lower()
        and len(other_segments := other.path.split("/")) == len(segments)
        and all("{" in (a + b) or a == b for a, b in zip(other_segments, segments, strict=True))
        for other in session.contract.operations.values()
    )
