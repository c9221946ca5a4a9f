"""What a contract gap asks for: the edit of the contract that would admit what was seen, or what is to be confirmed.

A gap is a broken promise that rests on inferred places: as likely as not it is the contract that is wrong. Where an
answer breaks its schema, or has a status that the contract lacks, the edit follows from the answer itself; it is read
anew from the exchange that shows it, so that a law has to hand over nothing but its outcome.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from conformance.edits import CannotEdit, Edit, Source, diff
from conformance.exchange import Exchange
from conformance.notice import place_of
from conformance.outcome import Outcome, Verdict
from spec.contract import Contract
from spec.document import Document, escape, iter_keyword_objects, split_pointer
from spec.errors import ContractError
from spec.schemas import SchemaValidators, SchemaViolation

LONGEST_NAME = 64
LONGEST_TEXT = 10_000  # the bound of a text that was seen for the first time
LARGEST = 2**53 - 1
MOST_ITEMS = 1_000
NULL: Mapping[str, Any] = {"type": "object", "nullable": True, "enum": [None]}
_NAME = re.compile(r"[A-Za-z0-9_$][A-Za-z0-9_.$ -]*")
# What only one type of value can break, and makes no sense beside another.
_OF_TYPE: Mapping[str, tuple[str, ...]] = {
    "string": ("format", "minLength", "maxLength", "pattern", "enum"),
    "integer": ("format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum"),
    "number": ("format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "enum"),
    "array": ("items", "minItems", "maxItems", "uniqueItems"),
    "object": ("properties", "required", "additionalProperties"),
    "boolean": ("enum",),
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to do about a gap.

    `said`: for people. `edits`: none when it is for people to decide. `diff`: the edits as a unified diff, or "".
    """

    pointer: str
    keyword: str
    said: str
    edits: tuple[Edit, ...] = ()
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Proposer:
    """Proposes edits of one contract. `name`: of its file, as diffs say it."""

    contract: Contract
    schemas: SchemaValidators
    name: str
    _source: list[Source] = field(default_factory=list)
    _diffs: dict[str, str] = field(default_factory=dict)

    def proposal(self, outcome: Outcome) -> Proposal:
        """What to do about a broken promise."""
        for exchange in reversed(outcome.shown):
            found = self._of_status(outcome, exchange) or self._of_body(outcome, exchange)
            if found is not None:
                return self._drawn(found)
        promise = outcome.promise
        said = f'Confirm with who runs the backend whether this is due: "{promise.sentence}" If not, correct the place.'
        return Proposal(promise.pointer, "", said)

    def _drawn(self, proposal: Proposal) -> Proposal:
        """With its diff; without the edits when the text cannot be edited so."""
        if not proposal.edits:
            return proposal
        try:
            if not self._source:
                self._source.append(Source.of(self.contract.document.content.decode("utf-8")))
            same = repr(proposal.edits)  # one schema is shown by many operations; a diff takes a tenth of a second
            if same not in self._diffs:
                self._diffs[same] = diff(self._source[0], proposal.edits, self.name)
            shown = self._diffs[same]
        except (CannotEdit, UnicodeDecodeError):
            return Proposal(proposal.pointer, proposal.keyword, f"{proposal.said} (By hand: its layout is unusual.)")
        return Proposal(proposal.pointer, proposal.keyword, proposal.said, proposal.edits, shown)

    # A status -------------------------------------------------------------------------------------------------------

    def _of_status(self, outcome: Outcome, exchange: Exchange) -> Proposal | None:
        operation = self.contract.operations.get(exchange.request.operation)
        status = exchange.response.status
        at = outcome.promise.pointer
        if operation is None or at != f"{operation.pointer}/responses" or status in operation.responses:
            return None
        said = f"Confirm that {operation.id} answers {status}; then the contract says so:"
        return Proposal(at, str(status), said, (Edit(at, str(status), self._answer(status)),))

    def _answer(self, status: int) -> dict[str, Any]:
        """What most operations say of a status; else its name."""
        told: dict[str, int] = {}
        for node, pointer in iter_keyword_objects(self.contract.document.root):
            if pointer.startswith("#/paths/") and pointer.endswith(f"/responses/{status}") and "$ref" in node:
                told[node["$ref"]] = told.get(node["$ref"], 0) + 1
        if told:
            return {"$ref": max(told, key=lambda name: told[name])}
        known = status in {one.value for one in HTTPStatus}
        return {"description": f"{HTTPStatus(status).phrase}." if known else f"Status {status}."}

    # A body ---------------------------------------------------------------------------------------------------------

    def _of_body(self, outcome: Outcome, exchange: Exchange) -> Proposal | None:
        operation = self.contract.operations.get(exchange.request.operation)
        body = operation.responses.get(exchange.response.status) if operation else None
        if body is None:
            return None
        here: dict[str, list[SchemaViolation]] = {}
        told: list[str] = []
        for breach in self.schemas.get(body, "read").iter_errors(exchange.response.json):
            place, keyword = place_of(body, breach.schema_path)
            if place == outcome.promise.pointer:
                here.setdefault(keyword, []).append(breach)
                told += [keyword] if breach.message[:300] in outcome.said else []
        if not here:
            return None
        keyword = told[0] if told else next(iter(here))
        return self._admitting(body, outcome.promise.pointer, keyword, here[keyword])

    def _admitting(self, body: str, place: str, keyword: str, breaches: list[SchemaViolation]) -> Proposal:
        found = _Breaches(self.contract.document, body, place, keyword, breaches)
        edits = tuple(found.edits())
        if edits:
            return Proposal(place, keyword, f"Confirm that the backend is right: {found.said()}; then edit:", edits)
        said = f"Confirm which is right, the backend or `{keyword}` at this place: {found.said()}."
        return Proposal(place, keyword, said)


