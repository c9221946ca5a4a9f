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

from mock_server.query.viewer import Viewer
from mock_server.store import Store, StoredRecord, Tag
from mock_server.store.schema import encode_reference
from spec.loader import Attribute, Contract, DerivedProperty, Envelope, Relation, Resource, View
from spec.record import Reference

# Stands for scheme, host and prefix in kept bytes. JSON text never holds it unescaped.
BASE_URL_MARKER = b"\x01"
MAX_CACHED_ENCODINGS = 20_000


@dataclass(frozen=True, slots=True)
class Projection:
    """Which relations an answer embeds, and which optional properties it shows.

    `embedded_relations`: relation name -> for each resource it may lead to, the shape there; None: an empty object (a circle's
    end). `property_names`: names of optional computed properties. Equal shapes have equal `identity`.
    """

    embedded_relations: Mapping[str, Mapping[str, "Projection"] | None]
    property_names: frozenset[str]
    identity: int


@dataclass(slots=True)
class ProjectionFactory:
    """Makes shapes and gives equal ones one identity."""

    contract: Contract
    interned: dict[Any, Projection] = field(default_factory=dict)
    cache: dict[Any, Projection] = field(default_factory=dict)

    def get_default(self, view_name: str, property_names: frozenset[str] = frozenset()) -> Projection:
        """Every relation that the contract embeds, until a circle closes."""
        projection = self.cache.get((view_name, property_names))
        if projection is None:
            projection = self.cache[view_name, property_names] = self._build_default(
                self.contract.views[view_name], (), property_names
            )
        return projection

    def get_for_paths(
        self, view_name: str, include_paths: Iterable[tuple[str, ...]], property_names: frozenset[str] = frozenset()
    ) -> Projection:
        """Only the relations that `include_paths` name, and those that the schema requires."""
        cache_key = (view_name, frozenset(include_paths), property_names)
        projection = self.cache.get(cache_key)
        if projection is None:
            projection = self.cache[cache_key] = self._build_for_paths(view_name, cache_key[1], property_names)
        return projection

    def _build_for_paths(
        self, view_name: str, include_paths: Iterable[tuple[str, ...]], property_names: frozenset[str]
    ) -> Projection:
        tree: dict[str, Any] = {}
        for path in include_paths:
            node = tree
            for part in path:
                node = node.setdefault(part, {})
        return self._build_for_tree(self.contract.views[view_name], tree, (), property_names)

    def _build_default(self, view: View, ancestors: tuple[str, ...], property_names: frozenset[str]) -> Projection:
        ancestors = (*ancestors, view.resource)
        embedded_relations: dict[str, Mapping[str, Projection] | None] = {}
        required = self._get_required_names(view)
        for relation in self._list_relations(view):
            if not relation.is_embedded and relation.name not in required and relation.name not in property_names:
                continue
            if any(name in ancestors for name in relation.targets):
                if relation.allows_empty_object:
                    embedded_relations[relation.name] = None
                continue
            views = {name: self.contract.views[relation.target_views[name]] for name in relation.targets}
            embedded_relations[relation.name] = {
                name: self._build_default(target_view, ancestors, frozenset()) for name, target_view in views.items()
            }
        return self._intern(embedded_relations, property_names)

    def _build_for_tree(
        self,
        view: View,
        tree: Mapping[str, Any],
        ancestors: tuple[str, ...],
        property_names: frozenset[str] = frozenset(),
    ) -> Projection:
        ancestors = (*ancestors, view.resource)
        embedded_relations: dict[str, Mapping[str, Projection] | None] = {}
        required = self._get_required_names(view)
        for relation in self._list_relations(view):
            if relation.name not in tree and relation.name not in required and relation.name not in property_names:
                continue
            if relation.name not in tree and any(name in ancestors for name in relation.targets):
                if relation.allows_empty_object:
                    embedded_relations[relation.name] = None
                continue
            subtree = tree.get(relation.name, {})
            views = {name: self.contract.views[relation.target_views[name]] for name in relation.targets}
            embedded_relations[relation.name] = {
                name: self._build_for_tree(target_view, subtree, ancestors) for name, target_view in views.items()
            }
        return self._intern(embedded_relations, property_names)

    def _get_required_names(self, view: View) -> frozenset[str]:
        return frozenset(self.contract.document.resolve(view.pointer).get("required", ()))

    def _list_relations(self, view: View) -> list[Relation]:
        relations = self.contract.resources[view.resource].relations
        return [relations[name] for name in view.property_names if name in relations]

    def _intern(
        self, embedded_relations: Mapping[str, Mapping[str, Projection] | None], property_names: frozenset[str]
    ) -> Projection:
        identity: Any = (
            tuple(
                (
                    relation_name,
                    None
                    if targets is None
                    else tuple(
                        (resource_name, target_projection.identity)
                        for resource_name, target_projection in targets.items()
                    ),
                )
                for relation_name, targets in embedded_relations.items()
            ),
            property_names,
        )
        projection = self.interned.get(identity)
        if projection is None:
            projection = self.interned[identity] = Projection(embedded_relations, property_names, len(self.interned))
        return projection


