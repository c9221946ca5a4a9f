"""Records that an answer shows, wherever they stand in it: found by the schemas that the contract gives resources."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spec.contract import Contract, View
from spec.document import escape
from spec.schemas import SchemaValidators

DEEPEST = 12


@dataclass(frozen=True, slots=True)
class Shown:
    """A record in an answer. `path`: property names and positions that lead to it from where the looking began.

    `inside`: how many other records it stands in; `holder`: the view of the nearest of them.
    """

    view: View
    record: Mapping[str, Any]
    path: tuple[str | int, ...]
    inside: int
    holder: View | None = None

    @property
    def where(self) -> str:
        """The names of the path, as people write it."""
        return ".".join(part for part in self.path if isinstance(part, str)) or "the answer"

    @property
    def name(self) -> str:
        """The last name of the path: the relation or property that shows it; "" for the answer itself."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds records by schema."""

    contract: Contract
    schemas: SchemaValidators

    def records(self, pointer: str, value: Any) -> Iterator[Shown]:
        """The records in a value of the schema at `pointer`, the outer before the inner; empty stubs are none."""
        yield from self._in(pointer, value, (), (), 0)

    def _in(
        self, pointer: str, value: Any, path: tuple[str | int, ...], above: tuple[View, ...], depth: int
    ) -> Iterator[Shown]:
        if not isinstance(value, (dict, list)) or not value or depth > DEEPEST:
            return
        document = self.contract.document
        schema, at = document.dereference(document.resolve(pointer), pointer)
        view = next((v for v in self.contract.views.values() if v.pointer == at), None)
        if view is not None and isinstance(value, dict):
            yield Shown(view, value, path, len(above), above[-1] if above else None)
            above = (*above, view)
        for below, one, step in self._below(schema, at, value):
            yield from self._in(below, one, (*path, *step), above, depth + 1)

    def _below(
        self, schema: Mapping[str, Any], at: str, value: Any
    ) -> Iterator[tuple[str, Any, tuple[str | int, ...]]]:
        """(schema, value, step) of what stands directly in a value, or is the value by another schema."""
        for number in range(len(schema.get("allOf", ()))):
            yield f"{at}/allOf/{number}", value, ()
        for word in ("anyOf", "oneOf"):
            fitting = (f"{at}/{word}/{number}" for number in range(len(schema.get(word, ()))))
            first = next((p for p in fitting if self.schemas.get(p, "read").is_valid(value)), None)
            if first is not None:
                yield first, value, ()
        if isinstance(value, dict):
            for name in (n for n in schema.get("properties", {}) if n in value):
                yield f"{at}/properties/{escape(name)}", value[name], (name,)
        elif "items" in schema:
            for number, one in enumerate(value):
                yield f"{at}/items", one, (number,)
