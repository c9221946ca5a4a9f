"""Requests that are to be refused: paths and bodies that harm nobody when a target takes them after all."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.skip_reasons import READ_ONLY, SkipReason, effects_not_allowed
from conformance.transport.messages import Exchange
from spec.loader import Operation

SAFE_METHODS = ("get", "head")


def build_unknown_path(case: Case) -> dict[str, Any]:
    """Values for the operation's path that no record has."""
    resource = case.session.contract.resources.get(case.operation.resource or "")
    number = case.session.payloads.random.randrange(10**9)
    integer = resource is not None and resource.has_integer_key
    value = 2_000_000_000 + number % 10**8 if integer else f"00000000-0000-4000-8000-{number:012d}"
    return dict.fromkeys(case.operation.path_parameter_names, value)


def find_blocking_reason(case: Case) -> SkipReason | None:
    """Why the operation may not be asked in this run, or None: a target may do what it should have refused."""
    operation, session = case.operation, case.session
    if session.read_only and operation.method not in SAFE_METHODS:
        return READ_ONLY
    if operation.effects and not session.allow_effects:
        return effects_not_allowed(operation)
    return None


def build_own_path(case: Case) -> dict[str, Any]:
    """The path of a record of the run. Raises CannotMake."""
    operation = case.operation
    if not operation.path_parameter_names:
        return {}
    if operation.resource not in case.session.contract.resources or len(operation.path_parameter_names) > 1:
        raise SkipCheck("its path names what the contract does not store")
    return {operation.path_parameter_names[0]: case.session.shared_record(operation.resource or "").key}


def build_readable_path(case: Case) -> dict[str, Any]:
    """The path of a record of the run, or else of one that is listed: for reading alone. Raises CannotMake."""
    session, operation, resource = case.session, case.operation, case.operation.resource or ""
    try:
        return build_own_path(case)
    except SkipCheck:
        if resource not in session.contract.resources or len(operation.path_parameter_names) != 1:
            raise
    row = next(session.rows(session.require_operation(resource, "list"), {}, pages=1), None)
    if row is None:
        raise SkipCheck(f"there is no {resource}")
    return {operation.path_parameter_names[0]: session.key_of(resource, row)}


def evaluate_status(case: Case, status: int, exchange: Exchange, parameter: str = "") -> CheckResult:
    """Whether the answer has the status that is due and, where the contract shows one, the body."""
    pointer = case.operation.responses.get(status)
    requirement = case.build_requirement(pointer or case.operation.pointer, None, parameter)
    if exchange.response.status != status:
        return case.build_result(requirement, f"answered {exchange.response.status}, due: {status}", exchange)
    return case.build_result(requirement, find_schema_violation(case, status, exchange), exchange)


def find_schema_violation(case: Case, status: int, exchange: Exchange) -> str:
    """How the body breaks the schema of that status, or ""."""
    pointer = case.operation.responses.get(status)
    if pointer is None:
        return ""
    body = exchange.response.json
    violation = next(iter(case.session.schemas.get(pointer, "read").iter_errors(body)), None)
    if violation is None:
        return ""
    body_path = ".".join(map(str, violation.instance_path)) or "the body"
    return f"{body_path} of {status}: {violation.message[:300]}"


def concerns_field(name: str, error: str) -> bool:
    """Whether an error's key is a field, lies in it, or is an object that holds it."""
    return f"{error}.".startswith(f"{name}.") or f"{name}.".startswith(f"{error}.")


def extract_field_errors(case: Case, exchange: Exchange) -> Mapping[str, Any] | None:
    """The errors by field: what 422's schema maps from names to lists. None: it has no such property."""
    document, pointer = case.session.contract.document, case.operation.responses[422]
    if pointer is None:
        return None
    schema = case.session.payloads.resolve_schema(document.resolve(pointer))
    for name, property_schema in schema.get("properties", {}).items():
        error_schema = case.session.payloads.resolve_schema(property_schema).get("additionalProperties")
        if isinstance(error_schema, dict) and error_schema.get("type") == "array":
            body = exchange.response.json
            errors = body.get(name) if isinstance(body, dict) else None
            return errors if isinstance(errors, dict) else {}
    return None


def build_empty_body(operation: Operation) -> Any:
    """A body with nothing in it, where one is due."""
    return {} if operation.request_body is not None else None


def skip_if_blocked(case: Case) -> Iterator[CheckResult]:
    """One outcome that says why the operation is not asked; none when it may be."""
    reason = find_blocking_reason(case)
    if reason:
        yield case.skip(case.build_requirement(), reason)
