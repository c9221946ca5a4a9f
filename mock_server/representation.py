"""From record to JSON bytes, with its relations, for one viewer. The only maker of URLs.

A body is a join of bytes: a record's own properties are encoded once in runs (the properties between two relations
or computed ones), embedded records once for each viewer and shape. What is kept is dropped as soon as a write touches
anything that it was made of: each encoding remembers the store's tags it read, also those of encodings it contains.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import orjson

from mock_server.store import Store, Stored, Tag
from mock_server.store.plan import reference_value
from mock_server.viewer import Viewer
from spec.contract import Attribute, Contract, DerivedProperty, Envelope, Relation, Resource, View
from spec.record import Reference

# Stands for scheme, host and prefix in kept bytes. JSON text never holds it unescaped.
BASE = b"\x01"
MAX_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Shape:
    """Which relations an answer embeds, and which optional properties it shows.

    `embedded`: relation name -> for each resource it may lead to, the shape there; None: an empty object (a circle's
    end). `shown`: names of optional computed properties. Equal shapes have equal `identity`.
    """

    embedded: Mapping[str, Mapping[str, "Shape"] | None]
    shown: frozenset[str]
    identity: int


@dataclass(slots=True)
class Shapes:
    """Makes shapes and gives equal ones one identity."""

    contract: Contract
    known: dict[Any, Shape] = field(default_factory=dict)
    asked: dict[Any, Shape] = field(default_factory=dict)

    def default(self, view: str, shown: frozenset[str] = frozenset()) -> Shape:
        """Every relation that the contract embeds, until a circle closes."""
        found = self.asked.get((view, shown))
        if found is None:
            found = self.asked[view, shown] = self._default(self.contract.views[view], (), shown)
        return found

    def named(self, view: str, paths: Iterable[tuple[str, ...]], shown: frozenset[str] = frozenset()) -> Shape:
        """Only the relations that `paths` name, and those that the schema requires."""
        asked = (view, frozenset(paths), shown)
        found = self.asked.get(asked)
        if found is None:
            found = self.asked[asked] = self._of_paths(view, asked[1], shown)
        return found

    def _of_paths(self, view: str, paths: Iterable[tuple[str, ...]], shown: frozenset[str]) -> Shape:
        tree: dict[str, Any] = {}
        for path in paths:
            at = tree
            for part in path:
                at = at.setdefault(part, {})
        return self._named(self.contract.views[view], tree, (), shown)

    def _default(self, view: View, above: tuple[str, ...], shown: frozenset[str]) -> Shape:
        above = (*above, view.resource)
        embedded: dict[str, Mapping[str, Shape] | None] = {}
        required = self._required(view)
        for relation in self._relations(view):
            if not relation.is_embedded and relation.name not in required and relation.name not in shown:
                continue
            if any(name in above for name in relation.targets):
                if relation.allows_empty_object:
                    embedded[relation.name] = None
                continue
            views = {name: self.contract.views[relation.target_views[name]] for name in relation.targets}
            embedded[relation.name] = {name: self._default(v, above, frozenset()) for name, v in views.items()}
        return self._shape(embedded, shown)

    def _named(
        self, view: View, tree: Mapping[str, Any], above: tuple[str, ...], shown: frozenset[str] = frozenset()
    ) -> Shape:
        above = (*above, view.resource)
        embedded: dict[str, Mapping[str, Shape] | None] = {}
        required = self._required(view)
        for relation in self._relations(view):
            if relation.name not in tree and relation.name not in required and relation.name not in shown:
                continue
            if relation.name not in tree and any(name in above for name in relation.targets):
                if relation.allows_empty_object:
                    embedded[relation.name] = None
                continue
            below = tree.get(relation.name, {})
            views = {name: self.contract.views[relation.target_views[name]] for name in relation.targets}
            embedded[relation.name] = {name: self._named(v, below, above) for name, v in views.items()}
        return self._shape(embedded, shown)

    def _required(self, view: View) -> frozenset[str]:
        return frozenset(self.contract.document.resolve(view.pointer).get("required", ()))

    def _relations(self, view: View) -> list[Relation]:
        relations = self.contract.resources[view.resource].relations
        return [relations[name] for name in view.property_names if name in relations]

    def _shape(self, embedded: Mapping[str, Mapping[str, Shape] | None], shown: frozenset[str]) -> Shape:
        identity: Any = (
            tuple(
                (n, None if b is None else tuple((r, s.identity) for r, s in b.items())) for n, b in embedded.items()
            ),
            shown,
        )
        found = self.known.get(identity)
        if found is None:
            found = self.known[identity] = Shape(embedded, shown, len(self.known))
        return found


@dataclass(frozen=True, slots=True)
class Run:
    """Own properties that stand together in a view; of these, `files` are addresses of files that the mock serves."""

    names: tuple[str, ...]
    files: tuple[str, ...]

    @classmethod
    def of(cls, resource: Resource, names: Iterable[str]) -> "Run":
        """Some own properties of a resource."""
        listed = tuple(names)
        return cls(listed, tuple(name for name in listed if is_file(resource.attributes[name])))

    def encoded(self, own: Mapping[str, Any]) -> bytes:
        """The run as JSON without the braces; a file that the mock serves has the base's mark before its path."""
        value = {name: own[name] for name in self.names if name in own}
        for name in self.files:
            said = value.get(name)
            if isinstance(said, str) and said[:1] == "/":
                value[name] = orjson.Fragment(b'"' + BASE + orjson.dumps(said)[1:])
        return orjson.dumps(value)[1:-1]


