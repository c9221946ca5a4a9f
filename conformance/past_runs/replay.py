"""One failure of an earlier report, judged again in a fresh session.

A law is judged anew: it makes by itself what it needs. What any answer may show (a status, a schema, a fault of the
server) and what the engine found is asked again by the requests that the report holds, with the identifiers that the
target gives now.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case, Check
from conformance.checks.validation import responses
from conformance.errors import SkipCheck, UsageError
from conformance.past_runs.report_reader import ReportedFailure
from conformance.results import CheckResult, Status
from conformance.runner.runner import run_check
from conformance.session.session import Session
from conformance.skip_reasons import READ_ONLY, effects_not_allowed
from conformance.trace.identifiers import replace_identifiers, replace_marker
from conformance.trace.sequence import RequestSequence, TraceStep, value_at
from conformance.transport.messages import Exchange, Request
from spec.document import UNSAFE_METHODS
from spec.loader import Operation

MAX_ATTEMPTS = 2  # a failure that depends on the state may need what the first judging leaves behind
RESPONSE_CHECK_IDS = frozenset(law.id for law in responses.CHECKS)


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What became of it. `reproduced`: None when it could not be told, `message` says why; else what was found now."""

    reproduced: bool | None
    message: str = ""
    evidence: tuple[Exchange, ...] = ()


def replay(
    session: Session, failure: ReportedFailure, steps: RequestSequence | None, checks: Mapping[str, Check]
) -> ReplayResult:
    """Judge a failure again. Raises UsageError when neither a law nor requests are known; TargetLost, OutOfBudget."""
    check = checks.get(failure.check)
    operation = session.contract.operations[failure.operation]
    if check is not None and (check.id not in RESPONSE_CHECK_IDS or steps is None):
        return _replay_check(Case(check, session, operation), failure)
    if steps is None:
        raise UsageError(f"{failure.id}: found the law {failure.check!a:.80} and no requests; allowed: a law of ours")
    try:
        return _replay_requests(session, operation, failure, steps)
    except SkipCheck as error:
        return ReplayResult(None, str(error))


def _replay_check(case: Case, failure: ReportedFailure) -> ReplayResult:
    if not case.check.applies_to(case.session.contract, case.operation):
        return ReplayResult(None, f"{case.check.id} is not asked of {case.operation.id} by this contract")
    if case.check.writes and case.session.read_only:
        return ReplayResult(None, READ_ONLY.message)
    reason = ""
    for _ in range(MAX_ATTEMPTS):
        results = list(run_check(case))
        matching = [candidate for candidate in results if candidate.requirement.fingerprint == failure.fingerprint]
        for result in matching:
            if result.status is Status.FAILED:
                return ReplayResult(True, result.message, result.evidence)
        reason = _skip_reason(matching or results)
    return ReplayResult(None, reason) if reason else ReplayResult(False, "the promise is kept")


def _skip_reason(results: list[CheckResult]) -> str:
    return next((result.message for result in results if result.status is Status.SKIPPED), "")


def _replay_requests(
    session: Session, operation: Operation, failure: ReportedFailure, steps: RequestSequence
) -> ReplayResult:
    """Ask again, step by step; the answers' own breaches decide, or else the status of what was shown."""
    evidence: list[tuple[TraceStep, Exchange]] = []
    identifiers: dict[str, Any] = {}
    for number, step in enumerate(steps.steps):
        request = replace_marker(
            replace_identifiers(session.contract, step.request, identifiers), steps.marker, session.payloads.marker
        )
        exchange = _send(session, request, identifiers)
        if step.is_evidence:
            evidence.append((step, exchange))
        elif (200 <= step.status < 300) and not exchange.response.ok:
            return ReplayResult(None, f"{request.operation} answered {exchange.response.status}, {step.status} then")
        identifiers |= _identifiers_from(steps, number, exchange)
    finding = _matching_finding(session, operation, failure)
    if finding is not None:
        return finding
    if failure.check in RESPONSE_CHECK_IDS or _is_about_response(operation, failure):
        return ReplayResult(False, "the answers have no such breach", tuple(exchange for _, exchange in evidence))
    step, exchange = evidence[-1]
    status = exchange.response.status
    return ReplayResult(status == step.status, f"answered {status}, {step.status} then", (exchange,))


def _send(session: Session, request: Request, identifiers: Mapping[str, Any]) -> Exchange:
    """The answer; nothing is written to a record that is not the run's own. Raises CannotMake."""
    operation = session.contract.operations[request.operation]
    if operation.effects and not session.allow_effects and request.method in UNSAFE_METHODS:
        raise SkipCheck(effects_not_allowed(operation))
    own_keys = {str(created.key) for created in session.write_log.created_records}
    known_keys = {str(name) for name in identifiers.values()}
    foreign = [value for value in request.path_values.values() if str(value) in known_keys - own_keys]
    if request.method in UNSAFE_METHODS and foreign:
        raise SkipCheck(f"{operation.id} would write to {foreign[0]}, which the replay did not make")
    return session.send(
        operation,
        path=request.path_values,
        query=request.query,
        body=request.body,
        raw=request.raw_body,
        actor=request.actor,
        headers=request.headers,
        method=request.method,
    )


def _identifiers_from(steps: RequestSequence, number: int, exchange: Exchange) -> dict[str, Any]:
    """The identifiers that later steps need of an answer. Raises CannotMake when it does not show them."""
    identifiers = {}
    for name, source in steps.sources.items():
        if source.step == number:
            identifiers[name] = value_at(exchange.response.json, source.path)
            if identifiers[name] is None:
                path = ".".join(map(str, source.path))
                raise SkipCheck(f"the answer of {exchange.request.operation} shows no identifier at {path}")
    return identifiers


def _matching_finding(session: Session, operation: Operation, failure: ReportedFailure) -> ReplayResult | None:
    """The same breach in one of the answers. The engine's own checks go by the place alone."""
    for (operation_id, name, *_), (finding, exchange) in session.findings.items():
        check = next((check for check in responses.CHECKS if check.id == name), None)
        if check is None or operation_id != operation.id:
            continue
        requirement = Case(check, session, operation).build_requirement(
            finding.pointer, finding.keyword, finding.parameter
        )
        is_same = requirement.fingerprint == failure.fingerprint
        if is_same or (
            failure.check not in RESPONSE_CHECK_IDS
            and _is_about_response(operation, failure)
            and finding.pointer == failure.pointer
        ):
            return ReplayResult(True, finding.message, (exchange,))
    return None


def _is_about_response(operation: Operation, failure: ReportedFailure) -> bool:
    """Whether the place of a failure is what an answer holds, so that its status alone says nothing."""
    request_parts = (f"{operation.pointer}/parameters", f"{operation.pointer}/requestBody")
    statuses = (operation.pointer, f"{operation.pointer}/responses")  # which status, and nothing of its body
    return failure.pointer not in statuses and not failure.pointer.startswith(request_parts)
