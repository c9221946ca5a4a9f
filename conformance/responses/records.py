"""Finds the records in a response, by the schemas of the contract's resources."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spec.document import escape
from spec.model import Contract, View
from spec.validators import SchemaValidators

MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class NestedRecord:
    """A record in a response. `location`: the property names that lead to it, for display."""

    view: View
    record: Mapping[str, Any]
    location: str


def find_records(
    contract: Contract, schemas: SchemaValidators, pointer: str, value: Any, path: tuple[str, ...] = (), depth: int = 0
) -> Iterator[NestedRecord]:
    """The records in a value of the schema at `pointer`, without those inside them; empty objects are none."""
    if not isinstance(value, (dict, list)) or not value or depth > MAX_DEPTH:
        return
    schema, resolved_pointer = contract.document.dereference(contract.document.resolve(pointer), pointer)
    view = next((v for v in contract.views.values() if v.pointer == resolved_pointer), None)
    if view is not None and isinstance(value, dict):
        yield NestedRecord(view, value, ".".join(path) or "the response")
        return
    for child_pointer, child, names in _children(schemas, schema, resolved_pointer, value):
        yield from find_records(contract, schemas, child_pointer, child, (*path, *names), depth + 1)


def _children(
    schemas: SchemaValidators, schema: Mapping[str, Any], pointer: str, value: Any
) -> Iterator[tuple[str, Any, tuple[str, ...]]]:
    """(pointer, value, property name) of the parts of a value, including its other schemas."""
    for number in range(len(schema.get("allOf", ()))):
        yield f"{pointer}/allOf/{number}", value, ()
    for keyword in ("anyOf", "oneOf"):
        branches = (f"{pointer}/{keyword}/{number}" for number in range(len(schema.get(keyword, ()))))
        first = next((p for p in branches if schemas.get(p, "read").is_valid(value)), None)
        if first is not None:
            yield first, value, ()
    if isinstance(value, dict):
        for name in (n for n in schema.get("properties", {}) if n in value):
            yield f"{pointer}/properties/{escape(name)}", value[name], (name,)
    elif "items" in schema:
        yield from ((f"{pointer}/items", item, ()) for item in value)
