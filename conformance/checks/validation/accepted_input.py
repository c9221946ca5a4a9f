"""Laws on what the contract admits: the extremes of each field and each value of each parameter are taken."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.action_calls import build_action_body, is_action
from conformance.checks.support.bad_requests import (
    build_own_path,
    concerns_field,
    extract_field_errors,
    find_blocking_reason,
    skip_if_blocked,
)
from conformance.checks.support.bad_requests import build_readable_path as path_to_read
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.invalid_values import iter_invalid_values
from conformance.checks.support.listing import REJECTION_STATUSES, is_list
from conformance.checks.support.values import is_create, truncate
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.payloads import attribute_fields
from conformance.transport.messages import Exchange
from spec.document import snake_case
from spec.loader import BodyField, Contract, Operation, Parameter

MAX_TEXT_CHARS = 20_000  # characters that are sent to be as many as may be
MAX_SAFE_INTEGER = 2**53
NON_ASCII_TEXT = "Grüße 世界 👋"
MAX_ROUNDS = 8  # rounds of values for one operation


@dataclass(frozen=True, slots=True)
class BoundaryValue:
    """A value at the edge of what a field admits. `keyword`: of the field's schema; None: the field itself."""

    name: str
    location: tuple[str, str | None]
    label: str
    value: Any

    @property
    def parameter(self) -> str:
        """What tells its promise from others."""
        return f"{self.name} {self.label}"


# Bodies ---------------------------------------------------------------------------------------------------------


def _is_create_or_update(contract: Contract, operation: Operation) -> bool:
    if operation.request_body is None or operation.resource not in contract.resources:
        return False
    return is_create(contract, operation) or operation.action == "update"


def _check_body_values(case: Case) -> Iterator[CheckResult]:
    """Many fields at once, each at an edge; where that is refused, one field at a time."""
    session, operation = case.session, case.operation
    reason = find_blocking_reason(case)
    if reason:
        yield case.skip(case.build_requirement(), reason)
        return
    full_body = session.payloads.build(operation, session.parent) if operation.action != "update" else {}
    path_values: Mapping[str, Any] = {}
    if operation.path_parameter_names:
        path_values = {operation.path_parameter_names[0]: session.create(operation.resource or "").key}
    for boundaries in _iter_batches(
        [list(_iter_boundary_values(case, field)) for field in attribute_fields(operation)]
    ):

        def send(selected: list[BoundaryValue]) -> Exchange:
            return session.send(operation, path=path_values, body={**full_body, **{e.name: e.value for e in selected}})

        yield from _evaluate_accepted(case, boundaries, send)
    for variant in _iter_reference_variants(case):

        def send_variant(selected: list[BoundaryValue], variant: ReferenceVariant = variant) -> Exchange:
            return session.send(operation, path=path_values, body={**full_body, **variant.payload})

        yield from _evaluate_accepted(case, [variant.boundary], send_variant)


@dataclass(frozen=True, slots=True)
class ReferenceVariant:
    """A kind of record that a body may name, and how it names one of the run's."""

    boundary: BoundaryValue
    payload: Mapping[str, Any]


def _iter_reference_variants(case: Case) -> Iterator[ReferenceVariant]:
    """Each kind of record that a field may be about, where the contract says which in another."""
    session, fields = case.session, case.operation.request_body.fields if case.operation.request_body else {}
    for field in fields.values():
        discriminator = fields.get(field.relation_setter.discriminator or "") if field.relation_setter else None
        if field.relation_setter is None or discriminator is None:
            continue
        for resource in session.payloads.find_relation(case.operation, field.relation_setter.relation).targets:
            value = snake_case(resource)
            with suppress(SkipCheck):
                payload = {field.name: session.shared_record(resource).key, discriminator.name: value}
                yield ReferenceVariant(
                    BoundaryValue(discriminator.name, (discriminator.pointer, "enum"), f"enum {value}", value), payload
                )


def _iter_batches(values_by_field: list[list[BoundaryValue]]) -> Iterator[list[BoundaryValue]]:
    """The first edges of all fields, then the second ones ..."""
    for index in range(min(MAX_ROUNDS, max(map(len, values_by_field), default=0))):
        yield [values[index] for values in values_by_field if index < len(values)]


