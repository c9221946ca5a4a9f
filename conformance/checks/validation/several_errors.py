"""Check that a validation error reports all invalid fields of a request."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.support import bad_requests
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.invalid_values import iter_invalid_values
from conformance.errors import not_testable
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation

MAX_INVALID_FIELDS = 3


def _applies(contract: Contract, operation: Operation) -> bool:
    return 422 in operation.responses and len(operation.body_fields) > 1


@check(
    "all-invalid-fields-reported",
    "A validation error reports every invalid field, not only the first.",
    Category.INPUT_VALIDATION,
    _applies,
    writes=True,
)
def check_all_fields_reported(case: Case) -> Iterator[CheckResult]:
    """Send several invalid fields at once. A field that is not reported is sent alone: then it must be valid."""
    bad_requests.require_allowed(case)
    session, operation = case.session, case.operation
    path = bad_requests.build_own_path(case)
    valid_body = session.payloads.build(operation, session.records.parent)
    invalid = _find_invalid_values(case)
    requirement = case.build_requirement(operation.responses[422], None, "several fields")
    if len(invalid) < 2:
        return

    def send(values: Mapping[str, Any]) -> Exchange:
        return session.client.send(operation, path=path, body={**valid_body, **values})

    exchange = send(invalid)
    reported = _list_reported(case, exchange, invalid)
    if not reported:
        reason = f"{operation.id} returned {exchange.response.status} without errors by field"
        is_documented = bad_requests.extract_field_errors(case, exchange) is not None
        yield case.skip(requirement, reason if is_documented else not_testable("the contract has no errors by field"))
        return
    missing = [name for name in invalid if name not in reported]
    unreported = [name for name in missing if _list_reported(case, send({name: invalid[name]}), [name])]
    message = f"{', '.join(invalid)} are invalid: got errors for {', '.join(reported)} only" if unreported else ""
    yield case.build_result(requirement, message, exchange)


def _find_invalid_values(case: Case) -> dict[str, Any]:
    """Return one invalid value each of a few fields."""
    values: dict[str, Any] = {}
    for field in case.operation.body_fields.values():
        candidate = next(iter_invalid_values(case, field), None)
        if candidate is not None and len(values) < MAX_INVALID_FIELDS:
            values[field.name] = candidate[1]
    return values


def _list_reported(case: Case, exchange: Exchange, names: Mapping[str, Any] | list[str]) -> list[str]:
    """Return the fields for which a 422 has an error."""
    errors = bad_requests.extract_field_errors(case, exchange) if exchange.response.status == 422 else None
    return [name for name in names if any(bad_requests.concerns_field(name, error) for error in errors or ())]
