"""Mutants that take what the contract refuses, keyword by keyword, or refuse what it admits."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any

from conformance.mutation.fault_injection import CallNext, Fault, InterceptedRequest, InterceptedResponse
from conformance.mutation.mutant import Mutant, sample
from conformance.mutation.triggers import OMITTED, trigger_field_values, trigger_parameter_values
from conformance.session.payloads import PayloadFactory
from spec.document import snake_case
from spec.loader import BodyField, Contract, Operation, Parameter
from spec.validators import SchemaValidators

MAX_MUTANTS_PER_OPERATION = 5  # keywords of an operation's body that are weakened, and values that are refused
MAX_TESTED_LENGTH = 20_000


def derive_mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every operation with a body or query parameters."""
    schemas, bodies = (
        SchemaValidators.from_document(contract.document),
        PayloadFactory(contract, "conformance", Random(0)),
    )
    for operation in contract.operations.values():
        yield from sample(
            _derive_accept_invalid_mutants(schemas, bodies, operation), MAX_MUTANTS_PER_OPERATION, "taken", operation.id
        )
        yield from sample(
            _derive_reject_valid_mutants(bodies, operation), MAX_MUTANTS_PER_OPERATION, "refused", operation.id
        )
        for parameter in operation.query_parameters:
            yield from _derive_parameter_mutants(bodies, operation, parameter)


# What is broken is taken ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class AcceptInvalidField:
    """Takes a body that breaks one keyword of one field and nothing else, with that field mended."""

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
            return (
                self.field_name not in body
                and all(error.schema_path[-1] == "required" for error in errors)
                and len(errors) == 1
            )
        return bool(errors) and all(
            error.instance_path[:1] == [self.field_name] and self._violates_keyword(error) for error in errors
        )

    def _violates_keyword(self, error: Any) -> bool:
        violated_keyword = str(error.schema_path[-1])
        return violated_keyword == self.keyword or (self.keyword == "nullable" and error.instance is None)


def _derive_accept_invalid_mutants(
    schemas: SchemaValidators, bodies: PayloadFactory, operation: Operation
) -> Iterator[Mutant]:
    for body_field in operation.request_body.fields.values() if operation.request_body else ():
        valid_value = (
            OMITTED
            if body_field.relation_setter is not None
            else bodies.generate_value(body_field.schema, body_field.name)
        )
        for keyword, value in generate_invalid_values(bodies, body_field):
            yield _build_mutant(
                operation,
                "validation",
                f"{body_field.name} without {keyword}",
                f"A body that breaks {keyword} is refused.",
                lambda body_field=body_field, keyword=keyword, valid_value=valid_value: AcceptInvalidField(  # type: ignore[misc]
                    schemas,
                    operation.request_body.pointer if operation.request_body else "",
                    body_field.name,
                    keyword,
                    valid_value,
                ),
                body_field,
                (value,),
                keyword,
            )


def generate_invalid_values(bodies: PayloadFactory, body_field: BodyField) -> Iterator[tuple[str, Any]]:
    """(keyword, value that breaks it) of a field."""
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
    make_fault: Callable[[], Fault],
    body_field: BodyField,
    values: tuple[Any, ...],
    keyword: str | None,
) -> Mutant:
    trigger = partial(trigger_field_values, name=body_field.name, values=values)
    supporting_locations = _rejection_location(operation) if family == "validation" else ()
    return Mutant(
        family,
        operation.id,
        detail,
        requirement,
        body_field.pointer,
        make_fault,
        trigger,
        keyword,
        supporting_locations=supporting_locations,
    )


def _rejection_location(operation: Operation) -> tuple[tuple[str, str | None], ...]:
    """Where the contract says how an operation refuses."""
    return ((operation.responses.get(422) or operation.pointer, None),)


# What is right is refused --------------------------------------------------------------------------------------------


def _derive_reject_valid_mutants(bodies: PayloadFactory, operation: Operation) -> Iterator[Mutant]:
    for body_field in operation.request_body.fields.values() if operation.request_body else ():
        if body_field.relation_setter is not None or body_field.x_query is not None:
            continue
        for label, value in generate_boundary_values(bodies, body_field):
            yield _build_mutant(
                operation,
                "valid-refused",
                f"{body_field.name} {label}",
                "What the contract admits is not refused.",
                lambda body_field=body_field, value=value: _reject_value(body_field.name, value),  # type: ignore[misc]
                body_field,
                (value,),
                _BOUNDARY_KEYWORDS.get(label, "enum"),
            )


