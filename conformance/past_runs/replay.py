"""Rerun of one failure of an earlier report in a fresh session.

A check that creates its own records is run again. Failures of response checks and of Schemathesis are reproduced with
the recorded requests, in which identifiers are replaced by those of the new records.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case, Check
from conformance.checks.validation import responses
from conformance.errors import READ_ONLY, SkipCheck, UsageError, effects_not_allowed
from conformance.past_runs.report_reader import ReportedResult
from conformance.results import Status
from conformance.runner.runner import run_check
from conformance.session.session import Session
from conformance.trace.identifiers import replace_identifiers, replace_marker
from conformance.trace.sequence import RequestSequence, TraceStep, value_at
from conformance.transport.messages import Exchange, Request
from spec.document import UNSAFE_METHODS
from spec.model import Operation

MAX_ATTEMPTS = 2  # a state-dependent failure may need the records of the first attempt
RESPONSE_CHECKS = {check.id: check for check in responses.RESPONSE_CHECKS}


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """Result of a replay. `reproduced`: None if inconclusive. `message`: the new failure, or the reason."""

    reproduced: bool | None
    message: str = ""
    evidence: tuple[Exchange, ...] = ()


def replay(
    session: Session, failure: ReportedResult, steps: RequestSequence | None, checks: Mapping[str, Check]
) -> ReplayResult:
    """Rerun a failure. Raises UsageError if the check is unknown and there are no requests; see also `run_check`."""
    check = checks.get(failure.check)
    operation = session.contract.operations[failure.operation]
    if check is not None and (check.id not in RESPONSE_CHECKS or steps is None):
        return _replay_check(Case(check, session, operation), failure)
    if steps is None:
        raise UsageError(f"{failure.id}: unknown check {failure.check!a:.80} without requests (expected a known check)")
    try:
        return _replay_requests(session, operation, failure, steps)
    except SkipCheck as error:
        return ReplayResult(None, str(error))


def _replay_check(case: Case, failure: ReportedResult) -> ReplayResult:
    if not case.check.applies_to(case.session.contract, case.operation):
        return ReplayResult(None, f"{case.check.id} does not apply to {case.operation.id} in this contract")
    if case.check.writes and case.session.options.read_only:
        return ReplayResult(None, READ_ONLY.message)
    reason = ""
    for _ in range(MAX_ATTEMPTS):
        results = list(run_check(case))
        matching = [candidate for candidate in results if candidate.requirement.fingerprint == failure.fingerprint]
        for result in matching:
            if result.status is Status.FAILED:
                return ReplayResult(True, result.message, result.evidence)
        skipped = (result.message for result in matching or results if result.status is Status.SKIPPED)
        reason = next(skipped, "")
    return ReplayResult(None, reason) if reason else ReplayResult(False, "the check passed")


def _replay_requests(
    session: Session, operation: Operation, failure: ReportedResult, steps: RequestSequence
) -> ReplayResult:
    """Send the recorded requests; findings in the responses decide, otherwise the status of the evidence."""
    evidence: list[tuple[TraceStep, Exchange]] = []
    identifiers: dict[str, Any] = {}
    for number, step in enumerate(steps.steps):
        request = replace_identifiers(session.contract, step.request, identifiers.get)
        request = replace_marker(request, steps.marker, session.payloads.marker)
        exchange = _send(session, request, identifiers)
        if step.is_evidence:
            evidence.append((step, exchange))
        elif (200 <= step.status < 300) and not exchange.response.ok:
            return ReplayResult(None, f"{request.operation}: got {exchange.response.status}, expected {step.status}")
        identifiers |= _identifiers_from(steps, number, exchange)
    finding = _find_same_violation(session, operation, failure)
    if finding is not None:
        return finding
    if failure.check in RESPONSE_CHECKS or _is_about_response(operation, failure):
        message = "the responses do not have this violation"
        return ReplayResult(False, message, tuple(exchange for _, exchange in evidence))
    step, exchange = evidence[-1]
    status = exchange.response.status
    return ReplayResult(status == step.status, f"got {status}; {step.status} in the earlier run", (exchange,))


def _send(session: Session, request: Request, identifiers: Mapping[str, Any]) -> Exchange:
    """Send a request; writes only to records that the replay created. Raises SkipCheck."""
    operation = session.contract.operations[request.operation]
    if operation.effects and not session.options.allow_effects and request.method in UNSAFE_METHODS:
        raise SkipCheck(effects_not_allowed(operation))
    own_keys = {str(created.key) for created in session.write_log.created_records}
    known_keys = {str(name) for name in identifiers.values()}
    foreign = [value for value in request.path_values.values() if str(value) in known_keys - own_keys]
    if request.method in UNSAFE_METHODS and foreign:
        raise SkipCheck(f"{operation.id} would write to {foreign[0]}, which the replay did not create")
    return session.client.send(
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
    """Extract the identifiers that later steps need from a response. Raises SkipCheck if one is missing."""
    identifiers = {}
    for name, source in steps.sources.items():
        if source.step == number:
            identifiers[name] = value_at(exchange.response.json, source.path)
            if identifiers[name] is None:
                path = ".".join(map(str, source.path))
                raise SkipCheck(f"the response of {exchange.request.operation} has no identifier at {path}")
    return identifiers


def _find_same_violation(session: Session, operation: Operation, failure: ReportedResult) -> ReplayResult | None:
    """Search the responses of this session for the violation of a reported failure; None if it did not recur.

    The failure of a Schemathesis check about a response matches any violation at its location.
    """
    compares_location = failure.check not in RESPONSE_CHECKS and _is_about_response(operation, failure)
    for (operation_id, name, *_), (finding, exchange) in session.responses.findings.items():
        check = RESPONSE_CHECKS.get(name)
        if check is None or operation_id != operation.id:
            continue
        case = Case(check, session, operation)
        requirement = case.build_requirement(finding.pointer, finding.keyword, finding.parameter)
        is_same_location = compares_location and finding.pointer == failure.pointer
        if is_same_location or requirement.fingerprint == failure.fingerprint:
            return ReplayResult(True, finding.message, (exchange,))
    return None


def _is_about_response(operation: Operation, failure: ReportedResult) -> bool:
    """Return whether a failure concerns the body of a response, so that the status alone does not show it."""
    request_parts = (f"{operation.pointer}/parameters", f"{operation.pointer}/requestBody")
    statuses = (operation.pointer, f"{operation.pointer}/responses")  # failures that concern only the status
    return failure.pointer not in statuses and not failure.pointer.startswith(request_parts)