@dataclass(frozen=True, slots=True)
class FieldSegment:
    """Own properties that stand together in a view; of these, `file_names` are addresses of files that the mock serves."""

    names: tuple[str, ...]
    file_names: tuple[str, ...]

    @classmethod
    def from_resource(cls, resource: Resource, names: Iterable[str]) -> "FieldSegment":
        """Some own properties of a resource."""
        all_names = tuple(names)
        return cls(all_names, tuple(name for name in all_names if is_file(resource.attributes[name])))

    def encode(self, attributes: Mapping[str, Any]) -> bytes:
        """The run as JSON without the braces; a file that the mock serves has the base's mark before its path."""
        fields = {name: attributes[name] for name in self.names if name in attributes}
        for name in self.file_names:
            url_path = fields.get(name)
            if isinstance(url_path, str) and url_path[:1] == "/":
                fields[name] = orjson.Fragment(b'"' + BASE_URL_MARKER + orjson.dumps(url_path)[1:])
        return orjson.dumps(fields)[1:-1]


@dataclass(frozen=True, slots=True)
class EmbeddedRelation:
    """A relation where a shape embeds it. `key_prefix`: its name as JSON; `projections`: see `Projection.embedded`."""

    key_prefix: bytes
    relation: Relation
    projections: Mapping[str, Projection] | None


@dataclass(frozen=True, slots=True)
class ComputedField:
    """A computed property where a shape shows it. `key_prefix`: its name as JSON."""

    key_prefix: bytes
    derived_property: DerivedProperty


LayoutItem = FieldSegment | EmbeddedRelation | ComputedField