def generate_boundary_values(bodies: PayloadFactory, body_field: BodyField) -> Iterator[tuple[str, Any]]:
    """(what it is, a value at the edge of what a field may be)."""
    schema = bodies.resolve_schema(body_field.schema)
    is_free_text = (
        schema.get("type") == "string" and "enum" not in schema and "format" not in schema and "pattern" not in schema
    )
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
}  # what a value is at the edge of; else it is one of an enum


def _reject_value(name: str, value: Any) -> Fault:
    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        body = request.json
        if isinstance(body, dict) and name in body and _is_same_kind(body[name], value):
            return validation_error_response(name)
        return await call_next(request)

    return fault


def _is_same_kind(sent_value: Any, value: Any) -> bool:
    """Whether what was sent is of the kind that is refused: the value, as long, as little of ASCII."""
    if isinstance(value, str) and isinstance(sent_value, str) and not value.isascii():
        return not sent_value.isascii()
    if isinstance(value, str) and isinstance(sent_value, str) and set(value) == {"x"}:
        return len(sent_value) == len(value)
    return type(sent_value) is type(value) and bool(sent_value == value)


def validation_error_response(name: str) -> InterceptedResponse:
    """A refusal in the documented form."""
    message = f"The {snake_case(name).replace('_', ' ')} field is invalid."
    headers = {"content-type": "application/json"}
    return InterceptedResponse(422, headers, b"").with_json({"message": message, "errors": {name: [message]}})


# Query parameters ----------------------------------------------------------------------------------------------------


def _derive_parameter_mutants(bodies: PayloadFactory, operation: Operation, parameter: Parameter) -> Iterator[Mutant]:
    schema = bodies.resolve_schema(parameter.schema)
    items = bodies.resolve_schema(schema.get("items", schema))

    def build_mutant(
        family: str, detail: str, requirement: str, fault: Fault, value: str, keyword: str | None
    ) -> Mutant:
        trigger = partial(trigger_parameter_values, name=parameter.name, values=(value,))
        supporting_locations = _rejection_location(operation) if family == "validation-query" else ()
        schema_pointer = f"{parameter.pointer}/schema"
        schema_pointer = f"{schema_pointer}/items" if schema.get("type") == "array" else schema_pointer
        return Mutant(
            family,
            operation.id,
            detail,
            requirement,
            schema_pointer,
            lambda: fault,
            trigger,
            keyword,
            supporting_locations=supporting_locations,
        )

    replacement = str(bodies.generate_value(items, parameter.name)) if parameter.required else None
    for keyword, value in _invalid_parameter_values(items):
        requirement = f"A parameter that breaks {keyword} is refused."
        fault = _ignore_invalid_parameter(parameter.name, value, replacement)
        yield build_mutant(
            "validation-query", f"{parameter.name} without {keyword}", requirement, fault, value, keyword
        )
    for choice in items.get("enum", ())[-1:]:
        requirement = "A value that the contract lists is not refused."
        fault = _reject_parameter_value(parameter.name, str(choice))
        yield build_mutant("valid-refused", f"{parameter.name} of {choice}", requirement, fault, str(choice), "enum")


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
    """Leaves a parameter out that breaks the same keyword as `invalid_value` does; what is required is taken for `replacement`."""

    async def fault(request: InterceptedRequest, call_next: CallNext) -> InterceptedResponse:
        response = await call_next(request)
        errors = (response.json or {}).get("errors", {}) if response.status == 422 else {}
        sent_values = [v for n, v in request.query if n.removesuffix("[]") == name]
        if (
            not errors
            or {key.partition(".")[0] for key in errors} != {name}
            or not any(_is_invalid_in_same_way(v, invalid_value) for v in sent_values)
        ):
            return response
        remaining = tuple((n, v) for n, v in request.query if n.removesuffix("[]") != name)
        return await call_next(
            request.with_query(remaining if replacement is None else (*remaining, (name, replacement)))
        )

    return fault


def _is_invalid_in_same_way(sent_value: str, invalid_value: str) -> bool:
    """Whether two values are wrong in the same way: both no number, or numbers on the same side."""
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
        return (
            validation_error_response(name) if value in ",".join(sent_values).split(",") else await call_next(request)
        )

    return fault
