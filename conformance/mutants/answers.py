"""Mutants whose answers break their schema: a key dropped, null, another type, an unknown value, a key too many."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.mutants.mutant import Mutant, drawn
from conformance.mutants.planted import Answered, Ask, Asked, Fault
from conformance.mutants.probes import succeed
from spec.contract import Contract, Operation
from spec.document import Document, escape

EACH = "*"
DEEPEST = 4
LONGEST = 5_000
NOTHING = object()
Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A property of an answer. `path`: names, and EACH for every item. `pointer`: of the property's schema.

    `schema`: unwrapped; `holder`: pointer of the object's schema that says whether it is required.
    """

    path: tuple[str, ...]
    pointer: str
    schema: Mapping[str, Any]
    holder: str
    required: bool
    nullable: bool

    @property
    def id(self) -> str:
        """Its path, for people."""
        return ".".join(self.path)


def places(document: Document, pointer: str) -> Iterator[Place]:
    """Every property that an answer may have, down to where relations begin."""
    yield from _below(document, document.resolve(pointer), pointer, ())


def unwrapped(document: Document, schema: Mapping[str, Any], pointer: str) -> tuple[Mapping[str, Any], str, bool]:
    """Through `$ref`, a lone `allOf` and the first alternative: the schema, its pointer, whether it may be null."""
    nullable = False
    for _ in range(20):
        nullable = nullable or schema.get("nullable") is True
        if "$ref" in schema:
            schema, pointer = document.dereference(schema, pointer)
        elif len(schema.get("allOf", ())) == 1:
            schema, pointer = schema["allOf"][0], f"{pointer}/allOf/0"
        elif word := next((w for w in ("anyOf", "oneOf") if schema.get(w)), None):
            nullable = nullable or any(one.get("nullable") is True for one in schema[word])
            schema, pointer = schema[word][0], f"{pointer}/{word}/0"
        else:
            break
    return schema, pointer, nullable


def _below(document: Document, node: Mapping[str, Any], at: str, path: tuple[str, ...]) -> Iterator[Place]:
    schema, pointer, _ = unwrapped(document, node, at)
    if schema.get("type") == "array" and len(path) < DEEPEST:
        yield from _below(document, schema.get("items", {}), f"{pointer}/items", (*path, EACH))
    for name, below in schema.get("properties", {}).items():
        where = f"{pointer}/properties/{escape(name)}"
        said, _, nullable = unwrapped(document, below, where)
        if below.get("writeOnly"):
            continue
        yield Place((*path, name), where, said, pointer, name in schema.get("required", ()), nullable)
        if "x-relation" not in below and len(path) < DEEPEST:
            yield from _below(document, below, where, (*path, name))


def changed(value: Any, path: tuple[str, ...], change: Change) -> Any:
    """The value with what stands at a path changed, where it stands there; NOTHING takes it away."""
    if not path:
        return change(value)
    name, *rest = path
    if name == EACH:
        return [changed(one, tuple(rest), change) for one in value] if isinstance(value, list) else value
    if not isinstance(value, dict) or name not in value:
        return value
    below = changed(value[name], tuple(rest), change)
    return {k: below if k == name else v for k, v in value.items() if k != name or below is not NOTHING}


def answering(change: Change, path: tuple[str, ...] = ()) -> Callable[[], Fault]:
    """What plants a fault that changes the JSON of successes at a path."""

    async def fault(asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        if not answered.ok or answered.json is None:
            return answered
        return answered.showing(changed(copy.deepcopy(answered.json), path, change))

    return lambda: fault


# Operators: what of a place can be broken, and how ---------------------------------------------------------------

_OTHER_TYPES: Mapping[str, Any] = {
    "string": 12345,
    "integer": "twelve",
    "number": "twelve",
    "boolean": "perhaps",
    "object": ["a", "list"],
    "array": {"an": "object"},
}


def _dropped(place: Place) -> Change | None:
    return (lambda value: NOTHING) if place.required else None


def _nulled(place: Place) -> Change | None:
    free = place.nullable or "type" not in place.schema
    return None if free else lambda value: None


def _retyped(place: Place) -> Change | None:
    other = _OTHER_TYPES.get(str(place.schema.get("type")))
    return None if other is None else lambda value: other if value is not None else value


def _unlisted(place: Place) -> Change | None:
    known = place.schema.get("enum")
    if not known or place.schema.get("type") != "string":
        return None
    return lambda value: "conformance-unknown" if value is not None else value


def _misformed(place: Place) -> Change | None:
    known = place.schema.get("format") in ("uuid", "date-time", "date", "uri", "email")
    return (lambda value: "of no such format" if value is not None else value) if known else None


def _beyond(place: Place) -> Change | None:
    schema = place.schema
    if schema.get("type") == "string" and schema.get("maxLength", LONGEST) < LONGEST and not _misformed(place):
        return lambda value: "x" * (schema["maxLength"] + 1) if value is not None else value
    if schema.get("type") in ("integer", "number") and "minimum" in schema:
        return lambda value: schema["minimum"] - 1 if value is not None else value
    return None


def _admitting(place: Place) -> Change | None:
    if place.schema.get("type") != "object" or place.schema.get("additionalProperties") is not False:
        return None
    return lambda value: {**value, "conformance_unknown": 1} if isinstance(value, dict) else value


# family -> (operator, how many of an operation, the keyword of the schema, the sentence).
OPERATORS: Mapping[str, tuple[Callable[[Place], Change | None], int, str, str]] = {
    "schema-drop": (_dropped, 2, "required", "A required key is there."),
    "schema-null": (_nulled, 2, "nullable", "What is not nullable is not null."),
    "schema-type": (_retyped, 2, "type", "A value has the type that its schema says."),
    "schema-enum": (_unlisted, 1, "enum", "A value is one of those that its schema lists."),
    "schema-format": (_misformed, 1, "format", "A text has the format that its schema says."),
    "schema-bounds": (_beyond, 1, "maxLength", "A value is within the bounds of its schema."),
    "schema-extra": (
        _admitting,
        1,
        "additionalProperties",
        "A closed object has no key that its schema does not name.",
    ),
}


def mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every operation that answers JSON."""
    for operation in contract.operations.values():
        if operation.envelope.schema_pointer is not None:
            found = list(places(contract.document, operation.envelope.schema_pointer))
            for family, (operator, most, keyword, sentence) in OPERATORS.items():
                fitting = [(place, change) for place in found if (change := operator(place)) is not None]
                by_place = {place.id: change for place, change in fitting}
                for place in drawn((place for place, _ in fitting), most, family, operation.id):
                    yield _mutant(operation, family, place, keyword, sentence, by_place[place.id])


def _mutant(operation: Operation, family: str, place: Place, keyword: str, sentence: str, change: Change) -> Mutant:
    pointer = place.holder if keyword == "required" else place.pointer
    return Mutant(
        family,
        operation.id,
        place.id,
        sentence,
        pointer,
        answering(change, place.path),
        succeed,
        keyword,
        schema=True,
    )
