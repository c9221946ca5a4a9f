"""Values that break one keyword of a field's schema each, and nothing else about it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from conformance.laws.law import Case
from spec.contract import BodyField
from spec.document import escape

LONGEST = 20_000  # characters that are sent to be too many
MOST = 6  # properties of one object that are broken
WRONG: Mapping[str, Any] = {
    "string": ["a list"],
    "integer": "not a number",
    "number": "not a number",
    "boolean": "maybe",
    "array": "not a list",
    "object": "not an object",
}
FORMATS = ("uuid", "date", "date-time", "uri", "email")


def breaking(case: Case, field: BodyField) -> Iterator[tuple[str, Any]]:
    """(keyword, value) of each way to break a field that the contract indeed refuses."""
    validator = case.session.schemas.get(field.pointer, "write")
    for keyword, value in _candidates(case.session.payloads.resolve_schema(field.schema)):
        if not validator.is_valid(value):
            yield keyword, value


def breaking_within(case: Case, field: BodyField) -> Iterator[tuple[str, str, str, Any]]:
    """(dotted name, pointer, keyword, value of the whole field) with one property inside of it broken."""
    schemas, bodies = case.session.schemas, case.session.payloads
    whole = schemas.get(field.pointer, "write")
    for path, pointer, said, wrap in _inside(case, field):
        validator = schemas.get(pointer, "write")
        for keyword, value in _candidates(bodies.resolve_schema(said)):
            if not validator.is_valid(value) and not whole.is_valid(wrap(value)):
                yield f"{field.name}.{path}", pointer, keyword, wrap(value)
                break


def _inside(case: Case, field: BodyField) -> Iterator[tuple[str, str, Mapping[str, Any], Callable[[Any], Any]]]:
    """(path, pointer, schema, what makes a field's value of a property's) of the properties of an object or a row."""
    document, bodies = case.session.contract.document, case.session.payloads
    said, at = _plain(case, field.pointer)
    rows = said.get("type") == "array"
    if rows:
        said, at = _plain(case, f"{at}/items") if "items" in said else ({}, at)
    example: dict[str, Any] | None = bodies.generate_value(said, field.name) if said.get("type") == "object" else None
    for name in list(said.get("properties", {}))[:MOST] if example is not None else ():
        pointer = f"{at}/properties/{escape(name)}"
        below = document.resolve(pointer)

        def wrap(value: Any, name: str = name) -> Any:
            one = {**(example or {}), name: value}
            return [one] if rows else one

        yield f"0.{name}" if rows else name, pointer, below, wrap


def _plain(case: Case, pointer: str) -> tuple[Mapping[str, Any], str]:
    """A schema and its pointer, through references and lone `allOf`s."""
    document = case.session.contract.document
    said, at = document.dereference(document.resolve(pointer), pointer)
    while len(said.get("allOf", ())) == 1:
        said, at = document.dereference(said["allOf"][0], f"{at}/allOf/0")
    return said, at


def _candidates(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    kind = said.get("type", "object")
    yield "type", WRONG.get(kind, "")
    yield "nullable", None
    if "enum" in said:
        yield "enum", "no-such-choice" if kind == "string" else 987654
    if kind == "string" and said.get("maxLength", LONGEST) < LONGEST and "enum" not in said:
        yield "maxLength", "x" * (int(said["maxLength"]) + 1)
    if kind == "string" and int(said.get("minLength", 0)) and not said.get("nullable") and "enum" not in said:
        yield "minLength", "x" * (int(said["minLength"]) - 1)  # many servers take an empty text for null
    if said.get("format") in FORMATS:
        yield "format", "not-a-" + said["format"]
    if "minimum" in said:
        yield "minimum", int(said["minimum"]) - 1
    if said.get("maximum", 2**53) < 2**53:
        yield "maximum", int(said["maximum"]) + 1
