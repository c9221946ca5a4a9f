"""Resolves property paths, include paths and counts that extensions and enums name."""

from spec.document import snake_case
from spec.errors import ContractError, invalid_value
from spec.model import Contract, Relation, Resource


def resolve_property_path(
    contract: Contract, resource: Resource, path: tuple[str, ...], location: str
) -> tuple[tuple[Relation, ...], Resource, tuple[str, ...]]:
    """Return the relations to follow, the resource at their end and the path of the attribute in it.

    The attribute path is empty when `path` ends at a relation.
    """
    steps: list[Relation] = []
    for index, part in enumerate(path):
        if part in resource.attributes:
            return tuple(steps), resource, path[index:]
        relation = resource.relations.get(part)
        if relation is None:
            expected = f"one of {resource.name}: " + ", ".join((*resource.attributes, *resource.relations))
            raise ContractError(location, invalid_value(part), expected)
        steps.append(relation)
        resource = contract.resources[relation.targets[0]]
    return tuple(steps), resource, ()


def resolve_include(contract: Contract, resource: Resource, name: str, location: str) -> tuple[str, ...]:
    """Return the relation names for a value of an include parameter (``thread.creator``; camelCase is accepted)."""
    relation_names: list[str] = []
    resources = [resource]
    for part in name.split("."):
        candidates = [(r, r.relations.get(part) or r.relations.get(snake_case(part))) for r in resources]
        matches = [(r, relation) for r, relation in candidates if relation is not None and not relation.write_only]
        if not matches:
            expected = ", ".join(r.name for r in resources[0].relations.values() if not r.write_only)
            raise ContractError(location, invalid_value(name), f"relations of {resources[0].name}: {expected}")
        relation_names.append(matches[0][1].name)
        resources = [contract.resources[target] for _, relation in matches for target in relation.targets]
    return tuple(relation_names)


def resolve_count(resource: Resource, name: str, location: str) -> str:
    """Return the derived property for a value of a count parameter (``workflowApprovals``)."""
    property_name = f"{snake_case(name)}_count"
    if property_name not in resource.derived_properties:
        expected = ", ".join(d.removesuffix("_count") for d in resource.derived_properties if d.endswith("_count"))
        raise ContractError(location, invalid_value(name), f"one of {resource.name}: {expected}")
    return property_name
