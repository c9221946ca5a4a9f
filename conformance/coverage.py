"""How much of the contract a run has touched: computed from its traffic, kept as names of places, without any body.

Of each place one of three is said. *exercised*: a success used or showed it. *reached*: it was sent but only refused,
or shown but only as null. *never*: neither. Counted are operations, their parameters and statuses, the fields of
bodies, the properties of answers, and the values of enums in all of these. Properties and enum values are places of
the contract: one of a shared schema counts once, whichever operation shows it.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.exchange import Exchange
from spec.contract import Contract, Operation, Parameter
from spec.document import Document, escape

OPERATIONS, PARAMETERS, STATUSES = "operations", "parameters", "statuses"
FIELDS, PROPERTIES, ENUM = "body fields", "answer properties", "enum values"
KINDS = (OPERATIONS, PARAMETERS, STATUSES, FIELDS, PROPERTIES, ENUM)
MOST_BODIES = 50_000  # whose hashes are kept
IDLE, SELDOM = 8, 5  # after so many answers in a row without news, only every fifth is looked at
EXERCISED, REACHED, NEVER = "exercised", "reached", "never"
MOST_ROWS = 10  # of one list in one answer that are looked at: the rest is of the same kind


@dataclass(frozen=True, slots=True)
class Item:
    """A place of the contract. `name`: as people say it. `operation`: its operationId, "" for what is shared."""

    kind: str
    name: str
    pointer: str
    operation: str
    state: str


@dataclass(frozen=True, slots=True)
class Covered:
    """The end of it: every place with its state, and why an operation never succeeded."""

    items: tuple[Item, ...]
    unsucceeded: Mapping[str, str]

    def count(self, kind: str, state: str) -> int:
        """How many places of a kind are in a state."""
        return sum(1 for item in self.items if (item.kind, item.state) == (kind, state))

    def total(self, kind: str) -> int:
        """How many places of a kind there are."""
        return sum(1 for item in self.items if item.kind == kind)

    def missed(self, kind: str) -> tuple[Item, ...]:
        """What of a kind was not exercised."""
        return tuple(item for item in self.items if item.kind == kind and item.state != EXERCISED)

    def line(self) -> str:
        """All kinds on one line."""
        told = (f"{self.count(kind, EXERCISED)} of {self.total(kind)} {kind}" for kind in KINDS if self.total(kind))
        return "coverage: " + ", ".join(told)


@dataclass(slots=True)
class _Shape:
    """A schema as far as coverage goes.

    `choices`: values of its enum, as texts. `parts`: what it is besides (a reference, `allOf`); `ways`: what it may be
    (`anyOf`, `oneOf`). `todo`: by kind, the properties that are worth another look: not the exercised and plain.
    """

    pointer: str
    properties: dict[str, "_Shape"] = field(default_factory=dict)
    items: "_Shape | None" = None
    choices: dict[str, str] = field(default_factory=dict)
    parts: list["_Shape"] = field(default_factory=list)
    ways: list["_Shape"] = field(default_factory=list)
    todo: dict[str, dict[str, "_Shape"]] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether nothing stands below it."""
        return not (self.properties or self.items or self.choices or self.parts or self.ways)


