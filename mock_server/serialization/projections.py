"""Projections: which relations and optional properties of a record a response contains."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spec.model import Contract, View


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
