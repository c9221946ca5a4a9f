"""Mutants that accept invalid input, keyword by keyword, or reject valid input."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, remove_parameters, stateless
from conformance.mutation.mutant import Mutant, sample
from conformance.mutation.triggers import OMITTED, trigger_field_values, trigger_parameter_values
from conformance.session.payloads import PayloadFactory
from spec.document import snake_case
from spec.model import BodyField, Contract, Operation, Parameter
from spec.validators import SchemaValidators

MAX_MUTANTS_PER_OPERATION = 5  # of each kind
MAX_TESTED_LENGTH = 20_000


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Derive the mutants of every operation with a body or query parameters."""
    schemas = SchemaValidators.from_document(contract.document)
    bodies = PayloadFactory(contract, "conformance", Random(0))
    for operation in contract.operations.values():
        accepting = _derive_accept_invalid_mutants(schemas, bodies, operation)
        yield from sample(accepting, MAX_MUTANTS_PER_OPERATION, "taken", operation.id)
        rejecting = _derive_reject_valid_mutants(bodies, operation)
        yield from sample(rejecting, MAX_MUTANTS_PER_OPERATION, "refused", operation.id)
        for parameter in operation.query_parameters:
            yield from _derive_parameter_mutants(bodies, operation, parameter)


# Invalid input is accepted


@dataclass(slots=True)
class AcceptInvalidField:
    """Accepts a body whose only violation is one keyword of one field, with a valid value for that field."""

    schemas: SchemaValidators
    body_pointer: str
    field_name: str
    keyword: str
    valid_value: Any
    last_valid_body: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        body = request.json
        response = await call_next(request)
        if not isinstance(body, dict):
            return response
        if response.is_success:
            self.last_valid_body = {**self.last_valid_body, **body}
        valid_value = self.last_valid_body.get(self.field_name, self.valid_value)
        if response.status != 422 or not self._is_only_violation(body) or valid_value is OMITTED:
            return response
        return await call_next(request.with_json({**body, self.field_name: valid_value}))

    def _is_only_violation(self, body: Mapping[str, Any]) -> bool:
        errors = list(self.schemas.get(self.body_pointer, "write").iter_errors(body))
        if self.keyword == "required":
            return self.field_name not in body and [error.schema_path[-1] for error in errors] == ["required"]
        return bool(errors) and all(e.instance_path[:1] == [self.field_name] and self._violates(e) for e in errors)

    def _violates(self, error: Any) -> bool:
        violated_keyword = str(error.schema_path[-1])
        return violated_keyword == self.keyword or (self.keyword == "nullable" and error.instance is None)


def _derive_accept_invalid_mutants(
    schemas: SchemaValidators, bodies: PayloadFactory, operation: Operation
) -> Iterator[Mutant]:
    body = operation.request_body
    for body_field in body.fields.values() if body else ():
        is_reference, name = body_field.relation_setter is not None, body_field.name
        valid_value = OMITTED if is_reference else bodies.generate_value(body_field.schema, name)
        for keyword, value in generate_invalid_values(bodies, body_field):
            pointer, requirement = body.pointer if body else "", f"A body that violates {keyword} is rejected."
            make_fault = partial(AcceptInvalidField, schemas, pointer, name, keyword, valid_value)
            detail = f"{name} without {keyword}"
            yield _build_mutant(operation, "validation", detail, requirement, make_fault, body_field, value, keyword)


def generate_invalid_values(bodies: PayloadFactory, body_field: BodyField) -> Iterator[tuple[str, Any]]:
    """Generate (keyword, value that violates it) for a body field."""
    schema = bodies.resolve_schema(body_field.schema)
    type_name = schema.get("type", "object")
    if body_field.required:
        yield "required", OMITTED
    if not _is_nullable(bodies, body_field.schema):
        yield "nullable", None
    if type_name != "object" or "properties" in schema:
        yield "type", _WRONG_TYPE_VALUES.get(type_name, "a text")
    if "enum" in schema:
        yield "enum", "conformance-unknown"
    elif type_name == "string":
        yield from _invalid_texts(schema)
    else:
        yield from _invalid_numbers(schema)


