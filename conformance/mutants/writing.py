"""Mutants of writes: lost, misplaced, incomplete, or doing more than was asked.

After EvoMaster's experimental faults 900 to 908 (a delete that deletes nothing, effects of a refused change, a put that
is partial or not idempotent) and RESTler's rules (use after free, leak of a resource).
"""

import html
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from conformance.mutants.mutant import Mutant, drawn
from conformance.mutants.planted import Answered, Ask, Asked, Fault
from conformance.mutants.probes import refused_in_part, texts, written
from conformance.session import Session
from spec.contract import Attribute, BodyField, Contract, Operation, Resource
from spec.model import GENERIC_ACTIONS

EVOMASTER, RESTLER = "EvoMaster httpOracles 900-908", "RESTler, checkers of resource lifecycle"
EACH = 2  # fields of an operation that are broken one by one


@dataclass(frozen=True, slots=True)
class Life:
    """The operations on one resource that a record's life goes through."""

    contract: Contract
    resource: Resource
    by_action: Mapping[str, Operation]

    @classmethod
    def of(cls, contract: Contract, resource: Resource) -> "Life":
        """Those that the contract has."""
        found = {o.action: o for o in contract.operations.values() if o.resource == resource.name}
        for operation in found.values():
            if contract.find_created_resource(operation) == resource.name:
                found = {**found, "create": operation}
        return cls(contract, resource, {a: o for a, o in found.items() if a in GENERIC_ACTIONS})

    def record(self, answered: Answered, action: str) -> dict[str, Any]:
        """The record that an answer shows; nothing when it shows none."""
        data, body = self.by_action[action].envelope.data_property, answered.json
        shown = body.get(data) if data and isinstance(body, dict) else body
        return dict(shown) if isinstance(shown, dict) else {}

    def showing(self, answered: Answered, action: str, changes: Mapping[str, Any]) -> Answered:
        """The answer with changes to the record that it shows."""
        data = self.by_action[action].envelope.data_property
        shown = {**self.record(answered, action), **changes}
        return answered.showing({**answered.json, data: shown} if data else shown)

    def written(self, action: str) -> list[tuple[BodyField, Attribute]]:
        """The fields of a body that are shown properties of the record."""
        operation = self.by_action.get(action)
        view = self.contract.views.get(operation.envelope.view_name or "") if operation else None
        found = []
        for one in operation.request_body.fields.values() if operation and operation.request_body and view else ():
            named = self.resource.attributes.get(one.name)
            if (
                named is not None
                and one.relation_setter is None
                and one.x_query is None
                and view
                and named.name in view.property_names
            ):
                found.append((one, named))
        return found

    async def others(self, asked: Asked, ask: Ask) -> list[str]:
        """The keys of the records of the list's first page but the asked one."""
        listing = self.by_action.get("list")
        if listing is None:
            return []
        answered = await ask(asked.of(listing))
        body = answered.json
        rows = body.get(listing.envelope.data_property) if answered.ok and listing.envelope.data_property else []
        keys = [str(row[self.resource.key_attribute]) for row in rows if self.resource.key_attribute in row]
        return [key for key in keys if key not in asked.values.values()]


def mutants(contract: Contract) -> Iterator[Mutant]:
    """Of every resource that can be created and retrieved."""
    for resource in contract.resources.values():
        life = Life.of(contract, resource)
        if {"create", "retrieve"} <= life.by_action.keys():
            yield from _creates(life)
            yield from _updates(life)
            yield from _fields(life)
            yield from _stamps(life)
            yield from _deletes(life)
            yield from _reads(life)
            yield from _texts(life)


def _mutant(
    life: Life, action: str, family: str, detail: str, sentence: str, plant: Callable[[], Fault], **more: Any
) -> Mutant:
    """On the operation that does `action`; `more`: fields of Mutant that are not as usual."""
    operation = life.by_action[action]
    usual = {"pointer": operation.pointer, "probe": partial(_lived, by=life.by_action["create"])}
    return Mutant(family, operation.id, detail, sentence, plant=plant, **{**usual, **more})


def _lived(session: Session, operation: Operation, by: Operation) -> None:
    written(session, by)


def _of(step: Fault) -> Callable[[], Fault]:
    return lambda: step


def other(value: Any, like: Attribute) -> Any:
    """Another value that the schema of a property admits, of the same kind."""
    if like.enum_values:
        return next((c for c in like.enum_values if c != value and c is not None), value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str) and like.format is None:
        return f"{value[: len(value) // 2]} conformance"[: max(1, len(value))]
    return value


