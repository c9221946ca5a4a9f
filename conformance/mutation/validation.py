"""Mutants that accept invalid input, keyword by keyword, or reject valid input."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from conformance.mutation.fault_injection import CallNext, InterceptedRequest, InterceptedResponse
from conformance.mutation.faults import MakeFault, accept, build_response, respond_if
from conformance.mutation.mutant import Mutant, Operator, sample
from conformance.mutation.response_schemas import unwrap_schema
from conformance.mutation.triggers import OMITTED, trigger_field_value, trigger_parameter_value
from conformance.session.payloads import PayloadFactory
from spec.document import snake_case
from spec.model import BodyField, Contract, Operation, Parameter
from spec.validators import SchemaValidators

MAX_MUTANTS_PER_OPERATION = 5  # of each kind
MAX_TESTED_LENGTH = 20_000


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


def ignore_invalid_parameter(name: str, invalid_value: str, replacement: str | None) -> MakeFault:
    """Ignore a parameter that is invalid like `invalid_value`; a required one is replaced by `replacement`."""

    def correct(request: InterceptedRequest, response: InterceptedResponse) -> InterceptedRequest | None:
        errors = (response.json or {}).get("errors", {}) if response.status == 422 else {}
        is_only_error = {key.partition(".")[0] for key in errors} == {name}
        is_same = any(_is_invalid_in_same_way(v, invalid_value) for v in request.parameter_values(name))
        return request.with_parameters({name: replacement}) if is_only_error and is_same else None

    return accept(correct)


def _is_invalid_in_same_way(sent_value: str, invalid_value: str) -> bool:
    """Whether two values are invalid in the same way: neither is a number, or both violate the same bound."""
    sent, invalid = _parse_number(sent_value), _parse_number(invalid_value)
    if sent is None or invalid is None:
        return sent is invalid
    return sent >= invalid if invalid > 1 else sent <= invalid


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


_WRONG_TYPE_VALUES = {"string": 7, "boolean": "perhaps"}


def generate_invalid_values(bodies: PayloadFactory, body_field: BodyField) -> Iterator[tuple[str, Any]]:
    """Generate (keyword, value that violates it) for a body field."""
    schema, _, is_nullable = unwrap_schema(bodies.contract.document, body_field.schema, body_field.pointer)
    type_name = schema.get("type", "object")
    if body_field.required:
        yield "required", OMITTED
    if not is_nullable:
        yield "nullable", None
    if type_name != "object" or "properties" in schema:
        yield "type", _WRONG_TYPE_VALUES.get(type_name, "a text")
    if "enum" in schema:
        yield "enum", "conformance-unknown"
    else:
        yield from _invalid_texts(schema) if type_name == "string" else _invalid_numbers(schema)


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


def _invalid_parameter_values(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    if "enum" in schema:
        yield "enum", "conformance-unknown"
    elif schema.get("type") in ("integer", "number", "boolean"):
        yield "type", "perhaps"
    yield from _invalid_numbers(schema)


# Valid input is rejected


def reject_value(name: str, value: Any) -> MakeFault:
    """Reject the bodies with a value of the same kind in a field."""
    response = build_validation_error(name)
    return respond_if(lambda q: name in q.json_object and _is_same_kind(q.json_object[name], value), response)


def reject_parameter_value(name: str, value: str) -> MakeFault:
    """Reject the requests with a value of a parameter, alone or in a list."""
    return respond_if(lambda q: value in ",".join(q.parameter_values(name)).split(","), build_validation_error(name))


def _is_same_kind(sent_value: Any, value: Any) -> bool:
    """Whether a value is of the rejected kind: equal, of the same length, or also not ASCII."""
    if isinstance(value, str) and isinstance(sent_value, str) and not value.isascii():
        return not sent_value.isascii()
    if isinstance(value, str) and isinstance(sent_value, str) and set(value) == {"x"}:
        return len(sent_value) == len(value)
    return type(sent_value) is type(value) and bool(sent_value == value)


def build_validation_error(name: str) -> InterceptedResponse:
    """Build a documented 422 response."""
    message = f"The {snake_case(name).replace('_', ' ')} field is invalid."
    return build_response(422, {"message": message, "errors": {name: [message]}})


def generate_boundary_values(bodies: PayloadFactory, body_field: BodyField) -> Iterator[tuple[str, str, Any]]:
    """Generate (label, keyword, valid value at its bound) for a body field."""
    schema, _, is_nullable = unwrap_schema(bodies.contract.document, body_field.schema, body_field.pointer)
    is_free_text = schema.get("type") == "string" and not {"enum", "format", "pattern"} & schema.keys()
    if is_nullable and not body_field.required:
        yield "null", "nullable", None
    for choice in schema.get("enum", ())[-1:]:
        yield f"of {choice}", "enum", choice
    if is_free_text and schema.get("maxLength", MAX_TESTED_LENGTH) <= 1_000:
        yield "as long as may be", "maxLength", "x" * schema["maxLength"]
    if is_free_text:
        yield "beyond ASCII", "type", "Grüße 世界 👋"
    if schema.get("type") == "integer" and "maximum" in schema and schema["maximum"] < 2**31:
        yield "as large as may be", "maximum", schema["maximum"]


# Operators

UNCHECKED, REJECTED_BODY = "{name} without {keyword}", "A body that violates {keyword} is rejected."
REJECTED_PARAMETER = "A parameter that violates {keyword} is rejected."
ACCEPT_FIELD = Operator("validation", UNCHECKED, REJECTED_BODY, AcceptInvalidField, "{keyword}")
REJECT_FIELD = Operator("valid-refused", "{name} {label}", "Valid input is accepted.", reject_value, "{keyword}")
IGNORE_PARAMETER = Operator("validation-query", UNCHECKED, REJECTED_PARAMETER, ignore_invalid_parameter, "{keyword}")
REJECT_PARAMETER = Operator(
    "valid-refused", "{name} of {choice}", "A value of the enum is accepted.", reject_parameter_value, "enum"
)


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


def _rejection_locations(operation: Operation) -> tuple[tuple[str, str | None], ...]:
    """The location of an operation's 422 response."""
    return ((operation.responses.get(422) or operation.pointer, None),)