_WRONG_TYPE_VALUES = {"string": 7, "boolean": "perhaps"}


def _invalid_texts(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if schema.get("format") in ("uuid", "date-time", "date", "uri", "email"):
        yield "format", "of no such format"
        return
    if schema.get("maxLength", MAX_TESTED_LENGTH) < MAX_TESTED_LENGTH:
        yield "maxLength", "x" * (schema["maxLength"] + 1)
    if schema.get("minLength", 0) > 0:
        yield "minLength", "x" * (schema["minLength"] - 1)


def _invalid_numbers(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if "minimum" in schema:
        yield "minimum", schema["minimum"] - 1
    if schema.get("maximum", 2**53) < 2**53:
        yield "maximum", schema["maximum"] + 1


def _is_nullable(bodies: PayloadFactory, schema: Mapping[str, Any]) -> bool:
    resolved = bodies.resolve_schema(schema)
    alternatives = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    return any(candidate.get("nullable") is True for candidate in (schema, resolved, *alternatives))


def _build_mutant(
    operation: Operation,
    family: str,
    detail: str,
    requirement: str,
    make_fault: MakeFault,
    body_field: BodyField,
    value: Any,
    keyword: str,
) -> Mutant:
    head = (family, operation.id, detail, requirement, body_field.pointer)
    trigger = partial(trigger_field_values, name=body_field.name, values=(value,))
    support = _rejection_location(operation) if family == "validation" else ()
    return Mutant(*head, make_fault, trigger, keyword, supporting_locations=support)


def _rejection_location(operation: Operation) -> tuple[tuple[str, str | None], ...]:
    """The location of an operation's 422 response."""
    return ((operation.responses.get(422) or operation.pointer, None),)


# Valid input is rejected


def _derive_reject_valid_mutants(bodies: PayloadFactory, operation: Operation) -> Iterator[Mutant]:
    for body_field in operation.request_body.fields.values() if operation.request_body else ():
        if body_field.relation_setter is not None or body_field.x_query is not None:
            continue
        for label, value in generate_boundary_values(bodies, body_field):
            make_fault = stateless(_reject_value(body_field.name, value))
            detail, requirement = f"{body_field.name} {label}", "Valid input is accepted."
            keyword = _BOUNDARY_KEYWORDS.get(label, "enum")
            yield _build_mutant(operation, "valid-refused", detail, requirement, make_fault, body_field, value, keyword)


def generate_boundary_values(bodies: PayloadFactory, body_field: BodyField) -> Iterator[tuple[str, Any]]:
    """Generate (label, valid value at the bounds of a body field)."""
    schema = bodies.resolve_schema(body_field.schema)
    is_free_text = schema.get("type") == "string" and not {"enum", "format", "pattern"} & schema.keys()
    if _is_nullable(bodies, body_field.schema) and not body_field.required:
        yield "null", None
    for choice in schema.get("enum", ())[-1:]:
        yield f"of {choice}", choice
    if is_free_text and schema.get("maxLength", MAX_TESTED_LENGTH) <= 1_000:
        yield "as long as may be", "x" * schema["maxLength"]
    if is_free_text:
        yield "beyond ASCII", "Grüße 世界 👋"
    if schema.get("type") == "integer" and "maximum" in schema and schema["maximum"] < 2**31:
        yield "as large as may be", schema["maximum"]


_BOUNDARY_KEYWORDS = {
    "null": "nullable",
    "beyond ASCII": "type",
    "as long as may be": "maxLength",
    "as large as may be": "maximum",
}  # label -> keyword; the others are values of an enum


def _reject_value(name: str, value: Any) -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        body = request.json
        if isinstance(body, dict) and name in body and _is_same_kind(body[name], value):
            return validation_error_response(name)
        return await call_next(request)

    return fault


def _is_same_kind(sent_value: Any, value: Any) -> bool:
    """Whether a value is of the rejected kind: equal, of the same length, or also not ASCII."""
    if isinstance(value, str) and isinstance(sent_value, str) and not value.isascii():
        return not sent_value.isascii()
    if isinstance(value, str) and isinstance(sent_value, str) and set(value) == {"x"}:
        return len(sent_value) == len(value)
    return type(sent_value) is type(value) and bool(sent_value == value)


def validation_error_response(name: str) -> InterceptedResponse:
    """Build a documented 422 response."""
    message = f"The {snake_case(name).replace('_', ' ')} field is invalid."
    headers = {"content-type": "application/json"}
    return InterceptedResponse(422, headers, b"").with_json({"message": message, "errors": {name: [message]}})


# Query parameters


def _derive_parameter_mutants(bodies: PayloadFactory, operation: Operation, parameter: Parameter) -> Iterator[Mutant]:
    schema = bodies.resolve_schema(parameter.schema)
    items = bodies.resolve_schema(schema.get("items", schema))
    name, pointer = parameter.name, f"{parameter.pointer}/schema"

    def mutant(family: str, detail: str, requirement: str, fault: Fault, value: str, keyword: str) -> Mutant:
        schema_pointer = f"{pointer}/items" if schema.get("type") == "array" else pointer
        head = (family, operation.id, detail, requirement, schema_pointer)
        trigger = partial(trigger_parameter_values, name=name, values=(value,))
        support = _rejection_location(operation) if family == "validation-query" else ()
        return Mutant(*head, stateless(fault), trigger, keyword, supporting_locations=support)

    replacement = str(bodies.generate_value(items, name)) if parameter.required else None
    for keyword, value in _invalid_parameter_values(items):
        requirement = f"A parameter that violates {keyword} is rejected."
        fault = _ignore_invalid_parameter(name, value, replacement)
        yield mutant("validation-query", f"{name} without {keyword}", requirement, fault, value, keyword)
    for choice in map(str, items.get("enum", ())[-1:]):
        requirement, fault = "A value of the enum is accepted.", _reject_parameter_value(name, choice)
        yield mutant("valid-refused", f"{name} of {choice}", requirement, fault, choice, "enum")


def _invalid_parameter_values(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "enum" in schema:
        yield "enum", "conformance-unknown"
    elif schema.get("type") in ("integer", "number", "boolean"):
        yield "type", "perhaps"
    if "minimum" in schema:
        yield "minimum", str(schema["minimum"] - 1)
    if schema.get("maximum", 2**53) < 2**53:
        yield "maximum", str(schema["maximum"] + 1)


def _ignore_invalid_parameter(name: str, invalid_value: str, replacement: str | None) -> Fault:
    """Ignore a parameter that is invalid like `invalid_value`; a required one is replaced by `replacement`."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        errors = (response.json or {}).get("errors", {}) if response.status == 422 else {}
        sent_values = [v for n, v in request.query if n.removesuffix("[]") == name]
        is_only_error = {key.partition(".")[0] for key in errors} == {name}
        if not is_only_error or not any(_is_invalid_in_same_way(v, invalid_value) for v in sent_values):
            return response
        added = () if replacement is None else ((name, replacement),)
        return await call_next(request.with_query((*remove_parameters(request.query, name), *added)))

    return fault


def _is_invalid_in_same_way(sent_value: str, invalid_value: str) -> bool:
    """Whether two values are invalid in the same way: neither is a number, or both violate the same bound."""
    numbers = [_parse_number(sent_value), _parse_number(invalid_value)]
    if None in numbers:
        return numbers == [None, None]
    return (numbers[0] or 0) >= (numbers[1] or 0) if (numbers[1] or 0) > 1 else (numbers[0] or 0) <= (numbers[1] or 0)


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _reject_parameter_value(name: str, value: str) -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        sent_values = [v for n, v in request.query if n.removesuffix("[]") == name]
        is_rejected = value in ",".join(sent_values).split(",")
        return validation_error_response(name) if is_rejected else await call_next(request)

    return fault
