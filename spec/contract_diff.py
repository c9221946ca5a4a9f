"""The differences of two contracts, and whether they break clients.

Components are compared once, with the directions in which operations use them: a request may not become stricter, a
response may not become wider.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from spec.document import METHODS, Document, escape

_DOCUMENTATION = ("summary", "description", "title", "tags", "deprecated", "example", "examples", "externalDocs")
_MAXIMA = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_MINIMA = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_CONSTRAINTS = ("format", "pattern", "multipleOf", "uniqueItems", "additionalProperties", "const", "not")
_ALTERNATIVES = ("anyOf", "oneOf", "allOf")


class ChangeKind(Enum):
    BREAKING = "breaking"
    COMPATIBLE = "compatible"
    DOCUMENTATION = "documentation"


class Flow(Enum):
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Change:
    """A difference. `location`: an operation or component, and the way from there."""

    kind: ChangeKind
    location: str
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


Flows = frozenset[Flow]


def compare_contracts(old: Document, new: Document) -> list[Change]:
    """Return the differences of two OpenAPI documents, each once."""
    return list(dict.fromkeys(_Comparison(old, new).compare()))


class _Comparison:
    def __init__(self, old: Document, new: Document) -> None:
        self.old, self.new = old, new
        # Pointers of the referenced components that are still to be compared, and of those that have been.
        self.pending: list[tuple[str, str, Flows]] = []
        self.compared: set[tuple[str, str, Flows]] = set()

    def compare(self) -> Iterator[Change]:
        yield from _compare_texts(self.old.root.get("info", {}), self.new.root.get("info", {}), "info")
        old, new = _list_operations(self.old), _list_operations(self.new)
        for name in [*old, *(name for name in new if name not in old)]:
            if name not in new:
                yield Change(ChangeKind.BREAKING, name, "operation removed")
            elif name not in old:
                yield Change(ChangeKind.COMPATIBLE, name, "operation added")
            else:
                yield from self._compare_operations(old[name], new[name], name)
        yield from self._compare_components()

    def _compare_components(self) -> Iterator[Change]:
        """Compare the referenced components: each once, with the flows of all its references."""
        found: dict[tuple[str, str], tuple[Flows, list[Change]]] = {}
        while self.pending:
            old, new, flows = self.pending.pop(0)
            flows |= found.get((old, new), (frozenset(), []))[0]
            if (old, new, flows) not in self.compared:
                self.compared.add((old, new, flows))
                location = new.removeprefix("#/components/")
                schemas = self.old.resolve(old), self.new.resolve(new)
                found[old, new] = (flows, list(self._compare_schemas(*schemas, location, flows)))
        for _, changes in found.values():
            yield from changes

    def _compare_operations(self, old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> Iterator[Change]:
        yield from _compare_texts(old, new, name)
        security = [node.get("security", document.root.get("security")) for node, document in self._pair(old, new)]
        if security[0] != security[1]:
            yield Change(ChangeKind.BREAKING, name, f"security: {security[0]} to {security[1]}")
        yield from self._compare_parameters(old["parameters"], new["parameters"], name)
        yield from self._compare_request_bodies(old.get("requestBody"), new.get("requestBody"), f"{name} request body")
        yield from self._compare_responses(old.get("responses", {}), new.get("responses", {}), name)

    def _pair(self, old: Any, new: Any) -> tuple[tuple[Any, Document], tuple[Any, Document]]:
        return (old, self.old), (new, self.new)

    def _compare_parameters(self, old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> Iterator[Change]:
        for key in [*old, *(key for key in new if key not in old)]:
            location = f"{name} {key}"
            if key not in new:
                yield Change(ChangeKind.BREAKING, location, "parameter removed")
            elif key not in old:
                yield _build_added(location, "parameter", required=bool(new[key].get("required")))
            else:
                yield from _compare_texts(old[key], new[key], location)
                yield from _compare_required(old[key], new[key], location)
                schemas = old[key].get("schema", {}), new[key].get("schema", {})
                yield from self._compare_schemas(*schemas, location, frozenset({Flow.REQUEST}))

    def _compare_request_bodies(self, old: Any, new: Any, location: str) -> Iterator[Change]:
        old, new = (self._dereference(node, document) for node, document in self._pair(old, new))
        if not old or not new:
            if new:
                yield _build_added(location, "body", required=bool(new.get("required")))
            elif old:
                yield Change(ChangeKind.BREAKING, location, "body removed")
            return
        yield from _compare_required(old, new, location)
        yield from self._compare_content(old, new, location, Flow.REQUEST)

    def _compare_responses(self, old: Mapping[str, Any], new: Mapping[str, Any], name: str) -> Iterator[Change]:
        for status in [*old, *(status for status in new if status not in old)]:
            location = f"{name} {status}"
            if status not in new:
                kind = ChangeKind.BREAKING if status.startswith("2") else ChangeKind.COMPATIBLE
                yield Change(kind, location, "status removed")
            elif status not in old:
                yield Change(ChangeKind.COMPATIBLE, location, "status added")
            else:
                responses = [self._dereference(n[status], document) for n, document in self._pair(old, new)]
                yield from _compare_texts(responses[0], responses[1], location)
                yield from self._compare_content(responses[0], responses[1], location, Flow.RESPONSE)

    def _compare_content(self, old: Any, new: Any, location: str, flow: Flow) -> Iterator[Change]:
        """Compare the media types of a body and their schemas."""
        contents = old.get("content", {}), new.get("content", {})
        for media_type in contents[0].keys() - contents[1].keys():
            yield Change(ChangeKind.BREAKING, location, f"media type {media_type} removed")
        for media_type in contents[1].keys() - contents[0].keys():
            yield Change(ChangeKind.COMPATIBLE, location, f"media type {media_type} added")
        for media_type in (name for name in contents[0] if name in contents[1]):
            schemas = [content[media_type].get("schema", {}) for content in contents]
            yield from self._compare_schemas(schemas[0], schemas[1], location, frozenset({flow}))

    def _dereference(self, node: Any, document: Document) -> Any:
        return document.dereference(node, "")[0] if node else node

    def _unwrap(self, schema: Mapping[str, Any], document: Document) -> Mapping[str, Any]:
        """Return a schema whose `allOf` has one part together with that part."""
        if len(schema.get("allOf", ())) != 1:
            return schema
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        return {**self._dereference(schema["allOf"][0], document), **rest}

    # Schemas

    def _compare_schemas(self, old: Any, new: Any, location: str, flows: Flows) -> Iterator[Change]:
        if not (isinstance(old, dict) and isinstance(new, dict)):
            return
        if "$ref" in old and "$ref" in new:
            self.pending.append((old["$ref"], new["$ref"], flows))
            return
        if "$ref" in old or "$ref" in new:
            old, new = (self._dereference(node, document) for node, document in self._pair(old, new))
        if len(old.get("allOf", ())) != len(new.get("allOf", ())):
            old, new = (self._unwrap(node, document) for node, document in self._pair(old, new))
        yield from _compare_texts(old, new, location)
        yield from _compare_values("type", _list_types(old), _list_types(new), location, flows)
        if "enum" in old or "enum" in new:
            yield from _compare_enums(old.get("enum"), new.get("enum"), location, flows)
        yield from _compare_constraints(old, new, location, flows)
        yield from self._compare_properties(old, new, location, flows)
        yield from self._compare_schemas(old.get("items"), new.get("items"), f"{location}[]", flows)
        maps = old.get("additionalProperties"), new.get("additionalProperties")
        yield from self._compare_schemas(*maps, f"{location}.*", flows)
        for keyword in _ALTERNATIVES:
            yield from self._compare_alternatives(keyword, old.get(keyword, []), new.get(keyword, []), location, flows)

    def _compare_properties(self, old: Any, new: Any, location: str, flows: Flows) -> Iterator[Change]:
        properties = old.get("properties", {}), new.get("properties", {})
        required = frozenset(old.get("required", ())), frozenset(new.get("required", ()))
        for name in [*properties[0], *(name for name in properties[1] if name not in properties[0])]:
            path = f"{location}.{name}"
            if name not in properties[1]:
                yield Change(ChangeKind.BREAKING, path, "property removed")
            elif name not in properties[0]:
                yield _build_added(path, "property", required=name in required[1] and Flow.REQUEST in flows)
            else:
                if (name in required[0]) != (name in required[1]):
                    yield _build_requirement(path, flows, required=name in required[1])
                yield from self._compare_schemas(properties[0][name], properties[1][name], path, flows)

    def _compare_alternatives(self, keyword: str, old: Any, new: Any, location: str, flows: Flows) -> Iterator[Change]:
        """Compare the parts of a composition: in order if there are as many, else by their references."""
        if len(old) == len(new):
            for index, pair in enumerate(zip(old, new, strict=True)):
                yield from self._compare_schemas(*pair, f"{location} {keyword}[{index}]", flows)
            return
        removed, added = [p for p in old if p not in new], [p for p in new if p not in old]
        narrowed = added if keyword == "allOf" else removed
        widened = removed if keyword == "allOf" else added
        for parts, narrows in ((narrowed, True), (widened, False)):
            for part in parts:
                verb = "added" if part in added else "removed"
                message = f"{keyword} {verb}: {_name_schema(part)}"
                yield Change(_judge(flows, narrows=narrows), location, message)


def _name_schema(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2] or f"{schema.get('type', 'a schema')}"


def _list_operations(document: Document) -> dict[str, dict[str, Any]]:
    """Return ``GET /agents`` -> the operation, with its resolved parameters by ``query page``."""
    operations = {}
    for path, item in document.root.get("paths", {}).items():
        for method in (method for method in METHODS if method in item):
            nodes = (*item.get("parameters", ()), *item[method].get("parameters", ()))
            parameters = [document.dereference(node, f"#/paths/{escape(path)}")[0] for node in nodes]
            by_name = {f"{p['in']} parameter {p['name']}": p for p in parameters}
            operations[f"{method.upper()} {path}"] = {**item[method], "parameters": by_name}
    return operations


def _judge(flows: Flows, *, narrows: bool) -> ChangeKind:
    """Return the kind of a change that accepts fewer values (`narrows`) or more."""
    breaks = Flow.REQUEST if narrows else Flow.RESPONSE
    return ChangeKind.BREAKING if breaks in flows else ChangeKind.COMPATIBLE


def _build_added(location: str, what: str, *, required: bool) -> Change:
    kind = ChangeKind.BREAKING if required else ChangeKind.COMPATIBLE
    return Change(kind, location, f"{'required' if required else 'optional'} {what} added")


def _build_requirement(location: str, flows: Flows, *, required: bool) -> Change:
    return Change(_judge(flows, narrows=required), location, f"now {'required' if required else 'optional'}")


def _compare_required(old: Any, new: Any, location: str) -> Iterator[Change]:
    if bool(old.get("required")) != bool(new.get("required")):
        yield _build_requirement(location, frozenset({Flow.REQUEST}), required=bool(new.get("required")))


def _compare_texts(old: Any, new: Any, location: str) -> Iterator[Change]:
    """Report the keywords that only document, in one change."""
    keywords = [keyword for keyword in _DOCUMENTATION if old.get(keyword) != new.get(keyword)]
    if keywords:
        yield Change(ChangeKind.DOCUMENTATION, location, f"changed: {', '.join(keywords)}")


def _list_types(schema: Mapping[str, Any]) -> list[Any]:
    types = schema.get("type", [])
    types = list(types) if isinstance(types, list) else [types]
    return [*types, "null"] if schema.get("nullable") and types else types


def _compare_values(what: str, old: Iterable[Any], new: Iterable[Any], location: str, flows: Flows) -> Iterator[Change]:
    old, new = list(old), list(new)
    if not old or not new:
        if old or new:
            yield Change(_judge(flows, narrows=bool(new)), location, f"{what} {'added' if new else 'removed'}")
        return
    for value in (value for value in old if value not in new):
        yield Change(_judge(flows, narrows=True), location, f"{what} {value!r} removed")
    for value in (value for value in new if value not in old):
        yield Change(_judge(flows, narrows=False), location, f"{what} {value!r} added")


def _compare_enums(old: Any, new: Any, location: str, flows: Flows) -> Iterator[Change]:
    yield from _compare_values("enum" if None in (old, new) else "enum value", old or [], new or [], location, flows)


def _compare_constraints(old: Any, new: Any, location: str, flows: Flows) -> Iterator[Change]:
    for keyword in (*_MAXIMA, *_MINIMA, *_CONSTRAINTS):
        before, after = old.get(keyword), new.get(keyword)
        if before == after or (isinstance(before, dict) and isinstance(after, dict)):
            continue
        if before is not None and after is not None and keyword in (*_MAXIMA, *_MINIMA):
            kind = _judge(flows, narrows=(after < before) == (keyword in _MAXIMA))
        elif before is not None and after is not None and keyword != "additionalProperties":
            kind = ChangeKind.BREAKING
        else:
            kind = _judge(flows, narrows=after not in (None, True) or before is False)
        yield Change(kind, location, f"{keyword}: {before} to {after}")
    if old.get("default") != new.get("default"):
        kind = ChangeKind.BREAKING if Flow.REQUEST in flows else ChangeKind.DOCUMENTATION
        yield Change(kind, location, f"default: {old.get('default')!r} to {new.get('default')!r}")