# Create --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Creating:
    """Wrong ways to create. `name`, `like`: of the field that is stored wrong."""

    life: Life
    name: str = ""
    like: Attribute | None = None

    async def lost(self, asked: Asked, ask: Ask) -> Answered:
        """Gone as soon as it is answered."""
        answered = await ask(asked)
        key = self.life.record(answered, "create").get(self.life.resource.key_attribute) if answered.ok else None
        if key is not None:
            await ask(asked.of(self.life.by_action["delete"], key))
        return answered

    async def doubled(self, asked: Asked, ask: Ask) -> Answered:
        """Two records for one."""
        await ask(asked)
        return await ask(asked)

    async def echoed(self, asked: Asked, ask: Ask) -> Answered:
        """One field answered as it was sent, and stored otherwise."""
        body = asked.json
        if not isinstance(body, dict) or self.name not in body or self.like is None:
            return await ask(asked)
        answered = await ask(asked.saying({**body, self.name: other(body[self.name], self.like)}))
        return self.life.showing(answered, "create", {self.name: body[self.name]}) if answered.ok else answered


def _creates(life: Life) -> Iterator[Mutant]:
    wrong = Creating(life)
    if "delete" in life.by_action:
        sentence = "What create answers is there on the next request."
        yield _mutant(life, "create", "create", "lost", sentence, _of(wrong.lost), source=EVOMASTER)
    sentence = "A create makes one record."
    yield _mutant(life, "create", "create", "twice", sentence, _of(wrong.doubled))
    required = [(one, named) for one, named in life.written("create") if one.required]
    for one, named in drawn(required, EACH, "create", life.resource.name):
        fault, sentence = Creating(life, one.name, named).echoed, "What create is sent is stored."
        yield _mutant(life, "create", "create", f"{one.name} not stored", sentence, _of(fault), pointer=one.pointer)


# Update --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Updating:
    """Wrong ways to update. `name`: of the field that is stored wrong."""

    life: Life
    name: str = ""

    def _moved(self, asked: Asked, key: object) -> Asked:
        """The same request to another record."""
        return replace(asked.of(asked.operation, key, query=asked.query), body=asked.body, headers=asked.headers)

    async def lost(self, asked: Asked, ask: Ask) -> Answered:
        """Answered as if it were stored."""
        seen = await ask(asked.of(self.life.by_action["retrieve"], *asked.values.values()))
        body = asked.json
        if not seen.ok or not isinstance(body, dict):
            return await ask(asked)
        known = {n: v for n, v in body.items() if n in self.life.record(seen, "retrieve")}
        return self.life.showing(seen, "update", known)

    async def beside(self, asked: Asked, ask: Ask) -> Answered:
        """Another record too."""
        others = await self.life.others(asked, ask)
        answered = await ask(asked)
        if answered.ok and others:
            await ask(self._moved(asked, others[0]))
        return answered

    async def instead(self, asked: Asked, ask: Ask) -> Answered:
        """Another record in its place."""
        others = await self.life.others(asked, ask)
        if not others:
            return await ask(asked)
        answered = await ask(self._moved(asked, others[0]))
        kept = {self.life.resource.key_attribute: next(iter(asked.values.values()))}
        return self.life.showing(answered, "update", kept) if answered.ok else answered

    async def refused(self, asked: Asked, ask: Ask) -> Answered:
        """Refused, and stored but for the field that is wrong."""
        answered = await ask(asked)
        body = asked.json
        if answered.status == 422 and isinstance(body, dict):
            wrong = {name.partition(".")[0] for name in (answered.json or {}).get("errors", {})}
            left = {n: v for n, v in body.items() if n not in wrong}
            if left:
                await ask(asked.saying(left))
        return answered

    async def dropped(self, asked: Asked, ask: Ask) -> Answered:
        """One field answered as it was sent, and not stored."""
        body = asked.json
        if not isinstance(body, dict) or self.name not in body:
            return await ask(asked)
        answered = await ask(asked.saying({n: v for n, v in body.items() if n != self.name}))
        return self.life.showing(answered, "update", {self.name: body[self.name]}) if answered.ok else answered

    async def reset(self, asked: Asked, ask: Ask) -> Answered:
        """One field null when it is not sent."""
        body = asked.json
        if not isinstance(body, dict) or self.name in body:
            return await ask(asked)
        return await ask(asked.saying({**body, self.name: None}))

    async def touched(self, asked: Asked, ask: Ask) -> Answered:
        """A record that is changed by being retrieved."""
        answered = await ask(asked)
        shown = self.life.record(answered, "retrieve") if answered.ok else {}
        if isinstance(shown.get(self.name), str):
            update = asked.of(self.life.by_action["update"], *asked.values.values())
            await ask(update.saying({self.name: f"{shown[self.name]}."}))
        return answered

    async def swapped(self, asked: Asked, ask: Ask) -> Answered:
        """Another record retrieved in its place."""
        others = await self.life.others(asked, ask)
        answered = await ask(asked)
        if not answered.ok or not others:
            return answered
        instead = await ask(asked.of(asked.operation, others[0], query=asked.query))
        return instead if instead.ok else answered


