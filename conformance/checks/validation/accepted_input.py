"""Checks of valid input: boundary values of each body field and all values of each query parameter are accepted."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from conformance.checks.support import bad_requests
from conformance.checks.support.action_calls import build_action_body, is_action
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.invalid_values import iter_invalid_values
from conformance.checks.support.listing import REJECTION_STATUSES, is_list
from conformance.checks.support.values import dereference_schema, is_create, truncate
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from conformance.session.payloads import attribute_fields
from conformance.transport.messages import Exchange
from spec.document import escape, snake_case
from spec.model import BodyField, Contract, Operation, Parameter

MAX_TEXT_CHARS = 20_000  # characters of a text with its maximum length
MAX_SAFE_INTEGER = 2**53
NON_ASCII_TEXT = "Grüße 世界 👋"
WIDE_CHARACTER = "👍"  # of four bytes in UTF-8
MAX_ROUNDS = 12  # requests with values for all fields of one operation
MAX_NESTED_DEPTH = 3  # of objects in objects


@dataclass(frozen=True, slots=True)
class BoundaryValue:
    """A boundary value of a field. `location`: pointer and keyword (None: the field itself)."""

    name: str
    location: tuple[str, str | None]
    label: str
    value: Any

    @property
    def parameter(self) -> str:
        """The `parameter` of its requirement."""
        return f"{self.name} {self.label}"

    def __str__(self) -> str:
        return f"{self.name} {truncate(self.value)} ({self.label})"


Send = Callable[[list[BoundaryValue]], Exchange]


# Bodies


@check(
    "valid-body-accepted",
    "Every value that the schema of a body field allows is accepted.",
    Category.INPUT_VALIDATION,
    lambda c, o: o.request_body is not None and o.resource in c.resources and (is_create(c, o) or o.action == "update"),
    writes=True,
)
def check_body_values(case: Case) -> Iterator[CheckResult]:
    """Send boundary values of many fields at once; if rejected, one field at a time."""
    session, operation = case.session, case.operation
    bad_requests.require_allowed(case)
    needs_fields = operation.action != "update" or session.payloads.missing_fields(operation, {})
    full_body = session.payloads.build(operation, session.records.parent) if needs_fields else {}
    path: Mapping[str, Any] = {}
    if operation.path_parameter_names:
        path = {operation.path_parameter_names[0]: session.records.create(operation.resource or "").key}

    def send(selected: list[BoundaryValue]) -> Exchange:
        return session.client.send(operation, path=path, body={**full_body, **{e.name: e.value for e in selected}})

    def send_variant(payload: Mapping[str, Any], selected: list[BoundaryValue]) -> Exchange:
        # Without a selected value: the same request with the record that it refers to otherwise.
        return session.client.send(operation, path=path, body={**full_body, **(payload if selected else {})})

    fields = attribute_fields(operation)
    for batch in _iter_batches([[*_iter_boundary_values(case, f), *_iter_nested_enums(case, f)] for f in fields]):
        yield from _evaluate_accepted(case, batch, send)
    for boundary, payload in _iter_reference_variants(case):
        yield from _evaluate_accepted(case, [boundary], partial(send_variant, payload))


def _iter_reference_variants(case: Case) -> Iterator[tuple[BoundaryValue, Mapping[str, Any]]]:
    """Yield (value of the discriminator, body fields) for each resource that a polymorphic reference may target."""
    session, fields = case.session, case.operation.body_fields
    for field in fields.values():
        discriminator = fields.get(field.relation_setter.discriminator or "") if field.relation_setter else None
        if field.relation_setter is None or discriminator is None:
            continue
        for resource in session.payloads.find_relation(case.operation, field.relation_setter.relation).targets:
            value = snake_case(resource)
            location = (discriminator.pointer, "enum")
            with suppress(SkipCheck):
                payload = {field.name: session.records.shared_record(resource).key, discriminator.name: value}
                yield BoundaryValue(discriminator.name, location, f"enum {value}", value), payload


def _iter_batches(values_by_field: list[list[BoundaryValue]]) -> Iterator[list[BoundaryValue]]:
    """Yield the first value of each field, then the second of each, up to `MAX_ROUNDS`."""
    for index in range(min(MAX_ROUNDS, max(map(len, values_by_field), default=0))):
        yield [values[index] for values in values_by_field if index < len(values)]


def _evaluate_accepted(case: Case, batch: list[BoundaryValue], send: Send) -> Iterator[CheckResult]:
    """Send values, together or one by one. A value is rejected if the same request succeeds without it."""
    batch_exchange = send(batch)
    base_status = None if batch_exchange.response.ok else send([]).response.status
    fails_without = base_status is not None and not 200 <= base_status < 300
    for boundary in batch:
        requirement = case.build_requirement(*boundary.location, parameter=boundary.parameter)
        if fails_without:
            yield case.skip(
                requirement, insufficient_data(f"the request fails without the value too: got {base_status}")
            )
            continue
        exchange = batch_exchange if batch_exchange.response.ok or len(batch) == 1 else send([boundary])
        status, ok = exchange.response.status, exchange.response.ok
        if status in REJECTION_STATUSES or status >= 500 or ok:
            failure = "" if ok else f"{boundary}: got {status}, expected a success"
            yield case.build_result(requirement, failure, exchange)
        else:  # forbidden by a state or by another field
            yield case.skip(requirement, f"{case.operation.id} returned {status}")


def _iter_boundary_values(case: Case, field: BodyField) -> Iterator[BoundaryValue]:
    """Yield the boundary values of a field that its schema allows."""
    validator = case.session.schemas.get_field(field, "write")
    for label, value in _iter_candidate_values(case, field):
        if validator.is_valid(value):
            yield BoundaryValue(field.name, (field.pointer, label.split()[0]), label, value)


def _iter_candidate_values(case: Case, field: BodyField) -> Iterator[tuple[str, Any]]:
    schema = case.session.payloads.resolve_schema(field.schema)
    json_type = schema.get("type", "object")
    if "enum" in schema:
        yield from ((f"enum {value}", value) for value in schema["enum"] if value is not None)
    elif json_type == "string" and "format" not in schema and "pattern" not in schema:
        yield from _iter_text_boundaries(case, schema)
    elif json_type == "boolean":
        yield from (("type true", True), ("type false", False))
    elif json_type in ("integer", "number"):
        yield from _iter_bounds(schema)
    elif json_type == "array" and not schema.get("minItems"):
        yield "type empty", []
    yield "nullable", None


def _iter_nested_enums(case: Case, field: BodyField) -> Iterator[BoundaryValue]:
    """Yield objects with each value of an enum at any depth, and otherwise only with the properties they require."""
    validator, document = case.session.schemas.get_field(field, "write"), case.session.contract.document

    def visit(pointer: str, path: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...], Any]]:
        schema, resolved = dereference_schema(document, pointer)
        if path and "enum" in schema:
            yield from ((resolved, path, value) for value in schema["enum"] if value is not None)
        for name in schema.get("properties", {}) if len(path) < MAX_NESTED_DEPTH else ():
            yield from visit(f"{resolved}/properties/{escape(name)}", (*path, name))

    for pointer, path, value in visit(field.pointer, ()):
        body = _set_nested(case, field.pointer, path, value)
        if validator.is_valid(body):
            yield BoundaryValue(field.name, (pointer, "enum"), f"enum {'.'.join(path)}={value}", body)


def _set_nested(case: Case, pointer: str, path: tuple[str, ...], value: Any) -> Any:
    """Return an object with a value at a path."""
    if not path:
        return value
    schema, resolved = dereference_schema(case.session.contract.document, pointer)
    nested = _set_nested(case, f"{resolved}/properties/{escape(path[0])}", path[1:], value)
    return {**case.session.payloads.generate_value(schema, path[0]), path[0]: nested}


def _iter_bounds(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for keyword in ("minimum", "maximum"):
        if abs(schema.get(keyword, MAX_SAFE_INTEGER)) < MAX_SAFE_INTEGER:
            yield keyword, schema[keyword]


def _iter_text_boundaries(case: Case, schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a non-ASCII, the longest and the shortest text, with the marker of the run if there is room for it."""
    min_length, max_length = int(schema.get("minLength", 0)), int(schema.get("maxLength", MAX_TEXT_CHARS + 1))
    number = case.session.payloads.random.randrange(10**9)
    non_ascii = f"{case.session.payloads.marker} {number} {NON_ASCII_TEXT}"
    if len(non_ascii) <= max_length:
        yield "type beyond ASCII", non_ascii
    if max_length <= MAX_TEXT_CHARS:
        longest = f"{case.session.payloads.marker} {number} "[:max_length].strip()
        yield "maxLength", longest.ljust(max_length, "x")
        yield "maxLength in characters", longest.ljust(max_length, WIDE_CHARACTER)
    if min_length:
        yield "minLength", str(number).zfill(min_length)[-min_length:]