@dataclass(slots=True)
class Coverage:
    """Notes what exchanges touch. Memory is bounded by the contract: places, and nothing that was sent or answered."""

    contract: Contract
    _shapes: dict[str, _Shape] = field(default_factory=dict)
    _touched: dict[tuple[str, str], bool] = field(default_factory=dict)
    _bodies: set[int] = field(default_factory=set)
    _idle: dict[str, int] = field(default_factory=dict)
    _news: int = 0
    _answers: dict[tuple[str, int], int] = field(default_factory=dict)

    def note(self, operation: Operation, exchange: Exchange) -> None:
        """Note one exchange; requests that were broken on purpose (another method) count for their operation's not."""
        request, response = exchange.request, exchange.response
        if request.method != operation.method:
            return
        self._touch(OPERATIONS, operation.pointer, response.ok)
        self._touch(STATUSES, f"{operation.pointer}/responses/{response.status}", True)
        self._answers[operation.id, response.status] = self._answers.get((operation.id, response.status), 0) + 1
        self._sent(operation, exchange)
        shown = operation.responses.get(response.status)
        if shown is not None and response.content and self._new(shown, response.content):
            try:
                said = json.loads(response.content)
            except (ValueError, RecursionError):
                return
            before = self._news
            self._walk(PROPERTIES, self._shape(shown), said, True)
            self._idle[shown] = 0 if self._news > before else self._idle.get(shown, 0) + 1

    def covered(self, operations: Iterable[Operation], why: Mapping[str, str]) -> Covered:
        """What became of every place that these operations have. `why`: known causes, by operationId."""
        asked = list(operations)
        seen: set[tuple[str, int]] = set()
        items = [item for operation in asked for item in self._items(operation, seen)]
        failed = {o.id: self._cause(o, why) for o in asked if self._touched.get((OPERATIONS, o.pointer)) is not True}
        return Covered(tuple(sorted(items, key=lambda item: KINDS.index(item.kind))), failed)

    # Noting ---------------------------------------------------------------------------------------------------------

    def _new(self, place: str, content: bytes) -> bool:
        """Whether to look at an answer: equal bytes once, and one of a few where many have shown nothing new."""
        mark = zlib.crc32(content, zlib.crc32(place.encode()))
        idle = self._idle.get(place, 0)
        if mark in self._bodies or (idle >= IDLE and mark % SELDOM):
            return False
        if len(self._bodies) < MOST_BODIES:
            self._bodies.add(mark)
        return True

    def _touch(self, kind: str, place: str, exercised: bool) -> None:
        known = self._touched.get((kind, place))
        if known is not True and known is not exercised:
            self._touched[kind, place] = exercised
            self._news += 1

    def _sent(self, operation: Operation, exchange: Exchange) -> None:
        request, ok = exchange.request, exchange.response.ok
        sent: dict[str, list[Any]] = {}
        for name, value in request.query:
            sent.setdefault(name.split("[")[0], []).append(value)
        given = {"query": sent, "path": request.path, "header": request.headers}
        for parameter in operation.parameters:
            values = given.get(parameter.location, {}).get(parameter.name)
            if values in (None, [""]):
                continue
            self._touch(PARAMETERS, _key(operation, parameter), ok)
            shape = self._shape(f"{parameter.pointer}/schema")
            for value in values if isinstance(values, list) else [values]:
                for one in [value] if parameter.explode else str(value).split(","):
                    self._walk(PARAMETERS, shape, one, ok)
        if operation.request_body is not None and request.raw is None and request.body is not None:
            self._walk(FIELDS, self._shape(operation.request_body.pointer), request.body, ok)

    def _walk(self, kind: str, shape: _Shape, value: Any, ok: bool) -> None:
        """Note what a value touches of its schema."""
        if isinstance(value, dict):
            self._walk_object(kind, shape, value, ok)
        elif isinstance(value, list):
            self._walk_list(kind, shape, value, ok)
        else:
            self._choose(kind, shape, value, ok)
        for part in shape.parts:
            self._walk(kind, part, value, ok)
        if shape.ways:
            self._walk(kind, _way(shape, value), value, ok)

    def _walk_object(self, kind: str, shape: _Shape, value: Mapping[str, Any], ok: bool) -> None:
        todo = shape.todo.get(kind)
        if todo is None:
            todo = shape.todo[kind] = dict(shape.properties)
        for name in [name for name in todo if name in value]:
            below, one = todo[name], value[name]
            exercised = ok and one is not None
            self._touch(kind, below.pointer, exercised)
            if exercised and below.plain:
                del todo[name]
            elif one is not None:
                self._walk(kind, below, one, ok)

    def _walk_list(self, kind: str, shape: _Shape, value: list[Any], ok: bool) -> None:
        if shape.items is not None:
            for one in value[:MOST_ROWS]:
                self._walk(kind, shape.items, one, ok)

    def _choose(self, kind: str, shape: _Shape, value: Any, ok: bool) -> None:
        """Note a single value; one in a query may be the only one of a list."""
        place = shape.choices.get(_said(value)) if shape.choices else None
        if place is not None:
            self._touch(ENUM, place, ok)
        if kind == PARAMETERS and shape.items is not None:
            self._walk(kind, shape.items, value, ok)

    # The contract ---------------------------------------------------------------------------------------------------

    def _shape(self, pointer: str) -> _Shape:
        """The shape at a place; each is made once, and circles end at the one that is there."""
        known = self._shapes.get(pointer)
        if known is not None:
            return known
        shape = self._shapes[pointer] = _Shape(pointer)
        node = self.contract.document.resolve(pointer)
        if "$ref" in node:
            shape.parts.append(self._shape(node["$ref"]))
        for name in node.get("properties", {}):
            shape.properties[name] = self._shape(f"{pointer}/properties/{escape(name)}")
        if isinstance(node.get("items"), dict):
            shape.items = self._shape(f"{pointer}/items")
        for value in node.get("enum", ()):
            if value is not None:
                shape.choices[_said(value)] = f"{pointer}/enum/{escape(_said(value))}"
        for word, found in (("allOf", shape.parts), ("anyOf", shape.ways), ("oneOf", shape.ways)):
            found += [self._shape(f"{pointer}/{word}/{index}") for index in range(len(node.get(word, ())))]
        return shape

    # Counting -------------------------------------------------------------------------------------------------------

    def _items(self, operation: Operation, seen: set[tuple[str, int]]) -> Iterator[Item]:
        """What an operation has; `seen`: shapes that were told already, by kind."""
        yield self._item(OPERATIONS, operation.id, operation.pointer, operation.pointer, operation.id)
        for parameter in operation.parameters:
            name, key = f"{operation.id} {parameter.name}", _key(operation, parameter)
            yield self._item(PARAMETERS, name, key, parameter.pointer, operation.id)
            yield from self._below(PARAMETERS, self._shape(f"{parameter.pointer}/schema"), parameter.name, seen)
        for status in operation.responses:
            place = f"{operation.pointer}/responses/{status}"
            yield self._item(STATUSES, f"{operation.id} {status}", place, place, operation.id)
        if operation.request_body is not None:
            yield from self._below(FIELDS, self._shape(operation.request_body.pointer), "", seen)
        for pointer in operation.responses.values():
            if pointer is not None:
                yield from self._below(PROPERTIES, self._shape(pointer), "", seen)

    def _below(self, kind: str, shape: _Shape, name: str, seen: set[tuple[str, int]]) -> Iterator[Item]:
        """The properties and enum values at and below a shape."""
        if (kind, id(shape)) in seen:
            return
        seen.add((kind, id(shape)))
        if (ENUM, id(shape)) not in seen:
            seen.add((ENUM, id(shape)))
            for said, place in shape.choices.items():
                yield self._item(ENUM, f"{name or 'value'} = {said}", place, shape.pointer, "")
        for own, below in shape.properties.items():
            if _occurs(self.contract.document, below.pointer, kind):
                if kind != PARAMETERS:
                    yield self._item(kind, _called(below.pointer), below.pointer, below.pointer, "")
                yield from self._below(kind, below, own, seen)
        for below in [*([shape.items] if shape.items else []), *shape.parts, *shape.ways]:
            yield from self._below(kind, below, name, seen)

    def _item(self, kind: str, name: str, key: str, pointer: str, operation: str) -> Item:
        state = {True: EXERCISED, False: REACHED, None: NEVER}[self._touched.get((kind, key))]
        return Item(kind, name, pointer, operation, state)

    def _cause(self, operation: Operation, why: Mapping[str, str]) -> str:
        answers = sorted((s, times) for (name, s), times in self._answers.items() if name == operation.id)
        answered = ", ".join(f"{status} ({times} times)" for status, times in answers)
        known = why.get(operation.id)
        return known or (f"it answered {answered}" if answered else "it was never asked")


