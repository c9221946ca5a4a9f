"""Checks of invalid input: one invalid field or parameter per request, reported by name in a 422 response."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from conformance.checks.support import bad_requests
from conformance.checks.support.action_calls import is_action, perform_action
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.invalid_values import iter_invalid_nested_values, iter_invalid_values
from conformance.checks.support.values import dereference_schema, select_least_certain, truncate
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation

VALUE_KEYWORDS = ("enum", "minimum", "maximum", "minLength", "maxLength", "required")
UNKNOWN_PROPERTY = "conformance_unknown"
VIOLATION_STATUSES = (422, 400)
INVALID_QUERY_VALUES: Mapping[str, str] = {"integer": "not-a-number", "number": "not-a-number", "boolean": "maybe"}


@check(
    "invalid-field-is-422",
    "A body field that violates its schema returns 422 with an error for that field.",
    Category.INPUT_VALIDATION,
    lambda c, o: o.request_body is not None and 422 in o.responses,
    writes=True,
)
def check_invalid_fields(case: Case) -> Iterator[CheckResult]:
    """Omit each required field, then violate each keyword of each field."""
    bad_requests.require_allowed(case)
    session, operation = case.session, case.operation
    assert operation.request_body is not None
    if operation.effects and is_action(session.contract, operation):
        with suppress(SkipCheck):  # first: a target may accept an invalid request, and effects are limited to one call
            perform_action(case)
    full_body = session.payloads.build(operation, session.records.parent)
    path_values = bad_requests.build_own_path(case)
    for field in operation.request_body.fields.values():
        if field.required:
            body = {name: value for name, value in full_body.items() if name != field.name}
            exchange = session.client.send(operation, path=path_values, body=body)
            pointer = operation.request_body.pointer
            yield _evaluate_rejection(case, (pointer, "required"), field.name, "omitted", exchange)
        own = ((field.name, field.pointer, keyword, value) for keyword, value in iter_invalid_values(case, field))
        for name, pointer, keyword, value in (*own, *iter_invalid_nested_values(case, field)):
            exchange = session.client.send(operation, path=path_values, body={**full_body, field.name: value})
            yield _evaluate_rejection(case, (pointer, keyword), name, truncate(value), exchange)


def _evaluate_rejection(
    case: Case, location: tuple[str, str], name: str, description: str, exchange: Exchange
) -> CheckResult:
    """Evaluate whether a response is a 422 as documented with an error for the field.

    `location`: pointer and keyword that the request violates. `description`: the value that was sent.
    """
    keyword, status = location[1], exchange.response.status
    rejection = (case.operation.responses[422] or case.operation.pointer, None)
    # The value violates the contract, whatever the status of a rejection.
    is_accepted_violation = exchange.response.ok and keyword in VALUE_KEYWORDS
    least_certain = location if is_accepted_violation else select_least_certain(case, location, rejection)
    requirement = case.build_requirement(*least_certain, parameter=f"{name} {keyword}")
    if status != 422:
        return case.build_result(requirement, f"{name} {description} ({keyword}): got {status}, expected 422", exchange)
    message = bad_requests.find_schema_violation(case, 422, exchange)
    errors = bad_requests.extract_field_errors(case, exchange)
    if not message and errors is not None and not any(bad_requests.concerns_field(name, error) for error in errors):
        reported = ", ".join(sorted(errors)) or "no field"
        message = f"{name} {description} ({keyword}): got an error for {reported}, expected {name}"
    return case.build_result(requirement, message, exchange)


def _forbids_unknown_properties(contract: Contract, operation: Operation) -> bool:
    """Whether the schema of the request body is closed, and the operation documents the status of a violation."""
    body = operation.request_body
    if body is None or operation.effects or not any(status in operation.responses for status in VIOLATION_STATUSES):
        return False
    schema, _ = dereference_schema(contract.document, body.pointer)
    return schema.get("additionalProperties") is False


@check(
    "unknown-property-is-refused",
    "A body with a property that its closed schema does not have is refused.",
    Category.INPUT_VALIDATION,
    _forbids_unknown_properties,
    writes=True,
)
def check_unknown_property(case: Case) -> Iterator[CheckResult]:
    """Send a valid body with a further property, after one without it."""
    bad_requests.require_allowed(case)
    session, operation = case.session, case.operation
    assert operation.request_body is not None
    path = bad_requests.build_own_path(case)
    body = session.payloads.build(operation, session.records.parent)
    if not session.client.send(operation, path=path, body=body).response.ok:
        raise SkipCheck("the request fails without the property too")
    exchange = session.client.send(operation, path=path, body={**body, UNKNOWN_PROPERTY: "1"})
    status = exchange.response.status
    expected = " or ".join(str(status) for status in VIOLATION_STATUSES if status in operation.responses)
    message = "" if status in VIOLATION_STATUSES else f"{UNKNOWN_PROPERTY}: got {status}, expected {expected}"
    _, pointer = dereference_schema(session.contract.document, operation.request_body.pointer)
    yield case.build_result(case.build_requirement(pointer, "additionalProperties"), message, exchange)


@check(
    "invalid-parameter-is-422",
    "A query parameter that violates its schema returns 422 with an error for that parameter.",
    Category.INPUT_VALIDATION,
    lambda c, o: o.method in bad_requests.SAFE_METHODS and 422 in o.responses and bool(o.query_parameters),
)
def check_invalid_parameters(case: Case) -> Iterator[CheckResult]:
    """Send each parameter with a value of another type, outside its enum or outside its bounds."""
    session, operation = case.session, case.operation
    path_values, required_query = bad_requests.build_readable_path(case), session.records.required_query(operation)
    for parameter in operation.query_parameters:
        schema, pointer = parameter.schema, parameter.schema_pointer
        if schema.get("type") == "array":
            schema, pointer = session.payloads.resolve_schema(schema.get("items", {})), f"{pointer}/items"
        for keyword, value in _iter_invalid_query_values(schema):
            query = {**required_query, parameter.name: value}
            exchange = session.client.send(operation, path=path_values, query=query)
            yield _evaluate_rejection(case, (pointer, keyword), parameter.name, truncate(value), exchange)


def _iter_invalid_query_values(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    json_type = str(schema.get("type"))
    if "enum" in schema and json_type == "string":
        yield "enum", "no-such-choice"
    elif json_type in INVALID_QUERY_VALUES:
        yield "type", INVALID_QUERY_VALUES[json_type]
    elif schema.get("format") in ("date", "date-time"):
        yield "format", "not-a-date"
    if json_type == "integer" and "minimum" in schema:
        yield "minimum", int(schema["minimum"]) - 1
    if json_type == "integer" and schema.get("maximum", 2**53) < 2**53:
        yield "maximum", int(schema["maximum"]) + 1