# Valid fields in an invalid request


@check(
    "valid-field-not-reported",
    "A validation error does not report valid fields.",
    Category.INPUT_VALIDATION,
    lambda c, o: is_action(c, o) and 422 in o.responses and len(o.body_fields) > 1,
    writes=True,
)
def check_valid_fields_not_reported(case: Case) -> Iterator[CheckResult]:
    """Send boundary values with one invalid field, so that the action is not performed: only that field is reported."""
    bad_requests.require_allowed(case)
    path, full_body = bad_requests.build_own_path(case), build_action_body(case.session, case.operation) or {}
    invalid_inputs = list(_iter_invalid_inputs(case))
    for index, (invalid_name, invalid_part) in enumerate(invalid_inputs[:2]):
        fields = [f for f in case.operation.body_fields.values() if f.relation_setter is None and f.x_query is None]
        fields = [f for f in fields if f.name != invalid_name and (not index or f.name == invalid_inputs[0][0])]
        for batch in _iter_batches([list(_iter_boundary_values(case, field)) for field in fields]):
            body = {**full_body, **{e.name: e.value for e in batch}}
            body.pop(invalid_name, None)
            exchange = case.session.client.send(case.operation, path=path, body={**body, **invalid_part})
            for boundary in batch:
                yield _evaluate_not_reported(case, boundary, invalid_name, exchange)


