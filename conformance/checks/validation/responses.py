"""Laws on any answer: its status, media type and schema, and no fault of the server.

They come last: they judge what the run has seen of an operation, and ask for a success themselves where one can be had
without harm.
"""

from collections.abc import Callable, Iterator

from conformance.checks.support.action_calls import is_action, perform_action
from conformance.checks.support.bad_requests import build_readable_path
from conformance.checks.support.check import Case, Category, Check
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.skip_reasons import insufficient_data
from spec.loader import Contract, Operation


def _is_any_operation(contract: Contract, operation: Operation) -> bool:
    return True


def _check_responses(case: Case) -> Iterator[CheckResult]:
    """What the run noticed of an operation, after asking for a success if none was seen."""
    try:
        has_success = _ensure_success(case)
    except SkipCheck as error:
        has_success, reason = False, error.reason
    else:
        reason = insufficient_data("no success of it can be asked for without harm")
    has_failed = False
    for (operation, check_id, *_), (finding, exchange) in list(case.session.findings.items()):
        if (operation, check_id) == (case.operation.id, case.check.id):
            has_failed = True
            yield case.build_result(
                case.build_requirement(finding.pointer, finding.keyword, finding.parameter), finding.message, exchange
            )
    for location, is_observed in () if has_failed else _iter_locations(case, has_success):
        yield (
            case.build_result(case.build_requirement(location), "")
            if is_observed
            else case.skip(case.build_requirement(location), reason)
        )


def _iter_locations(case: Case, has_success: bool) -> Iterator[tuple[str, bool]]:
    """Where the promise stands, and whether an answer was seen there: schemas of statuses, or the operation."""
    operation = case.operation
    statuses = {status for name, status in case.session.call_counts if name == operation.id}
    if case.check.id != "response-matches-schema":
        yield operation.pointer, bool(statuses)
        return
    if not has_success and operation.envelope.schema_pointer:
        yield operation.envelope.schema_pointer, False
    yield from ((pointer, True) for s, pointer in operation.responses.items() if s in statuses and pointer)


def _ensure_success(case: Case) -> bool:
    """Whether a success of the operation was seen in this run."""
    session, operation = case.session, case.operation
    if any(name == operation.id and 200 <= status < 300 for name, status in session.call_counts):
        return True
    created_resource = session.contract.find_created_resource(operation)
    if created_resource is not None:
        session.shared_record(created_resource)
    elif is_action(session.contract, operation):
        perform_action(case)
    elif operation.has_query_body and not session.read_only:
        session.send(operation, body=session.payloads.build(operation, session.parent))
    elif operation.method == "get":
        session.send(operation, path=build_readable_path(case), query=session.required_query(operation))
    else:
        return False
    return session.call_counts[operation.id, operation.envelope.status] > 0


def _define_check(
    name: str,
    requirement: str,
    run: Callable[[Case], Iterator[CheckResult]] = _check_responses,
    *,
    provenance_independent: bool = False,
) -> Check:
    return Check(
        name, requirement, Category.RESPONSES, _is_any_operation, run, provenance_independent=provenance_independent
    )


CHECKS = (
    _define_check("no-server-error", "No request causes a server error.", provenance_independent=True),
    _define_check(
        "no-traceback", "No response exposes internal details such as a stack trace.", provenance_independent=True
    ),
    _define_check("status-is-documented", "Every response status is documented in the contract."),
    _define_check("content-type-is-json", "A response with a body has a JSON content type."),
    _define_check("response-matches-schema", "Every response body matches the schema of its status."),
)