@dataclass(frozen=True, slots=True)
class Embedding:
    """A relation where a shape embeds it. `opening`: its name as JSON; `shapes`: see `Shape.embedded`."""

    opening: bytes
    relation: Relation
    shapes: Mapping[str, Shape] | None


@dataclass(frozen=True, slots=True)
class Computed:
    """A computed property where a shape shows it. `opening`: its name as JSON."""

    opening: bytes
    derived: DerivedProperty


Step = Run | Embedding | Computed


@dataclass(slots=True)
class Representation:
    """Encodes the records of one store. `shared`: resources that others embed, whose encodings are worth keeping."""

    contract: Contract
    store: Store
    shapes: Shapes
    shared: frozenset[str]
    steps: dict[tuple[str, int], tuple[Step, ...]] = field(default_factory=dict)
    runs: dict[tuple[str, Any], tuple[bytes, ...]] = field(default_factory=dict)
    kept: dict[tuple[Any, ...], tuple[bytes, frozenset[Tag]]] = field(default_factory=dict)
    used_by: dict[Tag, set[tuple[Any, ...]]] = field(default_factory=dict)

    @classmethod
    def of(cls, contract: Contract, store: Store) -> "Representation":
        """The representation of a store; it listens to the store's writes."""
        relations = [
            r for resource in contract.resources.values() for r in resource.relations.values() if r.is_embedded
        ]
        made = cls(contract, store, Shapes(contract), frozenset(name for r in relations for name in r.targets))
        store.listeners.append(made.forget)
        return made

    def forget(self, touched: Iterable[Tag] | None) -> None:
        """Drop every encoding made of what was touched; None: all."""
        if touched is None:
            self.runs.clear()
            self.kept.clear()
            self.used_by.clear()
            return
        for tag in touched:
            if len(tag) == 2:
                for view in self.contract.views_by_resource[tag[0]]:
                    self.runs.pop((view.name, tag[1]), None)
            for identity in self.used_by.pop(tag, ()):
                _, made_of = self.kept.pop(identity)
                for other in made_of - {tag}:
                    self._unlearn(other, identity)

    def _unlearn(self, tag: Tag, identity: tuple[Any, ...]) -> None:
        users = self.used_by[tag]
        users.discard(identity)
        if not users:
            del self.used_by[tag]

    # Records ----------------------------------------------------------------------------------------------------

    def record(
        self, view: str, record: Stored, shape: Shape, viewer: Viewer | None, tags: set[Tag] | None = None
    ) -> bytes:
        """One record as the object that `view` describes. `tags` learns what it was made of."""
        said = self.contract.views[view]
        made_of = set() if tags is None else tags
        if said.resource in self.shared:
            body = self._embedded(said, record.reference, shape, viewer, made_of, record)
            assert body is not None
            return body
        return self._assemble(said, record, shape, viewer, made_of)

    def _embedded(
        self,
        view: View,
        reference: Reference,
        shape: Shape,
        viewer: Viewer | None,
        tags: set[Tag],
        known: Stored | None = None,
    ) -> bytes | None:
        """A record as many bodies contain it: kept; None when it is not there.

        `known`: the record, where the caller has it already.
        """
        identity = (view.name, reference.key, shape.identity, viewer.user_key if viewer else None)
        found = self.kept.get(identity)
        if found is None:
            record = known or self.store.at(reference)
            if record is None:
                tags.add((reference.resource, reference.key))  # it may come later
                return None
            own: set[Tag] = set()
            body = self._assemble(view, record, shape, viewer, own)
            if len(self.kept) >= MAX_KEPT:
                self.kept.clear()
                self.used_by.clear()
            found = self.kept[identity] = (body, frozenset(own))
            for tag in own:
                self.used_by.setdefault(tag, set()).add(identity)
        tags.update(found[1])
        return found[0]

    def _assemble(self, view: View, record: Stored, shape: Shape, viewer: Viewer | None, tags: set[Tag]) -> bytes:
        tags.add((record.resource, record.key))
        steps = self._steps(view, shape)
        runs = iter(self._runs(view, record, steps))
        parts: list[bytes] = []
        for step in steps:
            if isinstance(step, Run):
                if run := next(runs):  # none where the record lacks all of them
                    parts.append(run)
            elif isinstance(step, Embedding):
                body = self._relation(step.relation, record, step.shapes, viewer, tags)
                if body is not None:
                    parts.append(step.opening + body)
            else:
                value = self._derived(record, step.derived, viewer, tags)
                parts.append(step.opening + orjson.dumps(value))
        return b"{%s}" % b",".join(parts)

    def _steps(self, view: View, shape: Shape) -> tuple[Step, ...]:
        found = self.steps.get((view.name, shape.identity))
        if found is None:
            found = tuple(_steps(self.contract.resources[view.resource], view, shape))
            self.steps[view.name, shape.identity] = found
        return found

    def _runs(self, view: View, record: Stored, steps: tuple[Step, ...]) -> tuple[bytes, ...]:
        found = self.runs.get((view.name, record.key))
        if found is None:
            found = tuple([step.encoded(record.own) for step in steps if isinstance(step, Run)])
            if len(self.runs) >= MAX_KEPT:
                self.runs.clear()
            self.runs[view.name, record.key] = found
        return found

    def _relation(
        self,
        relation: Relation,
        record: Stored,
        shapes: Mapping[str, Shape] | None,
        viewer: Viewer | None,
        tags: set[Tag],
    ) -> bytes | None:
        if shapes is None:
            return b"{}"
        views = self.contract.views
        bodies: list[bytes] = []
        for to in self.targets(relation, record, tags):
            body = self._embedded(views[relation.target_views[to.resource]], to, shapes[to.resource], viewer, tags)
            if body is not None:
                bodies.append(body)
        if relation.to_many:
            return b"[%s]" % b",".join(bodies)
        if bodies:
            return bodies[0]
        if relation.nullable:
            return b"null"
        return b"{}" if relation.allows_empty_object else None

    def targets(self, relation: Relation, record: Stored, tags: set[Tag]) -> Sequence[Reference]:
        """The records that a relation of `record` leads to; `tags` learns what the answer rests on."""
        if relation.inverse is not None:
            tags.update(self._inverse_tags(relation, record))
            return self.store.inverse(relation, record.reference)
        if relation.to_many:
            return self.store.linked(record.resource, relation, record.key)
        reference = record.references[relation.name]
        return () if reference is None else (reference,)

    def _inverse_tags(self, relation: Relation, record: Stored) -> Iterable[Tag]:
        """What changes when a record joins or leaves a relation, or changes while it is in."""
        for name in relation.targets:
            back = self.contract.resources[name].relations[relation.inverse or ""]
            yield name, back.name, reference_value(back, record.reference)

    def _derived(self, record: Stored, derived: DerivedProperty, viewer: Viewer | None, tags: set[Tag]) -> Any:
        if derived.kind == "group":
            return {name: self._derived(record, part, viewer, tags) for name, part in derived.parts.items()}
        if derived.kind in ("count", "sum", "max"):
            relation = self.contract.resources[record.resource].relations[derived.path[0]]
            if relation.inverse is not None:
                tags.update(self._inverse_tags(relation, record))
            else:
                tags.update((t.resource, t.key) for t in self.targets(relation, record, tags))
            return self.store.derived(record.resource, derived, record.key)
        if derived.kind == "viewer":
            path = self.contract.resources[record.resource].owner_path if derived.path == ("owner",) else derived.path
            end = self._follow(record, path, tags)
            return bool(viewer and end and end.key == viewer.user_key)
        if derived.kind == "number":
            end = self._follow(record, derived.path, tags)
            found = self.store.at(end)
            return found.number if found else None
        found = self.store.at(self._follow(record, derived.path[:-1], tags))
        return found.own.get(derived.path[-1]) if found else None

    def _follow(self, record: Stored, path: tuple[str, ...], tags: set[Tag]) -> Reference | None:
        at: Stored | None = record
        reference: Reference | None = record.reference
        for step in path:
            if at is None:
                return None
            reference = at.references.get(step)
            if reference is None:
                return None
            tags.add((reference.resource, reference.key))
            at = self.store.at(reference)
        return reference

    # Bodies -----------------------------------------------------------------------------------------------------

    def one(
        self,
        envelope: Envelope,
        record: Stored,
        viewer: Viewer | None,
        shape: Shape | None = None,
        tags: set[Tag] | None = None,
    ) -> bytes:
        """A whole body with one record. `tags` learns what it was made of."""
        assert envelope.view_name is not None
        body = self.record(envelope.view_name, record, shape or self.shapes.default(envelope.view_name), viewer, tags)
        return body if envelope.data_property is None else b"{%s:%s}" % (orjson.dumps(envelope.data_property), body)


