"""Values that violate one keyword of a field's schema each."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case
from conformance.checks.support.values import dereference_schema
from spec.document import escape
from spec.http.media_types import FORM, MULTIPART, strip_parameters
from spec.model import BodyField

MAX_TEXT_CHARS = 20_000  # characters of a text that exceeds maxLength
MAX_NESTED_PROPERTIES = 6  # properties of one object that are tested
WRONG_TYPE_VALUES: Mapping[str, Any] = {
    "string": ["a list"],
    "integer": "not a number",
    "number": "not a number",
    "boolean": "maybe",
    "array": "not a list",
    "object": "not an object",
}
CHECKED_FORMATS = ("uuid", "date", "date-time", "uri", "email")


def iter_invalid_values(case: Case, field: BodyField) -> Iterator[tuple[str, Any]]:
    """Yield (violated keyword, value) of a field."""
    validator, has_form = case.session.schemas.get_field(field, "write"), is_form(case)
    schema = case.session.payloads.resolve_schema(field.schema)
    for keyword, value in _iter_candidates(schema):
        if not validator.is_valid(value) and not (has_form and _is_lost_in_form(schema, value)):
            yield keyword, value


def is_form(case: Case) -> bool:
    """Whether the body of the operation is a form."""
    body = case.operation.request_body
    return body is not None and strip_parameters(body.media_type) in (FORM, MULTIPART)


def _is_lost_in_form(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a form, whose fields are texts, cannot send a value: null, and what a text field accepts as a text."""
    return value is None or (schema.get("type") == "string" and not isinstance(value, str))


def iter_invalid_nested_values(case: Case, field: BodyField) -> Iterator[tuple[str, str, str, Any]]:
    """Yield (dotted name, pointer, keyword, value of the field) for one invalid nested property at a time."""
    if is_form(case):
        return  # forms have no common notation for nested values
    schemas, payloads = case.session.schemas, case.session.payloads
    field_validator = schemas.get_field(field, "write")
    for path, pointer, schema, wrap in iter_nested_properties(case, field):
        validator = schemas.get(pointer, "write")
        for keyword, value in _iter_candidates(payloads.resolve_schema(schema)):
            if not validator.is_valid(value) and not field_validator.is_valid(wrap(value)):
                yield f"{field.name}.{path}", pointer, keyword, wrap(value)
                break


def iter_nested_properties(
    case: Case, field: BodyField
) -> Iterator[tuple[str, str, Mapping[str, Any], Callable[[Any], Any]]]:
    """Yield (path, pointer, schema, wrap) of the properties of an object or of the items of an array.

    `wrap` builds a value of the field from a value of the property.
    """
    document = case.session.contract.document
    schema, schema_pointer = dereference_schema(document, field.pointer)
    is_array = schema.get("type") == "array"
    if is_array and "items" not in schema:
        return
    if is_array:
        schema, schema_pointer = dereference_schema(document, f"{schema_pointer}/items")
    if schema.get("type") != "object":
        return
    example: dict[str, Any] = case.session.payloads.generate_value(schema, field.name)
    for name in list(schema.get("properties", {}))[:MAX_NESTED_PROPERTIES]:
        pointer = f"{schema_pointer}/properties/{escape(name)}"

        def wrap(value: Any, name: str = name) -> Any:
            item = {**example, name: value}
            return [item] if is_array else item

        yield f"0.{name}" if is_array else name, pointer, document.resolve(pointer), wrap


def _iter_candidates(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    json_type = schema.get("type", "object")
    is_free_text = json_type == "string" and "enum" not in schema
    yield "type", WRONG_TYPE_VALUES.get(json_type, "")
    yield "nullable", None
    if "enum" in schema:
        yield "enum", "no-such-choice" if json_type == "string" else 987654
    if is_free_text and schema.get("maxLength", MAX_TEXT_CHARS) < MAX_TEXT_CHARS:
        yield "maxLength", "x" * (int(schema["maxLength"]) + 1)
    if is_free_text and int(schema.get("minLength", 0)) and not schema.get("nullable"):
        yield "minLength", "x" * (int(schema["minLength"]) - 1)  # many servers convert an empty text to null
    if schema.get("format") in CHECKED_FORMATS:
        yield "format", "not-a-" + schema["format"]
    if "minimum" in schema:
        yield "minimum", int(schema["minimum"]) - 1
    if schema.get("maximum", 2**53) < 2**53:
        yield "maximum", int(schema["maximum"]) + 1