def _iter_invalid_inputs(case: Case) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (field, invalid part of the body): nothing for a required field, an invalid value for any other."""
    for field in case.operation.body_fields.values():
        candidate = next(iter_invalid_values(case, field), None)
        if field.required:
            yield field.name, {}
        elif candidate is not None:
            yield field.name, {field.name: candidate[1]}


def _evaluate_not_reported(case: Case, boundary: BoundaryValue, invalid_name: str, exchange: Exchange) -> CheckResult:
    requirement = case.build_requirement(*boundary.location, parameter=boundary.parameter)
    status = exchange.response.status
    if status != 422:
        return case.skip(requirement, f"{case.operation.id} returned {status} for an invalid {invalid_name}")
    errors = bad_requests.extract_field_errors(case, exchange) or {}
    is_reported = any(bad_requests.concerns_field(boundary.name, error) for error in errors)
    failure = f"got an error for {boundary}, expected only one for {invalid_name}" if is_reported else ""
    return case.build_result(requirement, failure, exchange)


# Query parameters


def _is_parameterized_read(contract: Contract, operation: Operation) -> bool:
    has_enum = any("enum" in p.schema.get("items", p.schema) for p in operation.query_parameters)
    return is_list(contract, operation) or (operation.method == "get" and has_enum)


@check(
    "valid-parameter-accepted",
    "Every value that the schema of a query parameter allows is accepted.",
    Category.INPUT_VALIDATION,
    _is_parameterized_read,
)
def check_parameter_values(case: Case) -> Iterator[CheckResult]:
    """Send values of many parameters at once; if rejected, one parameter at a time."""
    session, operation = case.session, case.operation
    required_query, path = session.records.required_query(operation), bad_requests.build_readable_path(case)

    def send(selected: list[BoundaryValue]) -> Exchange:
        query = {**required_query, **{e.name: e.value for e in selected}}
        return session.client.send(operation, path=path, query=query)

    for batch in _iter_batches([list(_iter_parameter_values(parameter)) for parameter in operation.query_parameters]):
        yield from _evaluate_accepted(case, batch, send)


def _iter_parameter_values(parameter: Parameter) -> Iterator[BoundaryValue]:
    name, pointer = parameter.name, parameter.schema_pointer
    schema = parameter.schema.get("items", parameter.schema)
    if schema.get("type") == "boolean":
        yield from (BoundaryValue(name, (pointer, "type"), str(int(flag)), flag) for flag in (True, False))
    for value in schema.get("enum", ()):
        if value not in (None, ""):
            yield BoundaryValue(name, (pointer, "enum"), str(value), value)
    if schema.get("type") == "integer":
        for keyword, value in _iter_bounds(schema):
            yield BoundaryValue(name, (pointer, keyword), keyword, value)