@dataclass(slots=True)
class RecordEncoder:
    """Encodes the records of one store. `shared_resources`: resources that others embed, whose encodings are worth keeping."""

    contract: Contract
    store: Store
    projections: ProjectionFactory
    shared_resources: frozenset[str]
    layouts: dict[tuple[str, int], tuple[LayoutItem, ...]] = field(default_factory=dict)
    segment_cache: dict[tuple[str, Any], tuple[bytes, ...]] = field(default_factory=dict)
    embedded_cache: dict[tuple[Any, ...], tuple[bytes, frozenset[Tag]]] = field(default_factory=dict)
    dependents: dict[Tag, set[tuple[Any, ...]]] = field(default_factory=dict)

    @classmethod
    def from_store(cls, contract: Contract, store: Store) -> "RecordEncoder":
        """The representation of a store; it listens to the store's writes."""
        relations = [
            relation
            for resource in contract.resources.values()
            for relation in resource.relations.values()
            if relation.is_embedded
        ]
        encoder = cls(
            contract,
            store,
            ProjectionFactory(contract),
            frozenset(name for relation in relations for name in relation.targets),
        )
        store.listeners.append(encoder.on_write)
        return encoder

    def on_write(self, changed_tags: Iterable[Tag] | None) -> None:
        """Drop every encoding made of what was touched; None: all."""
        if changed_tags is None:
            self.segment_cache.clear()
            self.embedded_cache.clear()
            self.dependents.clear()
            return
        for tag in changed_tags:
            if len(tag) == 2:
                for view in self.contract.views_by_resource[tag[0]]:
                    self.segment_cache.pop((view.name, tag[1]), None)
            for cache_key in self.dependents.pop(tag, ()):
                _, dependencies = self.embedded_cache.pop(cache_key)
                for other_tag in dependencies - {tag}:
                    self._remove_dependent(other_tag, cache_key)

    def _remove_dependent(self, tag: Tag, cache_key: tuple[Any, ...]) -> None:
        cache_keys = self.dependents[tag]
        cache_keys.discard(cache_key)
        if not cache_keys:
            del self.dependents[tag]

    # Records ----------------------------------------------------------------------------------------------------

    def encode_record(
        self,
        view_name: str,
        record: StoredRecord,
        projection: Projection,
        viewer: Viewer | None,
        dependencies: set[Tag] | None = None,
    ) -> bytes:
        """One record as the object that `view_name` describes. `dependencies` learns what it was made of."""
        view = self.contract.views[view_name]
        collected = set() if dependencies is None else dependencies
        if view.resource in self.shared_resources:
            body = self._encode_embedded(view, record.reference, projection, viewer, collected, record)
            assert body is not None
            return body
        return self._encode_object(view, record, projection, viewer, collected)

    def _encode_embedded(
        self,
        view: View,
        reference: Reference,
        projection: Projection,
        viewer: Viewer | None,
        dependencies: set[Tag],
        loaded_record: StoredRecord | None = None,
    ) -> bytes | None:
        """A record as many bodies contain it: kept; None when it is not there.

        `loaded_record`: the record, where the caller has it already.
        """
        cache_key = (view.name, reference.key, projection.identity, viewer.user_key if viewer else None)
        entry = self.embedded_cache.get(cache_key)
        if entry is None:
            record = loaded_record or self.store.resolve(reference)
            if record is None:
                dependencies.add((reference.resource, reference.key))  # it may come later
                return None
            own_dependencies: set[Tag] = set()
            body = self._encode_object(view, record, projection, viewer, own_dependencies)
            if len(self.embedded_cache) >= MAX_CACHED_ENCODINGS:
                self.embedded_cache.clear()
                self.dependents.clear()
            entry = self.embedded_cache[cache_key] = (body, frozenset(own_dependencies))
            for tag in own_dependencies:
                self.dependents.setdefault(tag, set()).add(cache_key)
        dependencies.update(entry[1])
        return entry[0]

    def _encode_object(
        self, view: View, record: StoredRecord, projection: Projection, viewer: Viewer | None, dependencies: set[Tag]
    ) -> bytes:
        dependencies.add((record.resource, record.key))
        layout = self._get_layout(view, projection)
        segments = iter(self._get_segments(view, record, layout))
        parts: list[bytes] = []
        for item in layout:
            if isinstance(item, FieldSegment):
                if segment := next(segments):  # none where the record lacks all of them
                    parts.append(segment)
            elif isinstance(item, EmbeddedRelation):
                body = self._encode_relation(item.relation, record, item.projections, viewer, dependencies)
                if body is not None:
                    parts.append(item.key_prefix + body)
            else:
                value = self._compute_derived(record, item.derived_property, viewer, dependencies)
                parts.append(item.key_prefix + orjson.dumps(value))
        return b"{%s}" % b",".join(parts)

    def _get_layout(self, view: View, projection: Projection) -> tuple[LayoutItem, ...]:
        layout = self.layouts.get((view.name, projection.identity))
        if layout is None:
            layout = tuple(_build_layout(self.contract.resources[view.resource], view, projection))
            self.layouts[view.name, projection.identity] = layout
        return layout

    def _get_segments(self, view: View, record: StoredRecord, layout: tuple[LayoutItem, ...]) -> tuple[bytes, ...]:
        segments = self.segment_cache.get((view.name, record.key))
        if segments is None:
            segments = tuple([item.encode(record.attributes) for item in layout if isinstance(item, FieldSegment)])
            if len(self.segment_cache) >= MAX_CACHED_ENCODINGS:
                self.segment_cache.clear()
            self.segment_cache[view.name, record.key] = segments
        return segments

    def _encode_relation(
        self,
        relation: Relation,
        record: StoredRecord,
        projections: Mapping[str, Projection] | None,
        viewer: Viewer | None,
        dependencies: set[Tag],
    ) -> bytes | None:
        if projections is None:
            return b"{}"
        views = self.contract.views
        bodies: list[bytes] = []
        for target in self.find_targets(relation, record, dependencies):
            body = self._encode_embedded(
                views[relation.target_views[target.resource]],
                target,
                projections[target.resource],
                viewer,
                dependencies,
            )
            if body is not None:
                bodies.append(body)
        if relation.to_many:
            return b"[%s]" % b",".join(bodies)
        if bodies:
            return bodies[0]
        if relation.nullable:
            return b"null"
        return b"{}" if relation.allows_empty_object else None

    def find_targets(self, relation: Relation, record: StoredRecord, dependencies: set[Tag]) -> Sequence[Reference]:
        """The records that a relation of `encode_record` leads to; `dependencies` learns what the answer rests on."""
        if relation.inverse is not None:
            dependencies.update(self._iter_inverse_tags(relation, record))
            return self.store.find_inverse(relation, record.reference)
        if relation.to_many:
            return self.store.get_linked_references(record.resource, relation, record.key)
        reference = record.references[relation.name]
        return () if reference is None else (reference,)

    def _iter_inverse_tags(self, relation: Relation, record: StoredRecord) -> Iterable[Tag]:
        """What changes when a record joins or leaves a relation, or changes while it is in."""
        for name in relation.targets:
            inverse = self.contract.resources[name].relations[relation.inverse or ""]
            yield name, inverse.name, encode_reference(inverse, record.reference)

    def _compute_derived(
        self, record: StoredRecord, derived_property: DerivedProperty, viewer: Viewer | None, dependencies: set[Tag]
    ) -> Any:
        if derived_property.kind == "group":
            return {
                name: self._compute_derived(record, part, viewer, dependencies)
                for name, part in derived_property.parts.items()
            }
        if derived_property.kind in ("count", "sum", "max"):
            relation = self.contract.resources[record.resource].relations[derived_property.path[0]]
            if relation.inverse is not None:
                dependencies.update(self._iter_inverse_tags(relation, record))
            else:
                dependencies.update(
                    (reference.resource, reference.key)
                    for reference in self.find_targets(relation, record, dependencies)
                )
            return self.store.compute_derived(record.resource, derived_property, record.key)
        if derived_property.kind == "viewer":
            path = (
                self.contract.resources[record.resource].owner_path
                if derived_property.path == ("owner",)
                else derived_property.path
            )
            target_reference = self._follow_path(record, path, dependencies)
            return bool(viewer and target_reference and target_reference.key == viewer.user_key)
        if derived_property.kind == "number":
            target_reference = self._follow_path(record, derived_property.path, dependencies)
            target = self.store.resolve(target_reference)
            return target.number if target else None
        target = self.store.resolve(self._follow_path(record, derived_property.path[:-1], dependencies))
        return target.attributes.get(derived_property.path[-1]) if target else None

    def _follow_path(self, record: StoredRecord, path: tuple[str, ...], dependencies: set[Tag]) -> Reference | None:
        current: StoredRecord | None = record
        reference: Reference | None = record.reference
        for relation_name in path:
            if current is None:
                return None
            reference = current.references.get(relation_name)
            if reference is None:
                return None
            dependencies.add((reference.resource, reference.key))
            current = self.store.resolve(reference)
        return reference

    # Bodies -----------------------------------------------------------------------------------------------------

    def encode_body(
        self,
        envelope: Envelope,
        record: StoredRecord,
        viewer: Viewer | None,
        projection: Projection | None = None,
        dependencies: set[Tag] | None = None,
    ) -> bytes:
        """A whole body with one record. `dependencies` learns what it was made of."""
        assert envelope.view_name is not None
        encoded = self.encode_record(
            envelope.view_name,
            record,
            projection or self.projections.get_default(envelope.view_name),
            viewer,
            dependencies,
        )
        return (
            encoded if envelope.data_property is None else b"{%s:%s}" % (orjson.dumps(envelope.data_property), encoded)
        )