def _updates(life: Life) -> Iterator[Mutant]:
    if "update" not in life.by_action:
        return
    wrong, stored = Updating(life), "An update is stored."
    yield _mutant(life, "update", "update", "lost", stored, _of(wrong.lost), source=EVOMASTER)
    yield _mutant(life, "update", "update", "applied to another record", stored, _of(wrong.instead))
    sentence = "A write changes no other record."
    yield _mutant(life, "update", "frame", "update changes another too", sentence, _of(wrong.beside), always=True)
    sentence = "A refused write changes nothing."
    more = {"probe": refused_in_part, "always": True, "source": EVOMASTER}
    detail = "applied but for the wrong field"
    yield _mutant(life, "update", "refused-write", detail, sentence, _of(wrong.refused), **more)


def _fields(life: Life) -> Iterator[Mutant]:
    """One field is not stored; one that was not sent is changed."""
    fields = [(one, named) for one, named in life.written("update") if named.type in ("string", "integer", "boolean")]
    for one, _ in drawn(fields, EACH, "update", life.resource.name):
        fault, more = Updating(life, one.name).dropped, {"pointer": one.pointer, "source": EVOMASTER}
        sentence = "An update is stored."
        yield _mutant(life, "update", "update", f"{one.name} not stored", sentence, _of(fault), **more)
    for one, _ in drawn([f for f in fields if f[1].nullable], EACH, "reset", life.resource.name):
        fault, sentence = Updating(life, one.name).reset, "What was not sent stays as it was."
        yield _mutant(life, "update", "update", f"{one.name} reset", sentence, _of(fault), source=EVOMASTER)


@dataclass(frozen=True, slots=True)
class Stamped:
    """Shows the stamp `name` as the stamp `like`."""

    life: Life
    name: str
    like: str

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        action = asked.operation.action
        shown = self.life.record(answered, action) if answered.ok else {}
        known = self.name in shown and self.like in shown
        return self.life.showing(answered, action, {self.name: shown[self.like]}) if known else answered


def _stamps(life: Life) -> Iterator[Mutant]:
    if "update" not in life.by_action:
        return
    both = frozenset(o.id for a, o in life.by_action.items() if a in ("retrieve", "update"))
    kinds = (
        ("created", "updated", "A created stamp never moves."),
        ("updated", "created", "An updated stamp moves with an update."),
    )
    for stamp, like, sentence in kinds:
        for name, instead in zip(
            life.resource.attributes_with_stamp(stamp), life.resource.attributes_with_stamp(like), strict=False
        ):
            pointer = life.resource.attributes[name].pointer
            more = {"pointer": pointer, "operations": both, "keyword": "x-stamp"}
            fault = Stamped(life, name, instead)
            yield _mutant(life, "update", f"{stamp}-stamp", f"{name} is {instead}", sentence, _of(fault), **more)


# Delete --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deleting:
    """Wrong ways to delete."""

    life: Life

    async def kept(self, asked: Asked, ask: Ask) -> Answered:
        """Nothing at all."""
        seen = await ask(asked.of(self.life.by_action["retrieve"], *asked.values.values()))
        return Answered(asked.operation.envelope.status, {}, b"") if seen.ok else await ask(asked)

    async def beside(self, asked: Asked, ask: Ask) -> Answered:
        """Another record too."""
        others = await self.life.others(asked, ask)
        answered = await ask(asked)
        if answered.ok and others:
            await ask(asked.of(asked.operation, others[0]))
        return answered

    async def again(self, asked: Asked, ask: Ask) -> Answered:
        """A success where there is nothing to delete."""
        answered = await ask(asked)
        return Answered(asked.operation.envelope.status, {}, b"") if answered.status == 404 else answered


