"""How much of the contract a run has covered, computed from its traffic without storing bodies.

Each item has one of three states. *covered*: a successful exchange used or contained it. *partially*: it was sent but
only rejected, or returned only as null. *uncovered*: neither. Items are operations, parameters, statuses, body fields,
response properties and enum values. A property or enum value of a shared schema counts once.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.transport.messages import Exchange
from spec.document import Document, escape
from spec.model import Contract, Operation, Parameter

OPERATIONS, PARAMETERS, STATUSES = "operations", "parameters", "statuses"
BODY_FIELDS, RESPONSE_PROPERTIES, ENUM_VALUES = "body fields", "response properties", "enum values"
ITEM_KINDS = (OPERATIONS, PARAMETERS, STATUSES, BODY_FIELDS, RESPONSE_PROPERTIES, ENUM_VALUES)
MAX_BODY_HASHES = 50_000
MAX_IDLE_RESPONSES = 8  # consecutive responses without new coverage, after which responses are sampled
IDLE_SAMPLE_INTERVAL = 5  # one of this number of responses is then inspected
COVERED, PARTIAL, UNCOVERED = COVERAGE_STATES = ("covered", "partially", "uncovered")
MAX_LIST_ROWS = 10  # inspected rows of a list


@dataclass(frozen=True, slots=True)
class CoverageItem:
    """An item of the contract. `name`: for display."""

    kind: str
    name: str
    pointer: str
    state: str


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """All items with their states, and why operations never succeeded."""

    items: tuple[CoverageItem, ...]
    operations_never_successful: Mapping[str, str]

    def count(self, kind: str, state: str) -> int:
        """Number of items of a kind in a state."""
        return sum(1 for item in self.items if (item.kind, item.state) == (kind, state))

    def total(self, kind: str) -> int:
        """Number of items of a kind."""
        return sum(1 for item in self.items if item.kind == kind)

    def list_uncovered(self, kind: str) -> tuple[CoverageItem, ...]:
        """The items of a kind that are not covered."""
        return tuple(item for item in self.items if item.kind == kind and item.state != COVERED)

    def summary_line(self) -> str:
        """All kinds on one line."""
        kinds = [kind for kind in ITEM_KINDS if self.total(kind)]
        counts = (f"{self.count(kind, COVERED)} of {self.total(kind)} {kind}" for kind in kinds)
        return f"coverage: {', '.join(counts)}"


@dataclass(slots=True)
class _SchemaNode:
    """A schema, reduced to what coverage needs.

    `enum_pointers`: enum value as text -> pointer. `all_of`: parts (`$ref`, `allOf`); `alternatives`: `anyOf`, `oneOf`.
    """

    pointer: str
    properties: dict[str, "_SchemaNode"] = field(default_factory=dict)
    items: "_SchemaNode | None" = None
    enum_pointers: dict[str, str] = field(default_factory=dict)
    all_of: list["_SchemaNode"] = field(default_factory=list)
    alternatives: list["_SchemaNode"] = field(default_factory=list)


@dataclass(slots=True)
class Coverage:
    """Records which items exchanges cover. Memory is bounded by the size of the contract.

    `_consecutive_idle_responses`: pointer of a response schema -> number of the last responses without new coverage.
    """

    contract: Contract
    _nodes: dict[str, _SchemaNode] = field(default_factory=dict)
    _covered: dict[tuple[str, str], bool] = field(default_factory=dict)
    _body_hashes: set[int] = field(default_factory=set)
    _consecutive_idle_responses: dict[str, int] = field(default_factory=dict)
    _change_count: int = 0
    _response_counts: Counter[tuple[str, int]] = field(default_factory=Counter)

    def record(self, operation: Operation, exchange: Exchange) -> None:
        """Record one exchange.

        A request with another method than the operation's is ignored. It tests that the target rejects this method: it
        does not call the operation.
        """
        request, response = exchange.request, exchange.response
        if request.method != operation.method:
            return
        self._mark(OPERATIONS, operation.pointer, response.ok)
        self._mark(STATUSES, f"{operation.pointer}/responses/{response.status}", is_covered=True)
        self._response_counts[operation.id, response.status] += 1
        self._record_request(operation, exchange)
        schema_pointer = operation.responses.get(response.status)
        if schema_pointer is not None and response.content and self._should_inspect(schema_pointer, response.content):
            if response.json_problem:
                return
            previous_changes = self._change_count
            self._walk(RESPONSE_PROPERTIES, self._node(schema_pointer), response.json, is_success=True)
            is_idle = self._change_count == previous_changes
            idle_before = self._consecutive_idle_responses.get(schema_pointer, 0)
            self._consecutive_idle_responses[schema_pointer] = idle_before + 1 if is_idle else 0

    def build_report(self, operations: Iterable[Operation], reasons: Mapping[str, str]) -> CoverageReport:
        """The state of every item of these operations. `reasons`: known reasons of failure, by operationId."""
        scope = list(operations)
        visited: set[tuple[str, int]] = set()
        items = [item for operation in scope for item in self._items(operation, visited)]
        failed = (o for o in scope if self._covered.get((OPERATIONS, o.pointer)) is not True)
        never_successful = {operation.id: self._failure_reason(operation, reasons) for operation in failed}
        return CoverageReport(tuple(sorted(items, key=lambda item: ITEM_KINDS.index(item.kind))), never_successful)

    # Recording ------------------------------------------------------------------------------------------------------

    def _should_inspect(self, pointer: str, content: bytes) -> bool:
        """Whether to inspect a response: equal bodies once, and a sample if many contained nothing new."""
        body_hash = zlib.crc32(content, zlib.crc32(pointer.encode()))
        idle_count = self._consecutive_idle_responses.get(pointer, 0)
        if body_hash in self._body_hashes or (idle_count >= MAX_IDLE_RESPONSES and body_hash % IDLE_SAMPLE_INTERVAL):
            return False
        if len(self._body_hashes) < MAX_BODY_HASHES:
            self._body_hashes.add(body_hash)
        return True

    def _mark(self, kind: str, key: str, is_covered: bool) -> None:
        current = self._covered.get((kind, key))
        if current is not True and current is not is_covered:
            self._covered[kind, key] = is_covered
            self._change_count += 1

    def _record_request(self, operation: Operation, exchange: Exchange) -> None:
        request, is_success = exchange.request, exchange.response.ok
        query_values: dict[str, list[Any]] = {}
        for name, value in request.query:
            query_values.setdefault(name.split("[")[0], []).append(value)
        values_by_location = {"query": query_values, "path": request.path_values, "header": request.headers}
        for parameter in operation.parameters:
            values = values_by_location.get(parameter.location, {}).get(parameter.name)
            if values in (None, [""]):
                continue
            self._mark(PARAMETERS, _parameter_key(operation, parameter), is_success)
            node = self._node(parameter.schema_pointer)
            for value in values if isinstance(values, list) else [values]:
                for item in [value] if parameter.explode else str(value).split(","):
                    self._walk(PARAMETERS, node, item, is_success)
        if operation.request_body is not None and request.raw_body is None and request.body is not None:
            self._walk(BODY_FIELDS, self._node(operation.request_body.pointer), request.body, is_success)

    def _walk(self, kind: str, node: _SchemaNode, value: Any, is_success: bool) -> None:
        """Record what a value covers of its schema."""
        if isinstance(value, dict):
            self._walk_object(kind, node, value, is_success)
        elif isinstance(value, list):
            if node.items is not None:
                for item in value[:MAX_LIST_ROWS]:
                    self._walk(kind, node.items, item, is_success)
        else:
            self._record_scalar(kind, node, value, is_success)
        for component in node.all_of:
            self._walk(kind, component, value, is_success)
        if node.alternatives:
            self._walk(kind, _select_alternative(node, value), value, is_success)

    def _walk_object(self, kind: str, node: _SchemaNode, value: Mapping[str, Any], is_success: bool) -> None:
        for name, child in node.properties.items():
            if name in value:
                self._mark(kind, child.pointer, is_success and value[name] is not None)
            if value.get(name) is not None:
                self._walk(kind, child, value[name], is_success)

    def _record_scalar(self, kind: str, node: _SchemaNode, value: Any, is_success: bool) -> None:
        """Record a scalar; a query value may be the only item of an array."""
        enum_pointer = node.enum_pointers.get(_format_value(value)) if node.enum_pointers else None
        if enum_pointer is not None:
            self._mark(ENUM_VALUES, enum_pointer, is_success)
        if kind == PARAMETERS and node.items is not None:
            self._walk(kind, node.items, value, is_success)

    # The contract ---------------------------------------------------------------------------------------------------

    def _node(self, pointer: str) -> _SchemaNode:
        """The node of a schema. Each is built once, so that reference cycles end."""
        if pointer in self._nodes:
            return self._nodes[pointer]
        node = self._nodes[pointer] = _SchemaNode(pointer)
        schema = self.contract.document.resolve(pointer)
        if "$ref" in schema:
            node.all_of.append(self._node(schema["$ref"]))
        for name in schema.get("properties", {}):
            node.properties[name] = self._node(f"{pointer}/properties/{escape(name)}")
        if isinstance(schema.get("items"), dict):
            node.items = self._node(f"{pointer}/items")
        for value in schema.get("enum", ()):
            if value is not None:
                node.enum_pointers[_format_value(value)] = f"{pointer}/enum/{escape(_format_value(value))}"
        for keyword, subnodes in (("allOf", node.all_of), ("anyOf", node.alternatives), ("oneOf", node.alternatives)):
            subnodes += [self._node(f"{pointer}/{keyword}/{index}") for index in range(len(schema.get(keyword, ())))]
        return node

    # Reporting ------------------------------------------------------------------------------------------------------

    def _items(self, operation: Operation, visited: set[tuple[str, int]]) -> Iterator[CoverageItem]:
        """The items of an operation. `visited`: nodes that were already reported, by kind."""
        yield self._build_item(OPERATIONS, operation.id, operation.pointer)
        for parameter in operation.parameters:
            name, key = f"{operation.id} {parameter.name}", _parameter_key(operation, parameter)
            yield self._build_item(PARAMETERS, name, parameter.pointer, key)
            node = self._node(parameter.schema_pointer)
            yield from self._schema_items(PARAMETERS, node, parameter.name, visited)
        for status in operation.responses:
            yield self._build_item(STATUSES, f"{operation.id} {status}", f"{operation.pointer}/responses/{status}")
        if operation.request_body is not None:
            yield from self._schema_items(BODY_FIELDS, self._node(operation.request_body.pointer), "", visited)
        for pointer in operation.responses.values():
            if pointer is not None:
                yield from self._schema_items(RESPONSE_PROPERTIES, self._node(pointer), "", visited)

    def _schema_items(
        self, kind: str, node: _SchemaNode, name: str, visited: set[tuple[str, int]]
    ) -> Iterator[CoverageItem]:
        """The properties and enum values at and below a node."""
        if (kind, id(node)) in visited:
            return
        visited.add((kind, id(node)))
        if (ENUM_VALUES, id(node)) not in visited:
            visited.add((ENUM_VALUES, id(node)))
            for value_text, enum_pointer in node.enum_pointers.items():
                yield self._build_item(ENUM_VALUES, f"{name or 'value'} = {value_text}", node.pointer, enum_pointer)
        for property_name, child in node.properties.items():
            if _can_occur(self.contract.document, child.pointer, kind):
                if kind != PARAMETERS:
                    yield self._build_item(kind, _display_name(child.pointer), child.pointer)
                yield from self._schema_items(kind, child, property_name, visited)
        for child in [*([node.items] if node.items else []), *node.all_of, *node.alternatives]:
            yield from self._schema_items(kind, child, name, visited)

    def _build_item(self, kind: str, name: str, pointer: str, key: str = "") -> CoverageItem:
        """An item. `key`: that of `_mark` if it is not the pointer."""
        state = {True: COVERED, False: PARTIAL, None: UNCOVERED}[self._covered.get((kind, key or pointer))]
        return CoverageItem(kind, name, pointer, state)

    def _failure_reason(self, operation: Operation, reasons: Mapping[str, str]) -> str:
        counts = sorted((code, count) for (name, code), count in self._response_counts.items() if name == operation.id)
        statuses = ", ".join(f"{status} ({count} {'time' if count == 1 else 'times'})" for status, count in counts)
        reason = reasons.get(operation.id)
        return reason or (f"got {statuses}" if statuses else "never called")


def _parameter_key(operation: Operation, parameter: Parameter) -> str:
    """Key of a parameter of one operation, also if several operations share the parameter."""
    return f"{operation.id} {parameter.pointer}"


def _select_alternative(node: _SchemaNode, value: Any) -> _SchemaNode:
    """The first alternative with the most matching property names, or with the value in its enum."""
    if isinstance(value, dict):
        return max(node.alternatives, key=lambda alternative: len(value.keys() & _property_names(alternative)))
    matching = (other for other in node.alternatives if _format_value(value) in other.enum_pointers)
    return next(matching, node.alternatives[0])


def _property_names(node: _SchemaNode) -> set[str]:
    """The property names of a node and its parts."""
    return {name for part in (node, *node.all_of) for name in part.properties}


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _display_name(pointer: str) -> str:
    """``#/components/schemas/Pet/properties/name`` -> ``Pet.name``."""
    parts = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]
    if parts[:2] == ["components", "schemas"]:
        parts = parts[2:]
    hidden = ("properties", "paths", "components", "schema", "content")
    return ".".join(part for part in parts if part not in hidden)


def _can_occur(document: Document, pointer: str, kind: str) -> bool:
    """Whether a property can occur: no writeOnly property in responses, no readOnly property in requests."""
    node = document.resolve(pointer)
    return node.get("writeOnly" if kind == RESPONSE_PROPERTIES else "readOnly") is not True
