"""Requests that the target must reject, harmless if it accepts them, and the evaluation of the error response."""

from collections.abc import Mapping
from typing import Any

from conformance.checks.support.check import Case
from conformance.errors import READ_ONLY, SkipCheck, SkipReason, effects_not_allowed
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Operation

SAFE_METHODS = ("get", "head")


def build_unknown_path(case: Case) -> dict[str, Any]:
    """Build path values that no record has."""
    resource = case.session.contract.resources.get(case.operation.resource or "")
    number = case.session.payloads.random.randrange(10**9)
    integers = {p.name for p in case.operation.parameters if p.location == "path" and p.schema.get("type") == "integer"}
    if resource is not None:
        integers = set(case.operation.path_parameter_names) if resource.has_integer_key else set()
    integer, text = 2_000_000_000 + number % 10**8, f"00000000-0000-4000-8000-{number:012d}"
    return {name: integer if name in integers else text for name in case.operation.path_parameter_names}


def find_blocking_reason(case: Case) -> SkipReason | None:
    """Return why the operation must not be called in this run: a target may accept what it should reject."""
    operation, session = case.operation, case.session
    if session.options.read_only and operation.method not in SAFE_METHODS:
        return READ_ONLY
    if operation.effects and not session.options.allow_effects:
        return effects_not_allowed(operation)
    return None


def require_allowed(case: Case) -> None:
    """Raise SkipCheck if the operation must not be called in this run."""
    reason = find_blocking_reason(case)
    if reason:
        raise SkipCheck(reason)


def build_own_path(case: Case) -> dict[str, Any]:
    """Build the path of a record that the run created. Raises SkipCheck."""
    operation = case.operation
    if not operation.path_parameter_names:
        return {}
    if operation.resource not in case.session.contract.resources or len(operation.path_parameter_names) > 1:
        raise SkipCheck("the path does not identify a resource")
    return {operation.path_parameter_names[0]: case.session.records.shared_record(operation.resource or "").key}


def build_readable_path(case: Case) -> dict[str, Any]:
    """Build the path of a record of the run, or else of a listed record, for reading only. Raises SkipCheck.

    Operations without an action get the examples of the contract.
    """
    session, operation, resource = case.session, case.operation, case.operation.resource or ""
    if operation.is_static:
        return session.records.examples.encode_parameters(operation, "path")
    try:
        return build_own_path(case)
    except SkipCheck:
        if resource not in session.contract.resources or len(operation.path_parameter_names) != 1:
            raise
    row = next(session.records.rows(session.operations.require(resource, "list"), {}, pages=1), None)
    if row is None:
        raise SkipCheck(f"the list of {resource} is empty")
    return {operation.path_parameter_names[0]: session.operations.key_of(resource, row)}


def evaluate_status(case: Case, status: int, exchange: Exchange, parameter: str = "") -> CheckResult:
    """Evaluate whether a response has the expected status and its documented body."""
    requirement = case.build_requirement(case.operation.responses.get(status), None, parameter)
    if exchange.response.status != status:
        return case.build_result(requirement, f"got {exchange.response.status}, expected {status}", exchange)
    return case.build_result(requirement, find_schema_violation(case, status, exchange), exchange)


def find_schema_violation(case: Case, status: int, exchange: Exchange) -> str:
    """Describe the first schema violation of the body for that status; "" if there is none."""
    pointer = case.operation.responses.get(status)
    if pointer is None:
        return ""
    violation = next(iter(case.session.schemas.get(pointer, "read").iter_errors(exchange.response.json)), None)
    if violation is None:
        return ""
    body_path = ".".join(map(str, violation.instance_path)) or "the body"
    return f"{body_path} of {status}: {violation.message[:300]}"


def concerns_field(name: str, error: str) -> bool:
    """Return whether an error key is the field, a part of it or an object that contains it."""
    return f"{error}.".startswith(f"{name}.") or f"{name}.".startswith(f"{error}.")


def extract_field_errors(case: Case, exchange: Exchange) -> Mapping[str, Any] | None:
    """Return the errors by field: the property of the 422 schema that maps names to lists. None without one."""
    pointer = case.operation.responses[422]
    if pointer is None:
        return None
    resolve = case.session.payloads.resolve_schema
    for name, schema in resolve(case.session.contract.document.resolve(pointer)).get("properties", {}).items():
        error_schema = resolve(schema).get("additionalProperties")
        if isinstance(error_schema, dict) and error_schema.get("type") == "array":
            body = exchange.response.json
            errors = body.get(name) if isinstance(body, dict) else None
            return errors if isinstance(errors, dict) else {}
    return None


def build_empty_body(operation: Operation) -> Any:
    """Build an empty body for an operation that has one."""
    return {} if operation.request_body is not None else None
