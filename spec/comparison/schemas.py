"""The differences of two schemas.

Components are compared once, with the directions in which operations use them: a request may not become stricter, a
response may not become wider.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spec.comparison.changes import (
    Change,
    ChangeKind,
    Flow,
    Flows,
    build_added,
    build_requirement,
    compare_texts,
    describe_edit,
    format_value,
    get_name,
    judge,
    name_schema,
)
from spec.comparison.normal_form import inline, list_types, simplify, unwrap_alternatives
from spec.document import Document
from spec.errors import ContractError

_MAXIMA = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_MINIMA = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_CONSTRAINTS = ("format", "contentEncoding", "contentMediaType", "pattern", "multipleOf", "const", "not")
_COMPOSITIONS = ("anyOf", "oneOf", "allOf")


class SchemaComparison:
    """Compares schemas of two documents in their normal form."""

    def __init__(self, old: Document, new: Document) -> None:
        self.old, self.new = old, new
        # Pointers of the referenced components that are still to be compared, and of those that have been.
        self.pending: list[tuple[str, str, Flows]] = []
        self.compared: set[tuple[str, str, Flows]] = set()
        # References that were replaced by another one, while their schemas are compared.
        self.replaced: set[tuple[str, str]] = set()

    def compare_components(self) -> Iterator[Change]:
        """Compare the components that the compared schemas refer to: each once, with the flows of all references."""
        found: dict[tuple[str, str], tuple[Flows, list[Change]]] = {}
        while self.pending:
            old, new, flows = self.pending.pop(0)
            flows |= found.get((old, new), (frozenset(), []))[0]
            if (old, new, flows) not in self.compared:
                self.compared.add((old, new, flows))
                schemas = self.old.resolve(old), self.new.resolve(new)
                found[old, new] = (flows, list(self.compare(*schemas, new.removeprefix("#/components/"), flows)))
        for _, changes in found.values():
            yield from changes

    def compare(self, old: Any, new: Any, location: str, flows: Flows) -> Iterator[Change]:
        """Compare two schemas; the components that both refer to are noted for `compare_components`."""
        if not (isinstance(old, dict) and isinstance(new, dict)):
            return
        (old, old_null), (new, new_null) = simplify(old, self.old), simplify(new, self.new)
        old, new = unwrap_alternatives((old, new))
        if "$ref" in old and "$ref" in new:
            yield from self._compare_references(old["$ref"], new["$ref"], location, flows)
            old, new = ({key: value for key, value in node.items() if key != "$ref"} for node in (old, new))
        elif "$ref" in old or "$ref" in new:
            old, null = inline(old, self.old)
            old_null |= null
            new, null = inline(new, self.new)
            new_null |= null
        if old_null != new_null:
            yield Change(judge(flows, narrows=old_null), location, f"type null {'removed' if old_null else 'added'}")
        yield from compare_texts(old, new, location)
        yield from _compare_types(list_types(old), list_types(new), location, flows)
        yield from _compare_enums(old.get("enum"), new.get("enum"), location, flows)
        yield from _compare_constraints(old, new, location, flows)
        yield from self._compare_properties(old, new, location, flows)
        yield from self.compare(old.get("items"), new.get("items"), f"{location}[]", flows)
        maps = old.get("additionalProperties"), new.get("additionalProperties")
        yield from self.compare(*maps, f"{location}.*", flows)
        for keyword in _COMPOSITIONS:
            yield from self._compare_parts(keyword, old.get(keyword, []), new.get(keyword, []), location, flows)

    def _compare_references(self, old: str, new: str, location: str, flows: Flows) -> Iterator[Change]:
        if old == new:
            self.pending.append((old, new, flows))
        elif not _resolves(self.new, old) and not _resolves(self.old, new):
            self.pending.append((old, new, flows))
            message = f"renamed to {get_name(new)}, and so are the types of generated clients"
            yield Change(ChangeKind.COMPATIBLE, old.removeprefix("#/components/"), message)
        elif (old, new) not in self.replaced:
            self.replaced.add((old, new))
            schemas = self.old.resolve(old), self.new.resolve(new)
            changes = [c for c in self.compare(*schemas, location, flows) if c.kind is not ChangeKind.DOCUMENTATION]
            self.replaced.discard((old, new))
            breaks = any(change.kind is ChangeKind.BREAKING for change in changes)
            kind = ChangeKind.BREAKING if breaks else ChangeKind.COMPATIBLE
            yield Change(kind, location, f"schema {get_name(old)} replaced by {get_name(new)}")
            yield from changes

    def _compare_properties(self, old: Any, new: Any, location: str, flows: Flows) -> Iterator[Change]:
        properties = old.get("properties", {}), new.get("properties", {})
        required = _list_required(old), _list_required(new)
        for name in [*properties[0], *(name for name in properties[1] if name not in properties[0])]:
            path = f"{location}.{name}"
            if name not in properties[1]:
                yield Change(ChangeKind.BREAKING, path, "property removed")
            elif name not in properties[0]:
                yield build_added(path, "property", required=name in required[1] and Flow.REQUEST in flows)
            else:
                if (name in required[0]) != (name in required[1]):
                    yield build_requirement(path, flows, required=name in required[1])
                yield from self.compare(properties[0][name], properties[1][name], path, flows)

    def _compare_parts(self, keyword: str, old: Any, new: Any, location: str, flows: Flows) -> Iterator[Change]:
        """Compare the parts of a composition: in order if there are as many, else by their references."""
        if len(old) == len(new):
            for index, pair in enumerate(zip(old, new, strict=True)):
                yield from self.compare(*pair, f"{location} {keyword}[{index}]", flows)
            return
        removed, added = [p for p in old if p not in new], [p for p in new if p not in old]
        for parts, verb in ((removed, "removed"), (added, "added")):
            for part in parts:
                kind = judge(flows, narrows=(verb == "added") == (keyword == "allOf"))
                yield Change(kind, location, f"{keyword} {verb}: {name_schema(part)}")


def _list_required(schema: Mapping[str, Any]) -> list[str]:
    required = schema.get("required")
    return required if isinstance(required, list) else []  # a boolean belongs to Draft 3 of JSON Schema


def _resolves(document: Document, pointer: str) -> bool:
    try:
        document.resolve(pointer)
    except ContractError:
        return False
    return True


def _compare_types(old: Sequence[str], new: Sequence[str], location: str, flows: Flows) -> Iterator[Change]:
    removed, added = [name for name in old if name not in new], [name for name in new if name not in old]
    if not removed and not added:
        return
    message = f"type: {' or '.join(old)} to {' or '.join(new)}"
    if not (removed and added):
        message = f"type {' or '.join(removed or added)} {'removed' if removed else 'added'}"
    if _accepts_types(old, new):
        kind = judge(flows, narrows=True)
    elif _accepts_types(new, old):
        kind = judge(flows, narrows=False)
    else:
        kind = ChangeKind.BREAKING
    yield Change(kind, location, message)


def _accepts_types(types: Sequence[str], others: Sequence[str]) -> bool:
    """Whether a schema of `types` accepts all values of `others`."""
    return not types or (
        bool(others) and all(name in types or (name == "integer" and "number" in types) for name in others)
    )


def _compare_enums(old: Any, new: Any, location: str, flows: Flows) -> Iterator[Change]:
    if old is None or new is None:
        if old is not new:
            yield Change(judge(flows, narrows=old is None), location, f"enum {'added' if old is None else 'removed'}")
        return
    for value in (value for value in old if value not in new):
        yield Change(judge(flows, narrows=True), location, f"enum value {format_value(value)} removed")
    for value in (value for value in new if value not in old):
        yield Change(judge(flows, narrows=False), location, f"enum value {format_value(value)} added")


def _compare_constraints(
    old: Mapping[str, Any], new: Mapping[str, Any], location: str, flows: Flows
) -> Iterator[Change]:
    for keyword in (*_MAXIMA, *_MINIMA, *_CONSTRAINTS):
        before, after = old.get(keyword), new.get(keyword)
        if before != after:
            narrows = _narrows(keyword, before, after)
            kind = ChangeKind.BREAKING if narrows is None else judge(flows, narrows=narrows)
            yield Change(kind, location, describe_edit(keyword, before, after))
    if bool(old.get("uniqueItems")) != bool(new.get("uniqueItems")):
        narrows = bool(new.get("uniqueItems"))
        yield Change(judge(flows, narrows=narrows), location, f"uniqueItems {'added' if narrows else 'removed'}")
    before, after = old.get("additionalProperties", True), new.get("additionalProperties", True)
    if before != after and not (isinstance(before, dict) and isinstance(after, dict)):
        kind = judge(flows, narrows=before is True or after is False)
        yield Change(kind, location, describe_edit("additionalProperties", before, after))
    if old.get("default") != new.get("default"):
        kind = ChangeKind.BREAKING if Flow.REQUEST in flows else ChangeKind.DOCUMENTATION
        yield Change(kind, location, describe_edit("default", old.get("default"), new.get("default")))


def _narrows(keyword: str, before: Any, after: Any) -> bool | None:
    """Whether the new value of a constraint accepts fewer values; None if it accepts others."""
    if before is None or after is None:
        return before is None
    if keyword in (*_MAXIMA, *_MINIMA) and isinstance(before, int | float) and isinstance(after, int | float):
        return (after < before) == (keyword in _MAXIMA)
    return None