def _key(operation: Operation, parameter: Parameter) -> str:
    """A parameter of an operation, also where several share it."""
    return f"{operation.id} {parameter.pointer}"


def _way(shape: _Shape, value: Any) -> _Shape:
    """Which alternative a value is: the first that knows the most of its names, or that has it as a choice."""
    if isinstance(value, dict):
        return max(shape.ways, key=lambda way: len(value.keys() & _names(way)))
    return next((way for way in shape.ways if _said(value) in way.choices), shape.ways[0])


def _names(shape: _Shape) -> set[str]:
    """The names of its properties, its parts' too."""
    found = set(shape.properties)
    for part in shape.parts:
        found |= part.properties.keys()
    return found


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _called(pointer: str) -> str:
    """``#/components/schemas/Pet/properties/name`` -> ``Pet.name``: a place as people say it."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    if parts[:2] == ["components", "schemas"]:
        parts = parts[2:]
    return ".".join(p for p in parts if p not in ("properties", "paths", "components", "schema", "content"))


def _occurs(document: Document, pointer: str, kind: str) -> bool:
    """Whether a property can occur there: hidden ones are in no answer, server-set ones in no request."""
    node = document.resolve(pointer)
    return node.get("writeOnly" if kind == PROPERTIES else "readOnly") is not True