def _derive_accept_invalid_mutants(
    schemas: SchemaValidators, bodies: PayloadFactory, operation: Operation
) -> Iterator[Mutant]:
    body_pointer = operation.request_body.pointer if operation.request_body else ""
    support = _rejection_locations(operation)
    for body_field in operation.body_fields.values():
        name, is_reference = body_field.name, body_field.relation_setter is not None
        valid_value = OMITTED if is_reference else bodies.generate_value(body_field.schema, name)
        for keyword, value in generate_invalid_values(bodies, body_field):
            make_fault = partial(AcceptInvalidField, schemas, body_pointer, name, keyword, valid_value)
            trigger = partial(trigger_field_value, name=name, value=value)
            row = ACCEPT_FIELD.named(name=name, keyword=keyword)
            yield row.mutant(operation, make_fault, trigger, body_field.pointer, supporting_locations=support)


def _derive_reject_valid_mutants(bodies: PayloadFactory, operation: Operation) -> Iterator[Mutant]:
    for body_field in operation.body_fields.values():
        name = body_field.name
        if body_field.relation_setter is None and body_field.x_query is None:
            for label, keyword, value in generate_boundary_values(bodies, body_field):
                trigger = partial(trigger_field_value, name=name, value=value)
                row = REJECT_FIELD.named(name=name, label=label, keyword=keyword)
                yield row.mutant(operation, reject_value(name, value), trigger, body_field.pointer)


def _derive_parameter_mutants(bodies: PayloadFactory, operation: Operation, parameter: Parameter) -> Iterator[Mutant]:
    schema, name = bodies.resolve_schema(parameter.schema), parameter.name
    items = bodies.resolve_schema(schema.get("items", schema))
    pointer = parameter.schema_pointer + ("/items" if schema.get("type") == "array" else "")
    replacement = str(bodies.generate_value(items, name)) if parameter.required else None
    support = _rejection_locations(operation)
    for keyword, value in _invalid_parameter_values(items):
        make_fault = ignore_invalid_parameter(name, str(value), replacement)
        trigger = partial(trigger_parameter_value, name=name, value=value)
        row = IGNORE_PARAMETER.named(name=name, keyword=keyword)
        yield row.mutant(operation, make_fault, trigger, pointer, supporting_locations=support)
    for choice in map(str, items.get("enum", ())[-1:]):
        trigger = partial(trigger_parameter_value, name=name, value=choice)
        reject = REJECT_PARAMETER.named(name=name, choice=choice)
        yield reject.mutant(operation, reject_parameter_value(name, choice), trigger, pointer)
