"""Finds the records in a response at any depth, by the schemas of the contract's resources."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spec.document import escape
from spec.model import Contract, View
from spec.validators import SchemaValidators

MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class NestedRecord:
    """A record in a response. `path`: property names and indexes from the root.

    `nesting`: number of records that contain it; `holder`: view of the innermost of them.
    """

    view: View
    record: Mapping[str, Any]
    path: tuple[str | int, ...]
    nesting: int
    holder: View | None = None

    @property
    def location(self) -> str:
        """The names of the path, for display."""
        return ".".join(part for part in self.path if isinstance(part, str)) or "the response"

    @property
    def name(self) -> str:
        """The last name of the path: a relation or property; "" at the root."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")


@dataclass(frozen=True, slots=True)
class RecordFinder:
    """Finds records by schema."""

    contract: Contract
    schemas: SchemaValidators

    def records(self, pointer: str, value: Any) -> Iterator[NestedRecord]:
        """The records in a value of the schema at `pointer`, outer before inner; empty objects are none."""
        yield from self._walk(pointer, value, (), (), 0)

    def _walk(
        self, pointer: str, value: Any, path: tuple[str | int, ...], ancestors: tuple[View, ...], depth: int
    ) -> Iterator[NestedRecord]:
        if not isinstance(value, (dict, list)) or not value or depth > MAX_DEPTH:
            return
        document = self.contract.document
        schema, resolved_pointer = document.dereference(document.resolve(pointer), pointer)
        view = next((v for v in self.contract.views.values() if v.pointer == resolved_pointer), None)
        if view is not None and isinstance(value, dict):
            yield NestedRecord(view, value, path, len(ancestors), ancestors[-1] if ancestors else None)
            ancestors = (*ancestors, view)
        for child_pointer, child, step in self._children(schema, resolved_pointer, value):
            yield from self._walk(child_pointer, child, (*path, *step), ancestors, depth + 1)

    def _children(
        self, schema: Mapping[str, Any], pointer: str, value: Any
    ) -> Iterator[tuple[str, Any, tuple[str | int, ...]]]:
        """(pointer, value, path step) of the parts of a value, including its other schemas."""
        for number in range(len(schema.get("allOf", ()))):
            yield f"{pointer}/allOf/{number}", value, ()
        for keyword in ("anyOf", "oneOf"):
            branches = (f"{pointer}/{keyword}/{number}" for number in range(len(schema.get(keyword, ()))))
            first = next((p for p in branches if self.schemas.get(p, "read").is_valid(value)), None)
            if first is not None:
                yield first, value, ()
        if isinstance(value, dict):
            for name in (n for n in schema.get("properties", {}) if n in value):
                yield f"{pointer}/properties/{escape(name)}", value[name], (name,)
        elif "items" in schema:
            for number, item in enumerate(value):
                yield f"{pointer}/items", item, (number,)
