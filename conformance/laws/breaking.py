"""Values that break one keyword of a field's schema each, and nothing else about it."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.laws.law import Case
from spec.contract import BodyField

LONGEST = 20_000  # characters that are sent to be too many
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
    validator = case.session.schemas.validator(field.pointer, "write")
    for keyword, value in _candidates(case.session.bodies.schema(field.schema)):
        if not validator.is_valid(value):
            yield keyword, value


def _candidates(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    kind = said.get("type", "object")
    yield "type", WRONG.get(kind, "")
    if "enum" in said:
        yield "enum", "no-such-choice" if kind == "string" else 987654
    if kind == "string" and said.get("maxLength", LONGEST) < LONGEST and "enum" not in said:
        yield "maxLength", "x" * (int(said["maxLength"]) + 1)
    if said.get("format") in FORMATS:
        yield "format", "not-a-" + said["format"]
    if "minimum" in said:
        yield "minimum", int(said["minimum"]) - 1
    if said.get("maximum", 2**53) < 2**53:
        yield "maximum", int(said["maximum"]) + 1