@dataclass(slots=True)
class Haunted:
    """Goes on showing what was deleted, where it is retrieved or in the list: `action` says which."""

    life: Life
    action: str
    seen: dict[str, Answered] = field(default_factory=dict)

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        key = next(iter(asked.values.values()), "")
        if asked.operation.action == "delete":
            return await self._deleted(asked, ask, key)
        answered = await ask(asked)
        if asked.operation.action != self.action:
            return answered
        if self.action == "retrieve":
            return self.seen.get(key, answered)
        data = asked.operation.envelope.data_property
        if not answered.ok or data is None:
            return answered
        gone = [self.life.record(one, "retrieve") for one in self.seen.values()]
        return answered.showing({**answered.json, data: [*gone, *answered.json[data]]})

    async def _deleted(self, asked: Asked, ask: Ask, key: str) -> Answered:
        seen = await ask(asked.of(self.life.by_action["retrieve"], key))
        answered = await ask(asked)
        if answered.ok and seen.ok:
            self.seen[key] = seen
        return answered


def _deletes(life: Life) -> Iterator[Mutant]:
    if "delete" not in life.by_action:
        return
    wrong, gone = Deleting(life), "A deleted record is gone."
    yield _mutant(life, "delete", "delete", "deletes nothing", gone, _of(wrong.kept), source=EVOMASTER)
    sentence = "A write changes no other record."
    yield _mutant(life, "delete", "frame", "deletes another too", sentence, _of(wrong.beside), always=True)
    sentence = "To delete what is not there answers 404."
    yield _mutant(life, "delete", "delete", "again and again", sentence, _of(wrong.again), source=RESTLER)
    for action in ("retrieve", "list"):
        if action in life.by_action:
            both = frozenset({life.by_action["delete"].id, life.by_action[action].id})
            plant = partial(Haunted, life, action)
            more = {"operations": both, "source": RESTLER}
            yield _mutant(life, "delete", "delete", f"still there to {action}", gone, plant, **more)


# Reading -------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stale:
    """Answers what it answered first."""

    seen: dict[str, Answered] = field(default_factory=dict)

    async def __call__(self, asked: Asked, ask: Ask) -> Answered:
        answered = await ask(asked)
        return self.seen.setdefault(asked.path + str(asked.query), answered) if answered.ok else answered


def _reads(life: Life) -> Iterator[Mutant]:
    for action in ("retrieve", "list"):
        if action in life.by_action:
            sentence = "A write is there on the next request."
            yield _mutant(life, action, "stale-read", f"{action} answers what it did first", sentence, Stale)
    plain = (f for f, p in life.written("update") if p.type == "string" and not p.enum_values and not p.format)
    one = next(plain, None)
    if one is not None:
        wrong, sentence = Updating(life, one.name), "To read changes nothing."
        yield _mutant(life, "retrieve", "reading", f"changes {one.name}", sentence, _of(wrong.touched), always=True)
        sentence = "The record that was asked for is answered."
        yield _mutant(life, "retrieve", "reading", "another record", sentence, _of(wrong.swapped))


# Texts ---------------------------------------------------------------------------------------------------------------

TEXTS: Mapping[str, Callable[[str], str]] = {
    "escaped as HTML": lambda text: html.escape(text + " <b>&"),
    "without what is not ASCII": lambda text: text.encode("ascii", "ignore").decode(),
    "cut at 30 signs": lambda text: text[:30],
    "in lower case": str.lower,
    "without line ends": lambda text: " ".join(text.split()),
}


def _texts(life: Life) -> Iterator[Mutant]:
    fields = [one for one, p in life.written("create") if p.type == "string" and not p.enum_values and not p.format]
    for detail, change in TEXTS.items():
        for one in drawn(fields, 1, "text", life.resource.name):
            more = {"pointer": one.pointer, "probe": partial(texts, name=one.name)}
            fault, sentence = _mangling(one.name, change), "A text comes back as it was sent."
            yield _mutant(life, "create", "text", f"{one.name} {detail}", sentence, _of(fault), **more)


def _mangling(name: str, change: Callable[[str], str]) -> Fault:
    async def mangled(asked: Asked, ask: Ask) -> Answered:
        body = asked.json
        if not isinstance(body, dict) or not isinstance(body.get(name), str):
            return await ask(asked)
        return await ask(asked.saying({**body, name: change(body[name])}))

    return mangled
