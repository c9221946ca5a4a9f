"""Values that break one keyword of a field's schema each, and nothing else about it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case
from spec.document import escape
from spec.loader import BodyField

MAX_TEXT_CHARS = 20_000  # characters that are sent to be too many
MAX_NESTED_PROPERTIES = 6  # properties of one object that are broken
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
    """(keyword, value) of each way to break a field that the contract indeed refuses."""
    validator = case.session.schemas.get(field.pointer, "write")
    for keyword, value in _iter_candidates(case.session.payloads.resolve_schema(field.schema)):
        if not validator.is_valid(value):
            yield keyword, value


def iter_invalid_nested_values(case: Case, field: BodyField) -> Iterator[tuple[str, str, str, Any]]:
    """(dotted name, pointer, keyword, value of the whole field) with one property inside of it broken."""
    schemas, bodies = case.session.schemas, case.session.payloads
    field_validator = schemas.get(field.pointer, "write")
    for path, pointer, schema, wrap in _iter_nested_properties(case, field):
        validator = schemas.get(pointer, "write")
        for keyword, value in _iter_candidates(bodies.resolve_schema(schema)):
            if not validator.is_valid(value) and not field_validator.is_valid(wrap(value)):
                yield f"{field.name}.{path}", pointer, keyword, wrap(value)
                break


def _iter_nested_properties(
    case: Case, field: BodyField
) -> Iterator[tuple[str, str, Mapping[str, Any], Callable[[Any], Any]]]:
    """(path, pointer, schema, what makes a field's value of a property's) of the properties of an object or a row."""
    document, bodies = case.session.contract.document, case.session.payloads
    schema, schema_pointer = _resolve_schema(case, field.pointer)
    is_array = schema.get("type") == "array"
    if is_array:
        schema, schema_pointer = (
            _resolve_schema(case, f"{schema_pointer}/items") if "items" in schema else ({}, schema_pointer)
        )
    example: dict[str, Any] | None = (
        bodies.generate_value(schema, field.name) if schema.get("type") == "object" else None
    )
    for name in list(schema.get("properties", {}))[:MAX_NESTED_PROPERTIES] if example is not None else ():
        pointer = f"{schema_pointer}/properties/{escape(name)}"
        property_schema = document.resolve(pointer)

        def wrap(value: Any, name: str = name) -> Any:
            item = {**(example or {}), name: value}
            return [item] if is_array else item

        yield f"0.{name}" if is_array else name, pointer, property_schema, wrap


def _resolve_schema(case: Case, pointer: str) -> tuple[Mapping[str, Any], str]:
    """A schema and its pointer, through references and lone `allOf`s."""
    document = case.session.contract.document
    schema, resolved_pointer = document.dereference(document.resolve(pointer), pointer)
    while len(schema.get("allOf", ())) == 1:
        schema, resolved_pointer = document.dereference(schema["allOf"][0], f"{resolved_pointer}/allOf/0")
    return schema, resolved_pointer


def _iter_candidates(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    json_type = schema.get("type", "object")
    yield "type", WRONG_TYPE_VALUES.get(json_type, "")
    yield "nullable", None
    if "enum" in schema:
        yield "enum", "no-such-choice" if json_type == "string" else 987654
    if json_type == "string" and schema.get("maxLength", MAX_TEXT_CHARS) < MAX_TEXT_CHARS and "enum" not in schema:
        yield "maxLength", "x" * (int(schema["maxLength"]) + 1)
    if (
        json_type == "string"
        and int(schema.get("minLength", 0))
        and not schema.get("nullable")
        and "enum" not in schema
    ):
        yield "minLength", "x" * (int(schema["minLength"]) - 1)  # many servers take an empty text for null
    if schema.get("format") in CHECKED_FORMATS:
        yield "format", "not-a-" + schema["format"]
    if "minimum" in schema:
        yield "minimum", int(schema["minimum"]) - 1
    if schema.get("maximum", 2**53) < 2**53:
        yield "maximum", int(schema["maximum"]) + 1