def _evaluate_accepted(case: Case, boundaries: list[BoundaryValue], send: Any) -> Iterator[CheckResult]:
    exchange = send(boundaries)
    for boundary in boundaries:
        single_exchange = exchange if exchange.response.ok or len(boundaries) == 1 else send([boundary])
        status = single_exchange.response.status
        message = (
            f"{boundary.name} as {truncate(boundary.value)} ({boundary.label}) was answered {status}, a success is due"
        )
        requirement = case.build_requirement(*boundary.location, parameter=boundary.parameter)
        if status in REJECTION_STATUSES or status >= 500 or single_exchange.response.ok:
            yield case.build_result(requirement, "" if single_exchange.response.ok else message, single_exchange)
        else:  # forbidden by a state, or what a neighbour did
            yield case.skip(requirement, f"{case.operation.id} answered {status}")


def _iter_boundary_values(case: Case, field: BodyField) -> Iterator[BoundaryValue]:
    """The edges of a field that the contract indeed admits."""
    validator = case.session.schemas.get(field.pointer, "write")
    for label, value in _iter_candidate_values(case, field):
        if validator.is_valid(value):
            yield BoundaryValue(field.name, (field.pointer, label.split()[0]), label, value)


def _iter_candidate_values(case: Case, field: BodyField) -> Iterator[tuple[str, Any]]:
    schema = case.session.payloads.resolve_schema(field.schema)
    json_type = schema.get("type", "object")
    if "enum" in schema:
        yield from ((f"enum {value}", value) for value in schema["enum"] if value is not None)
    elif json_type == "string" and "format" not in schema and "pattern" not in schema:
        yield from _iter_text_boundaries(case, field, schema)
    elif json_type == "boolean":
        yield from (("type true", True), ("type false", False))
    elif json_type in ("integer", "number"):
        yield from (
            (keyword, schema[keyword])
            for keyword in ("minimum", "maximum")
            if abs(schema.get(keyword, MAX_SAFE_INTEGER)) < MAX_SAFE_INTEGER
        )
    elif json_type == "array" and not schema.get("minItems"):
        yield "type empty", []
    yield "nullable", None


