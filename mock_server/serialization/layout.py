"""What a response shows of a record: projections select relations and optional properties, layouts order them.

A layout is the JSON object of a view: segments of attributes, embedded relations and computed fields.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from spec.model import Contract, DerivedProperty, Relation, Resource, View

# Placeholder for scheme, host and prefix in cached bytes. JSON text never contains it unescaped.
BASE_URL_MARKER = b"\x01"


@dataclass(frozen=True, slots=True)
class Projection:
    """The relations that are embedded, and the optional derived properties that are included (`property_names`).

    `embedded_relations`: relation name -> projection by target resource; None: an empty object, where a cycle ends.
    Equal projections have equal `identity`.
    """

    embedded_relations: Mapping[str, Mapping[str, "Projection"] | None]
    property_names: frozenset[str]
    identity: int


@dataclass(slots=True)
class ProjectionFactory:
    """Creates projections and interns equal ones."""

    contract: Contract
    interned: dict[Any, Projection] = field(default_factory=dict)
    cache: dict[Any, Projection] = field(default_factory=dict)

    def get_default(self, view_name: str, property_names: frozenset[str] = frozenset()) -> Projection:
        """Return the projection with every relation that the contract embeds, up to cycles."""
        projection = self.cache.get((view_name, property_names))
        if projection is None:
            projection = self._build(self.contract.views[view_name], None, (), property_names)
            self.cache[view_name, property_names] = projection
        return projection

    def get_for_paths(
        self, view_name: str, include_paths: Iterable[tuple[str, ...]], property_names: frozenset[str] = frozenset()
    ) -> Projection:
        """Return the projection with the relations in `include_paths` and those that the schema requires."""
        cache_key = (view_name, frozenset(include_paths), property_names)
        projection = self.cache.get(cache_key)
        if projection is None:
            tree: dict[str, Any] = {}
            for path in cache_key[1]:
                node = tree
                for part in path:
                    node = node.setdefault(part, {})
            projection = self._build(self.contract.views[view_name], tree, (), property_names)
            self.cache[cache_key] = projection
        return projection

    def _build(
        self,
        view: View,
        tree: Mapping[str, Any] | None,
        ancestors: tuple[str, ...],
        property_names: frozenset[str] = frozenset(),
    ) -> Projection:
        """Build a projection of the relations in `tree`, None for the default ones."""
        ancestors = (*ancestors, view.resource)
        embedded_relations: dict[str, Mapping[str, Projection] | None] = {}
        required = self.contract.document.resolve(view.pointer).get("required", ())
        relations = self.contract.resources[view.resource].relations
        for name in view.property_names:
            relation = relations.get(name)
            if relation is None:
                continue
            is_selected = relation.is_embedded if tree is None else name in tree
            if not is_selected and name not in required and name not in property_names:
                continue
            if (tree is None or name not in tree) and any(target in ancestors for target in relation.targets):
                if relation.allows_empty_object:
                    embedded_relations[name] = None
                continue
            subtree = None if tree is None else tree.get(name, {})
            views = {target: self.contract.views[relation.target_views[target]] for target in relation.targets}
            embedded_relations[name] = {
                target: self._build(target_view, subtree, ancestors) for target, target_view in views.items()
            }
        return self._intern(embedded_relations, property_names)

    def _intern(
        self, embedded_relations: Mapping[str, Mapping[str, Projection] | None], property_names: frozenset[str]
    ) -> Projection:
        identities = (
            (name, None if targets is None else tuple((target, item.identity) for target, item in targets.items()))
            for name, targets in embedded_relations.items()
        )
        key = (tuple(identities), property_names)
        projection = self.interned.get(key)
        if projection is None:
            projection = self.interned[key] = Projection(embedded_relations, property_names, len(self.interned))
        return projection


@dataclass(frozen=True, slots=True)
class FieldSegment:
    """Consecutive attributes of a view; `file_names` are the names of those that hold URLs of files."""

    names: tuple[str, ...]
    file_names: tuple[str, ...]

    @classmethod
    def from_resource(cls, resource: Resource, names: Iterable[str]) -> "FieldSegment":
        all_names = tuple(names)
        return cls(all_names, tuple(name for name in all_names if resource.attributes[name].is_file))

    def encode(self, attributes: Mapping[str, Any]) -> bytes:
        """Encode as JSON without braces; paths of files that the mock serves are preceded by the base URL marker."""
        fields = {name: attributes[name] for name in self.names if name in attributes}
        for name in self.file_names:
            url_path = fields.get(name)
            if isinstance(url_path, str) and url_path[:1] == "/":
                fields[name] = orjson.Fragment(b'"' + BASE_URL_MARKER + orjson.dumps(url_path)[1:])
        return orjson.dumps(fields)[1:-1]


@dataclass(frozen=True, slots=True)
class EmbeddedRelation:
    """A relation with the projections of its targets. `key_prefix`: its name as JSON key."""

    key_prefix: bytes
    relation: Relation
    projections: Mapping[str, Projection] | None


@dataclass(frozen=True, slots=True)
class ComputedField:
    """A derived property. `key_prefix`: its name as JSON key."""

    key_prefix: bytes
    derived_property: DerivedProperty


LayoutItem = FieldSegment | EmbeddedRelation | ComputedField


def build_layout(
    resource: Resource, view: View, projection: Projection, allowed_names: Container[str] | None = None
) -> Iterator[LayoutItem]:
    """Yield the layout of a view, of all its properties or of `allowed_names`.

    The segments of all properties are the same in every projection.
    """
    names: list[str] = []
    for name in (
        view.property_names if allowed_names is None else filter(allowed_names.__contains__, view.property_names)
    ):
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


def insert_base_url(body: bytes, base_url: str) -> bytes:
    return body.replace(BASE_URL_MARKER, orjson.dumps(base_url)[1:-1]) if BASE_URL_MARKER in body else body
