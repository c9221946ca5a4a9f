"""Checks of every response of the run: status, media type, schema, and no server error.

They run last: they evaluate the findings of all requests and send one themselves where no success was observed and one
is harmless.
"""

from collections.abc import Iterator

from conformance.checks.support.action_calls import is_action, perform_action
from conformance.checks.support.bad_requests import SAFE_METHODS, build_readable_path, require_allowed
from conformance.checks.support.check import Case, Category, Check, check
from conformance.errors import SkipCategory, SkipCheck, insufficient_data
from conformance.results import CheckResult

STATUS_CHECK_ID = "status-is-documented"


def _check_responses(case: Case) -> Iterator[CheckResult]:
    """Yield the findings on an operation, after a successful call if there was none."""
    reason = insufficient_data("no call succeeded during the run, and another call may change data")
    try:
        has_success = _ensure_success(case)
    except SkipCheck as error:
        has_success, reason = False, error.reason
    has_failed = False
    for (operation, check_id, *_), (finding, exchange) in list(case.session.responses.findings.items()):
        if (operation, check_id) == (case.operation.id, case.check.id):
            has_failed = True
            location, independent = (finding.pointer, finding.keyword), finding.provenance_independent
            parameter = finding.parameter
            requirement = case.build_requirement(*location, parameter, provenance_independent=independent)
            yield case.build_result(requirement, finding.message, exchange)
    if reason.category is SkipCategory.NO_VALID_REQUEST and case.check.id == STATUS_CHECK_ID:
        yield case.skip(case.build_requirement(), reason)
        return
    for pointer, is_observed in () if has_failed else _iter_locations(case, has_success):
        requirement = case.build_requirement(pointer)
        yield case.build_result(requirement, "") if is_observed else case.skip(requirement, reason)


def _iter_locations(case: Case, has_success: bool) -> Iterator[tuple[str, bool]]:
    """Yield (pointer, whether a response was observed there) of the operation or of its response schemas."""
    operation = case.operation
    statuses = {status for name, status in case.session.responses.call_counts if name == operation.id}
    if case.check.id != "response-matches-schema":
        yield operation.pointer, bool(statuses)
        return
    if not has_success and operation.envelope.schema_pointer:
        yield operation.envelope.schema_pointer, False
    yield from ((pointer, True) for s, pointer in operation.responses.items() if s in statuses and pointer)


def _ensure_success(case: Case) -> bool:
    """Return whether the operation succeeded in this run; call it if that is harmless. Raises SkipCheck."""
    session, operation = case.session, case.operation
    if any(session.responses.call_counts[operation.id, status] for status in operation.success_statuses):
        return True
    created_resource = session.contract.find_created_resource(operation)
    if created_resource is not None:
        session.records.shared_record(created_resource)
    elif is_action(session.contract, operation):
        perform_action(case)
    elif operation.has_query_body and not session.options.read_only:
        session.client.send(operation, body=session.payloads.build_any(operation, session.records.parent))
    elif operation.is_static and (operation.method in SAFE_METHODS or session.options.calls_static_writes):
        _call_static(case)
    elif operation.method == "get":
        session.client.send(operation, path=build_readable_path(case), query=session.records.required_query(operation))
    else:
        return False
    return session.responses.call_counts[operation.id, operation.envelope.status] > 0


def _call_static(case: Case) -> None:
    """Send an example to an operation without an action. Raises SkipCheck."""
    require_allowed(case)
    session, operation = case.session, case.operation
    request = session.records.examples.build_request(operation)
    if operation.effects:
        session.client.charge_call(operation)
    session.client.send(operation, path=request.path, query=request.query, body=request.body, headers=request.headers)


def _declare(name: str, requirement: str, *, independent: bool = False) -> Check:
    flags = {"provenance_independent": independent, "reads_all_responses": True}
    return check(name, requirement, Category.RESPONSES, lambda c, o: True, **flags)(_check_responses)


RESPONSE_CHECKS = (
    _declare("no-server-error", "No request causes a server error.", independent=True),
    _declare("no-traceback", "No response exposes internal details such as a stack trace.", independent=True),
    _declare(STATUS_CHECK_ID, "Every response status is documented in the contract."),
    _declare("content-type-is-json", "A response with a body has a JSON content type."),
    _declare("response-matches-schema", "Every response body matches the schema of its status."),
)