def _iter_text_boundaries(case: Case, field: BodyField, schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The shortest and the longest text; the marker stands in each that has room for it."""
    min_length, max_length = int(schema.get("minLength", 0)), int(schema.get("maxLength", MAX_TEXT_CHARS + 1))
    number = case.session.payloads.random.randrange(10**9)
    non_ascii = f"{case.session.payloads.marker} {number} {NON_ASCII_TEXT}"
    if len(non_ascii) <= max_length:
        yield "type beyond ASCII", non_ascii
    if max_length <= MAX_TEXT_CHARS:
        yield "maxLength", f"{case.session.payloads.marker} {number} "[:max_length].strip().ljust(max_length, "x")
    if min_length:
        yield "minLength", str(number).zfill(min_length)[-min_length:]


# Beside what is wrong ---------------------------------------------------------------------------------------------


def _is_validated_action(contract: Contract, operation: Operation) -> bool:
    fields = operation.request_body.fields if operation.request_body else {}
    return is_action(contract, operation) and 422 in operation.responses and len(fields) > 1


def _check_valid_fields_not_reported(case: Case) -> Iterator[CheckResult]:
    """The edges of an action's fields beside one that is wrong, so that nothing is done: that one alone is named."""
    yield from skip_if_blocked(case)
    if find_blocking_reason(case):
        return
    path_values, full_body = build_own_path(case), build_action_body(case.session, case.operation) or {}
    invalid_inputs = list(_iter_invalid_inputs(case))
    fields = case.operation.request_body.fields.values() if case.operation.request_body else ()
    for index, (invalid_name, invalid_part) in enumerate(invalid_inputs[:2]):
        value_fields = [f for f in fields if f.relation_setter is None and f.x_query is None and f.name != invalid_name]
        boundary_fields = [f for f in value_fields if not index or f.name == invalid_inputs[0][0]]
        for boundaries in _iter_batches([list(_iter_boundary_values(case, field)) for field in boundary_fields]):
            valid_part = {
                n: v for n, v in {**full_body, **{e.name: e.value for e in boundaries}}.items() if n != invalid_name
            }
            exchange = case.session.send(case.operation, path=path_values, body={**valid_part, **invalid_part})
            for boundary in boundaries:
                yield _evaluate_not_reported(case, boundary, invalid_name, exchange)


def _iter_invalid_inputs(case: Case) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(field, what is sent of it) that the contract refuses: a required one left out, or another broken."""
    for field in case.operation.request_body.fields.values() if case.operation.request_body else ():
        candidate = next(iter_invalid_values(case, field), None)
        if field.required:
            yield field.name, {}
        elif candidate is not None:
            yield field.name, {field.name: candidate[1]}


def _evaluate_not_reported(case: Case, boundary: BoundaryValue, invalid_name: str, exchange: Exchange) -> CheckResult:
    requirement = case.build_requirement(*boundary.location, parameter=boundary.parameter)
    status = exchange.response.status
    if status != 422:
        return case.skip(requirement, f"{case.operation.id} answered {status} to {invalid_name} that is wrong")
    errors = extract_field_errors(case, exchange) or {}
    is_reported = any(concerns_field(boundary.name, error) for error in errors)
    message = (
        f"{boundary.name} as {truncate(boundary.value)} ({boundary.label}) is called wrong, {invalid_name} alone is"
    )
    return case.build_result(requirement, message if is_reported else "", exchange)


# Parameters -----------------------------------------------------------------------------------------------------


def _is_parameterized_read(contract: Contract, operation: Operation) -> bool:
    """Whether an operation reads, and by choices of a query."""
    has_enum = any("enum" in p.schema.get("items", p.schema) for p in operation.query_parameters)
    return is_list(contract, operation) or (operation.method == "get" and has_enum)


def _check_parameter_values(case: Case) -> Iterator[CheckResult]:
    """Many parameters at once, each with one of its values; where that is refused, one at a time."""
    session, operation = case.session, case.operation
    required_query, path_values = session.required_query(operation), path_to_read(case)
    for boundaries in _iter_batches(
        [list(_iter_parameter_boundaries(parameter)) for parameter in operation.query_parameters]
    ):

        def send(selected: list[BoundaryValue]) -> Exchange:
            return session.send(
                operation, path=path_values, query={**required_query, **{e.name: e.value for e in selected}}
            )

        yield from _evaluate_accepted(case, boundaries, send)


def _iter_parameter_boundaries(parameter: Parameter) -> Iterator[BoundaryValue]:
    schema = parameter.schema
    schema = schema.get("items", schema)
    location = (f"{parameter.pointer}/schema", "enum")
    if schema.get("type") == "boolean":
        yield from (
            BoundaryValue(parameter.name, (location[0], "type"), str(int(flag)), flag) for flag in (True, False)
        )
    for value in schema.get("enum", ()):
        if value not in (None, ""):
            yield BoundaryValue(parameter.name, location, str(value), value)
    if schema.get("type") == "integer":
        for keyword in ("minimum", "maximum"):
            if abs(schema.get(keyword, MAX_SAFE_INTEGER)) < MAX_SAFE_INTEGER:
                yield BoundaryValue(parameter.name, (location[0], keyword), keyword, schema[keyword])


CHECKS: tuple[Check, ...] = (
    Check(
        "valid-parameter-accepted",
        "Every value that the schema of a query parameter allows is accepted.",
        Category.INPUT_VALIDATION,
        _is_parameterized_read,
        _check_parameter_values,
    ),
    Check(
        "valid-body-accepted",
        "Every value that the schema of a body field allows is accepted.",
        Category.INPUT_VALIDATION,
        _is_create_or_update,
        _check_body_values,
        writes=True,
    ),
    Check(
        "valid-field-not-reported",
        "A validation error does not report valid fields.",
        Category.INPUT_VALIDATION,
        _is_validated_action,
        _check_valid_fields_not_reported,
        writes=True,
    ),
)