def is_file(said: Attribute) -> bool:
    """Whether a property's value is the address of a file."""
    return isinstance(said.faker, dict) and "file" in said.faker


def with_base(body: bytes, base: str) -> bytes:
    """A body with the mock's own address where it belongs."""
    return body.replace(BASE, orjson.dumps(base)[1:-1]) if BASE in body else body


def _steps(resource: Resource, view: View, shape: Shape) -> Iterator[Step]:
    """What an object of a view is put together from, in its order. Its runs are the same in every shape."""
    names: list[str] = []
    for name in view.property_names:
        if name in resource.attributes and name not in view.derived_properties:
            names.append(name)
            continue
        if names:
            yield Run.of(resource, names)
            names = []
        opening = orjson.dumps(name) + b":"
        derived = view.derived_properties.get(name)
        if derived is None:
            if name in shape.embedded:
                yield Embedding(opening, resource.relations[name], shape.embedded[name])
        elif derived.required or name in shape.shown:
            yield Computed(opening, derived)
    if names:
        yield Run.of(resource, names)


def link_before(url: str, raw_query: str, page_name: str) -> str:
    """A list's address with the query as asked, all but the page's number, which the caller puts behind it."""
    kept = [(k, v) for k, v in parse_qsl(raw_query, keep_blank_values=True) if k != page_name]
    return f"{url}?{urlencode([*kept, (page_name, '')], quote_via=quote, safe=',:')}"


def page_words(*, page: int, size: int, total: int, on_page: int, url: str, before: str) -> dict[str, Any]:
    """What each page word of the contract says on a page.

    `url`: the list's address without query. `before`: what links say before the page's number (`link_before`).
    """
    last = max(1, -(-total // size))
    first_item = (page - 1) * size + 1 if on_page else None

    def link(number: int) -> str:
        return f"{before}{number}"

    return {
        "current-page": page,
        "first-item": first_item,
        "last-page": last,
        "size": size,
        "last-item": first_item + on_page - 1 if first_item else None,
        "total": total,
        "path": url,
        "first": link(1),
        "last": link(last),
        "previous": link(page - 1) if page > 1 else None,
        "next": link(page + 1) if page < last else None,
    }
