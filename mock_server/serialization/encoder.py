"""Encodes records, with their relations, as JSON bytes for one viewer.

A body is a join of bytes: the attributes of a record are encoded once in segments, embedded records once per viewer and
projection. A cached encoding is dropped when a write changes one of the store's tags it depends on, which include those
of the encodings it contains.

What the viewer may not see is not embedded: such a record is left out of a list, and replaced by null or an empty
object if the schema permits it; else the property is missing. Counts, sums and maxima do not include it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from mock_server.errors import response_too_large_error
from mock_server.query import Query, RecordVisibility, Viewer
from mock_server.serialization.layout import (
    EmbeddedRelation,
    FieldSegment,
    LayoutItem,
    Projection,
    ProjectionFactory,
    build_layout,
)
from mock_server.sized_cache import MIB, SizedCache
from mock_server.store import Store, StoredRecord, Tag
from mock_server.store.schema import encode_reference
from spec.model import Contract, DerivedProperty, Envelope, Relation, View
from spec.record import Reference

MAX_EMBEDDED_CACHE_BYTES = 8 * MIB
SEGMENT_CACHE_SHARE = 2  # the cache of segments is half as large
# Estimated bytes of a cached encoding, of each of its segments, and of each tag, in addition to their content.
_ENTRY_OVERHEAD, _SEGMENT_OVERHEAD, _TAG_OVERHEAD = 400, 40, 400
# Of the records in a body: a page of 100 messages of the dataset `demo` has 1 MB.
MAX_BODY_BYTES = 16 * 1024 * 1024


class EmbeddedEncoding(NamedTuple):
    """The encoding of a record in another one. `body`: None if it does not exist or the viewer may not see it.

    `is_complete`: whether a response to a request for the record itself has the same body. `tags`: what it depends on.
    """

    body: bytes | None
    is_complete: bool
    tags: frozenset[Tag]


@dataclass(slots=True)
class RecordEncoder:
    """Encodes the records of one store.

    `shared_resources`: resources that others embed; their encodings are cached in `embedded_cache`. `dependents`: the
    cache keys of the encodings that depend on a tag.
    """

    contract: Contract
    store: Store
    projections: ProjectionFactory
    shared_resources: frozenset[str]
    visibility: RecordVisibility
    segment_cache: SizedCache[tuple[str, Any], tuple[bytes, ...]]
    embedded_cache: SizedCache[tuple[Any, ...], EmbeddedEncoding]
    layouts: dict[tuple[str, int, bool], tuple[LayoutItem, ...]] = field(default_factory=dict)
    dependents: dict[Tag, set[tuple[Any, ...]]] = field(default_factory=dict)

    @classmethod
    def from_store(
        cls, contract: Contract, store: Store, max_cached_bytes: int = MAX_EMBEDDED_CACHE_BYTES
    ) -> "RecordEncoder":
        """Create the encoder of a store and register it as a listener."""
        relations = (relation for resource in contract.resources.values() for relation in resource.relations.values())
        shared = frozenset(name for relation in relations if relation.is_embedded for name in relation.targets)
        encoder = cls(
            contract,
            store,
            ProjectionFactory(contract),
            shared,
            RecordVisibility.from_store(store),
            SizedCache(max_cached_bytes // SEGMENT_CACHE_SHARE, _measure_segments),
            SizedCache(max_cached_bytes, _measure_embedded),
        )
        store.listeners.append(encoder.on_write)
        return encoder

    def on_write(self, changed_tags: Iterable[Tag] | None) -> None:
        """Drop every encoding that depends on the changed tags; None: all encodings."""
        if changed_tags is None:
            self.segment_cache.clear()
            self.embedded_cache.clear()
            self.dependents.clear()
            return
        for tag in changed_tags:
            if len(tag) == 2:
                for view in self.contract.views_by_resource[tag[0]]:
                    self.segment_cache.remove((view.name, tag[1]))
            for cache_key in self.dependents.pop(tag, ()):
                encoding = self.embedded_cache.remove(cache_key)
                for other_tag in encoding.tags - {tag} if encoding else ():
                    self.dependents[other_tag].discard(cache_key)
                    if not self.dependents[other_tag]:
                        del self.dependents[other_tag]

    def encode_body(
        self,
        envelope: Envelope,
        record: StoredRecord,
        viewer: Viewer | None,
        projection: Projection,
        dependencies: set[Tag] | None = None,
    ) -> bytes:
        """Encode a complete body with one record, see `encode_record`."""
        return join_parts(self.encode_body_parts(envelope, record, viewer, projection, dependencies))

    def encode_body_parts(
        self,
        envelope: Envelope,
        record: StoredRecord,
        viewer: Viewer | None,
        projection: Projection,
        dependencies: set[Tag] | None = None,
    ) -> list[bytes]:
        """Encode a complete body with one record, as the parts of which `join_parts` makes it.

        The encodings of embedded records are the cached objects: to keep the parts takes little memory.
        """
        view_name = envelope.view_name
        assert view_name is not None
        parts = self._encode_record_parts(view_name, record, projection, viewer, dependencies)
        if envelope.data_property is None:
            return parts
        return [b"{%s:" % orjson.dumps(envelope.data_property), *parts, b"}"]

    def encode_rows(
        self,
        view_name: str,
        records: Iterable[StoredRecord],
        projection: Projection,
        viewer: Viewer | None,
        dependencies: set[Tag],
    ) -> list[bytes]:
        """Encode the records of a page, see `encode_record`. Raises ApiError (413) above MAX_BODY_BYTES."""
        rows: list[bytes] = []
        size = 0
        for record in records:
            row = self.encode_record(view_name, record, projection, viewer, dependencies)
            rows.append(row)
            size += len(row)
            if size > MAX_BODY_BYTES:
                raise response_too_large_error(MAX_BODY_BYTES)
        return rows

    def encode_record(
        self,
        view_name: str,
        record: StoredRecord,
        projection: Projection,
        viewer: Viewer | None,
        dependencies: set[Tag] | None = None,
    ) -> bytes:
        """Encode a record, which the viewer may see, as an object of a view.

        The tags that the result depends on are added to `dependencies`. Raises ApiError (413) above MAX_BODY_BYTES.
        """
        return join_parts(self._encode_record_parts(view_name, record, projection, viewer, dependencies))

    def _encode_record_parts(
        self,
        view_name: str,
        record: StoredRecord,
        projection: Projection,
        viewer: Viewer | None,
        dependencies: set[Tag] | None,
    ) -> list[bytes]:
        view = self.contract.views[view_name]
        collected = set() if dependencies is None else dependencies
        if view.resource in self.shared_resources:
            encoding = self._encode_embedded(view, record.reference, projection, viewer)
            if encoding.is_complete and encoding.body is not None:
                collected.update(encoding.tags)
                return [encoding.body]
        return self._encode_object(view, record, projection, viewer, collected)

    def _encode_embedded(
        self,
        view: View,
        reference: Reference,
        projection: Projection,
        viewer: Viewer | None,
    ) -> EmbeddedEncoding:
        """Encode a record of a shared resource for embedding, cached."""
        viewer_key = (viewer.user_key, viewer.tenant_keys) if viewer else None
        cache_key = (view.name, reference.key, projection.identity, viewer_key)
        encoding = self.embedded_cache.entries.get(cache_key)
        if encoding is None:
            tags: set[Tag] = {(reference.resource, reference.key)}  # it may be created later
            record, body, is_reduced = self.store.resolve(reference), None, False
            if record is not None and self.visibility.is_visible(viewer, record, tags):
                is_reduced = self.visibility.is_outsider(viewer, record, tags)
                body = join_parts(self._encode_object(view, record, projection, viewer, tags, is_reduced=is_reduced))
            encoding = EmbeddedEncoding(body, not is_reduced, frozenset(tags))
            self._cache_embedded(cache_key, encoding)
        return encoding

    def _cache_embedded(self, cache_key: tuple[Any, ...], encoding: EmbeddedEncoding) -> None:
        if self.embedded_cache.put(cache_key, encoding):
            self.dependents.clear()
        if cache_key in self.embedded_cache.entries:
            for tag in encoding.tags:
                self.dependents.setdefault(tag, set()).add(cache_key)

    def _encode_object(
        self,
        view: View,
        record: StoredRecord,
        projection: Projection,
        viewer: Viewer | None,
        dependencies: set[Tag],
        *,
        is_reduced: bool = False,
    ) -> list[bytes]:
        """Encode a record as parts. `is_reduced`: only the properties that the schema requires."""
        dependencies.add((record.resource, record.key))
        layout = self._get_layout(view, projection, is_reduced)
        segments = iter(encode_segments(record, layout) if is_reduced else self._get_segments(view, record, layout))
        parts: list[bytes] = []
        for item in layout:
            if isinstance(item, FieldSegment):
                if part := next(segments):  # empty if the record has none of the attributes
                    parts += (b",", part)
            elif isinstance(item, EmbeddedRelation):
                value = self._encode_relation(item, record, viewer, dependencies)
                if value is not None:
                    parts += (b",", item.key_prefix, *value)
            else:
                derived = self._compute_derived(record, item.derived_property, viewer, dependencies)
                parts += (b",", item.key_prefix, orjson.dumps(derived))
        if parts:
            parts[0] = b"{"
        else:
            parts.append(b"{")
        parts.append(b"}")
        return parts

    def _get_layout(self, view: View, projection: Projection, is_reduced: bool) -> tuple[LayoutItem, ...]:
        layout = self.layouts.get((view.name, projection.identity, is_reduced))
        if layout is None:
            required = self.contract.document.resolve(view.pointer).get("required", ()) if is_reduced else None
            layout = tuple(build_layout(self.contract.resources[view.resource], view, projection, required))
            self.layouts[view.name, projection.identity, is_reduced] = layout
        return layout

    def _get_segments(self, view: View, record: StoredRecord, layout: tuple[LayoutItem, ...]) -> tuple[bytes, ...]:
        segments = self.segment_cache.entries.get((view.name, record.key))
        if segments is None:
            segments = encode_segments(record, layout)
            self.segment_cache.put((view.name, record.key), segments)
        return segments

    def _encode_relation(
        self, item: EmbeddedRelation, record: StoredRecord, viewer: Viewer | None, dependencies: set[Tag]
    ) -> Sequence[bytes] | None:
        """Encode a relation as parts; None if the property is missing."""
        relation, projections = item.relation, item.projections
        if projections is None:
            return (b"{}",)
        bodies: list[bytes] = []
        size = 0
        for target in self.find_targets(relation, record, dependencies):
            view = self.contract.views[relation.target_views[target.resource]]
            encoding = self._encode_embedded(view, target, projections[target.resource], viewer)
            dependencies.update(encoding.tags)
            if encoding.body is not None:
                bodies += (b",", encoding.body)
                size += len(encoding.body)
                if size > MAX_BODY_BYTES:
                    raise response_too_large_error(MAX_BODY_BYTES)
        if relation.to_many:
            return (b"[", *bodies[1:], b"]")
        if bodies:
            return bodies[1:2]
        if relation.nullable:
            return (b"null",)
        return (b"{}",) if relation.allows_empty_object else None

    def find_targets(self, relation: Relation, record: StoredRecord, dependencies: set[Tag]) -> Sequence[Reference]:
        """Return the targets of a record's relation and add the tags that they depend on to `dependencies`."""
        if relation.inverse is not None:
            dependencies.update(self._iter_inverse_tags(relation, record))
            return self.store.find_inverse(relation, record.reference)
        if relation.to_many:
            return self.store.get_linked_references(record.resource, relation, record.key)
        reference = record.references[relation.name]
        return () if reference is None else (reference,)

    def _iter_inverse_tags(self, relation: Relation, record: StoredRecord) -> Iterable[Tag]:
        """Yield the tags that change when a target of an inverse relation is added, removed or changed."""
        for name in relation.targets:
            inverse = self.contract.resources[name].relations[relation.inverse or ""]
            yield name, inverse.name, encode_reference(inverse, record.reference)

    def _compute_derived(
        self, record: StoredRecord, derived: DerivedProperty, viewer: Viewer | None, dependencies: set[Tag]
    ) -> Any:
        if derived.kind == "group":
            parts = derived.parts.items()
            return {name: self._compute_derived(record, part, viewer, dependencies) for name, part in parts}
        if derived.kind in ("count", "sum", "max"):
            relation = self.contract.resources[record.resource].relations[derived.path[0]]
            if relation.inverse is not None:
                dependencies.update(self._iter_inverse_tags(relation, record))
            else:
                targets = self.find_targets(relation, record, dependencies)
                dependencies.update((target.resource, target.key) for target in targets)
            dependencies.update(self.visibility.iter_grant_tags(viewer, relation.targets))
            restrict = Query(self.store, viewer).build_visibility_condition_by_name
            return self.store.compute_derived(record.resource, derived, record.key, restrict)
        if derived.kind == "viewer":
            owner_path = self.contract.resources[record.resource].owner_path
            path = owner_path if derived.path == ("owner",) else derived.path
            reference = self.follow_path(record, path, dependencies)
            return bool(viewer and reference and reference.key == viewer.user_key)
        path = derived.path if derived.kind == "number" else derived.path[:-1]
        target = self.store.resolve(self.follow_path(record, path, dependencies))
        if target is None or (derived.nullable and not self.visibility.is_visible(viewer, target, dependencies)):
            return None
        return target.number if derived.kind == "number" else target.attributes.get(derived.path[-1])

    def follow_path(self, record: StoredRecord, path: tuple[str, ...], dependencies: set[Tag]) -> Reference | None:
        """Return where a path of to-one relations leads; the tags it depends on are added to `dependencies`."""
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


def join_parts(parts: list[bytes]) -> bytes:
    """Join the parts of a body or an encoded record. Raises ApiError (413) above MAX_BODY_BYTES."""
    encoded = parts[0] if len(parts) == 1 else b"".join(parts)
    if len(encoded) > MAX_BODY_BYTES:
        raise response_too_large_error(MAX_BODY_BYTES)
    return encoded


def _measure_segments(_: tuple[str, Any], segments: tuple[bytes, ...]) -> int:
    return _ENTRY_OVERHEAD + sum(map(len, segments)) + _SEGMENT_OVERHEAD * len(segments)


def _measure_embedded(_: tuple[Any, ...], encoding: EmbeddedEncoding) -> int:
    return _ENTRY_OVERHEAD + len(encoding.body or b"") + _TAG_OVERHEAD * len(encoding.tags)


def encode_segments(record: StoredRecord, layout: Iterable[LayoutItem]) -> tuple[bytes, ...]:
    """Encode the segments of a layout."""
    attributes = record.attributes
    return tuple([item.encode(attributes) for item in layout if isinstance(item, FieldSegment)])