def is_file(attribute: Attribute) -> bool:
    """Whether a property's value is the address of a file."""
    return isinstance(attribute.faker, dict) and "file" in attribute.faker


def insert_base_url(body: bytes, base_url: str) -> bytes:
    """A body with the mock's own address where it belongs."""
    return body.replace(BASE_URL_MARKER, orjson.dumps(base_url)[1:-1]) if BASE_URL_MARKER in body else body


def _build_layout(resource: Resource, view: View, projection: Projection) -> Iterator[LayoutItem]:
    """What an object of a view is put together from, in its order. Its runs are the same in every shape."""
    names: list[str] = []
    for name in view.property_names:
        if name in resource.attributes and name not in view.derived_properties:
            names.append(name)
            continue
        if names:
            yield FieldSegment.from_resource(resource, names)
            names = []
        key_prefix = orjson.dumps(name) + b":"
        derived_property = view.derived_properties.get(name)
        if derived_property is None:
            if name in projection.embedded_relations:
                yield EmbeddedRelation(key_prefix, resource.relations[name], projection.embedded_relations[name])
        elif derived_property.required or name in projection.property_names:
            yield ComputedField(key_prefix, derived_property)
    if names:
        yield FieldSegment.from_resource(resource, names)


def build_page_url_prefix(url: str, raw_query: str, page_parameter: str) -> str:
    """A list's address with the query as asked, all but the page's number, which the caller puts behind it."""
    other_pairs = [
        (name, value) for name, value in parse_qsl(raw_query, keep_blank_values=True) if name != page_parameter
    ]
    return f"{url}?{urlencode([*other_pairs, (page_parameter, '')], quote_via=quote, safe=',:')}"


def build_pagination_values(
    *, page_number: int, page_size: int, total: int, row_count: int, url: str, url_prefix: str
) -> dict[str, Any]:
    """What each page word of the contract says on a page.

    `url`: the list's address without query. `url_prefix`: what links say before the page's number (`build_page_url_prefix`).
    """
    last_page = max(1, -(-total // page_size))
    first_item = (page_number - 1) * page_size + 1 if row_count else None

    def build_link(number: int) -> str:
        return f"{url_prefix}{number}"

    return {
        "current-page": page_number,
        "first-item": first_item,
        "last-page": last_page,
        "size": page_size,
        "last-item": first_item + row_count - 1 if first_item else None,
        "total": total,
        "path": url,
        "first": build_link(1),
        "last": build_link(last_page),
        "previous": build_link(page_number - 1) if page_number > 1 else None,
        "next": build_link(page_number + 1) if page_number < last_page else None,
    }