@dataclass(frozen=True, slots=True)
class _Breaches:
    """Breaches of one keyword at one place; `body`: the schema of the whole answer."""

    document: Document
    body: str
    place: str
    keyword: str
    breaches: list[SchemaViolation]

    @property
    def schema(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.document.resolve(self.place)
        return found

    def said(self) -> str:
        """What is asked of the contract, in words without any value."""
        kind = self.breaches[0].kind.name
        null = self.breaches[0].instance is None and kind in ("type", "enum", "anyOf", "oneOf")
        return "the value may be null" if null else _SAID.get(kind, "what it answers is meant")

    def edits(self) -> Iterator[Edit]:
        """What would admit what was seen; nothing where that is for people to decide."""
        kind = self.breaches[0].kind.name
        if self.breaches[0].instance is None and kind in ("type", "enum"):
            yield from self._nullable()
        elif kind in _EDITS:
            yield from _EDITS[kind](self)

    def _unknown_keys(self) -> Iterator[Edit]:
        names: dict[str, Any] = {}
        for breach in self.breaches:
            for name in breach.kind.unexpected:
                seen = breach.instance[name]
                names[name] = seen if names.get(name) is None else names[name]
        if any(len(name) > LONGEST_NAME or not _NAME.fullmatch(name) for name in names):
            return  # data, not names: a map, or nonsense
        if "properties" not in self.schema:
            yield Edit(self.place, "properties", {name: schema_of(seen) for name, seen in names.items()})
            return
        for name, seen in names.items():
            yield Edit(f"{self.place}/properties", name, schema_of(seen))

    def _missing_keys(self) -> Iterator[Edit]:
        gone = {breach.kind.property for breach in self.breaches}
        left = [name for name in self.schema.get("required", ()) if name not in gone]
        yield Edit(self.place, "required", left) if left else Edit(self.place, "required", gone=True)

    def _choices(self) -> Iterator[Edit]:
        choices = list(self.schema.get("enum", ()))
        for breach in self.breaches:
            if not isinstance(breach.instance, (str, int, float)) or len(str(breach.instance)) > LONGEST_NAME:
                return
            choices += [] if breach.instance in choices else [breach.instance]
        yield Edit(self.place, "enum", choices)

    def _type(self) -> Iterator[Edit]:
        seen = {kind_of(breach.instance) for breach in self.breaches} - {"null"}
        was = self.schema.get("type")
        if seen <= {"integer", "number"}:
            seen = {"number"} if was == "integer" else seen
        if len(seen) != 1:
            return
        (now,) = seen
        yield Edit(self.place, "type", now)
        for word in _OF_TYPE.get(str(was), ()):
            if word in self.schema and word not in _OF_TYPE.get(now, ()):
                yield Edit(self.place, word, gone=True)
        if now == "array" and "items" not in self.schema:
            yield Edit(self.place, "items", {})

    def _bound(self) -> Iterator[Edit]:
        measure = len if "Length" in self.keyword or "Items" in self.keyword else (lambda value: value)
        pick: Callable[[list[Any]], Any] = min if "min" in self.keyword.lower() else max
        seen = pick([measure(breach.instance) for breach in self.breaches])
        if self.keyword.startswith("exclusive"):
            yield Edit(self.place, self.keyword, gone=True)
            yield Edit(self.place, self.keyword.removeprefix("exclusive").lower(), seen)
        else:
            yield Edit(self.place, self.keyword, seen)

    def _lifted(self) -> Iterator[Edit]:
        yield Edit(self.place, self.keyword, gone=True)

    def _alternatives(self) -> Iterator[Edit]:
        """Null as one more, or what the alternative needs that comes nearest."""
        breach = self.breaches[0]
        if breach.instance is None:
            yield Edit(self.place, self.keyword, [*self.schema[self.keyword], dict(NULL)])
            return
        at = list(breach.instance_path)
        ways = [list(way) for way in breach.kind.context]
        ways = [way for way in ways if not any(b.kind.name == "type" and list(b.instance_path) == at for b in way)]
        nearest = min(ways, key=len, default=[])
        groups: dict[tuple[str, str], list[SchemaViolation]] = {}
        for inner in nearest:
            groups.setdefault(place_of(self.body, inner.schema_path), []).append(inner)
        for (place, keyword), found in groups.items():
            yield from _Breaches(self.document, self.body, place, keyword, found).edits()

    def _nullable(self) -> Iterator[Edit]:
        """Null at the property itself, not in all that shares its schema."""
        site = site_of(self.document, self.body, self.breaches[0].instance_path) or self.place
        node = self.document.resolve(site)
        shared = node if "$ref" in node else next(iter(node.get("allOf", ())), {})
        if "type" in node:
            yield Edit(site, "nullable", True)
            if "enum" in node and None not in node["enum"]:
                yield Edit(site, "enum", [*node["enum"], None])
        elif "$ref" in shared:
            yield Edit(site, "anyOf", [{"$ref": shared["$ref"]}, dict(NULL)])
            yield Edit(site, "$ref" if "$ref" in node else "allOf", gone=True)


_SAID: Mapping[str, str] = {
    "additionalProperties": "answers have keys that the contract does not know",
    "required": "a key may be missing",
    "enum": "there are more values",
    "type": "values are of another type",
    "format": "values have another format",
    "pattern": "values have another form",
    "uniqueItems": "an entry may come twice",
    "falseSchema": "a property is shown that is said to be hidden (writeOnly)",
    "anyOf": "it fits none of the alternatives",
    "oneOf": "it fits none of the alternatives, or several",
} | dict.fromkeys(
    ("minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"),
    "values go beyond the bound",
)
_EDITS: Mapping[str, Callable[[_Breaches], Iterator[Edit]]] = {
    "additionalProperties": _Breaches._unknown_keys,
    "required": _Breaches._missing_keys,
    "enum": _Breaches._choices,
    "type": _Breaches._type,
    "anyOf": _Breaches._alternatives,
    **dict.fromkeys(("format", "pattern", "uniqueItems", "multipleOf"), _Breaches._lifted),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"), _Breaches._bound),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), _Breaches._bound),
}


def proposals(
    contract: Contract, schemas: SchemaValidators, name: str, outcomes: Iterable[Outcome]
) -> dict[tuple[str, str], Proposal]:
    """(fingerprint, what was said) of each broken promise that rests on inferred places -> what to do about it.

    Also of those that are red under ``--strict``. `name`: the contract's file, for diffs.
    """
    proposer = Proposer(contract, schemas, name)
    gaps = (o for o in outcomes if o.verdict is Verdict.BROKEN and not o.promise.blocks(strict=False))
    return {(outcome.promise.fingerprint, outcome.said): proposer.proposal(outcome) for outcome in gaps}


def kind_of(value: Any) -> str:
    """The JSON type of a value, in OpenAPI's words; ``null`` for null."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    kinds = ((int, "integer"), (float, "number"), (str, "string"), (list, "array"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "object")


def schema_of(value: Any) -> dict[str, Any]:
    """A schema for a value that was seen for the first time: its type and generous bounds, nothing of the value.

    Nullable, because nothing fills it in records that were made without it.
    """
    kind = kind_of(value)
    bounds: dict[str, Any] = {}
    if kind == "null":
        kind = "string"
    if kind == "string":
        bounds = {"maxLength": LONGEST_TEXT}
    elif kind == "integer":
        bounds = {"minimum": -LARGEST, "maximum": LARGEST}
    elif kind == "array":
        bounds = {"items": schema_of(value[0]) if value else {}, "maxItems": MOST_ITEMS}
    return {"type": kind, **bounds, "nullable": True}


def site_of(document: Document, body: str, path: Iterable[Any]) -> str | None:
    """Where the schema of a part of an answer begins, before its references are followed; None where that is open."""
    site = body
    for step in path:
        word = "items" if isinstance(step, int) else f"properties/{escape(str(step))}"
        below = next((f"{at}/{word}" for at in _alternatives(document, site) if _there(document, f"{at}/{word}")), None)
        if below is None:
            return None
        site = below
    return site


def _alternatives(document: Document, pointer: str, depth: int = 0) -> Iterator[str]:
    """The schemas that may say what a place holds: itself through references, `allOf`, `anyOf` and `oneOf`."""
    if depth > 10:
        return
    node, pointer = document.dereference(document.resolve(pointer), pointer)
    yield pointer
    for word in ("allOf", "anyOf", "oneOf"):
        for index in range(len(node.get(word, ()))):
            yield from _alternatives(document, f"{pointer}/{word}/{index}", depth + 1)


def _there(document: Document, pointer: str) -> bool:
    try:
        node: Any = document.root
        for part in split_pointer(pointer):
            node = node[int(part)] if isinstance(node, list) else node[part]
    except (LookupError, ValueError, TypeError, ContractError):
        return False
    return isinstance(node, dict)
