"""Paths that the contract's words name: to a property through relations, to a relation, to a count."""

from spec.document import snake_case
from spec.errors import ContractError
from spec.model import Contract, Relation, Resource


def path_of(
    contract: Contract, resource: Resource, path: tuple[str, ...], place: str
) -> tuple[tuple[Relation, ...], Resource, tuple[str, ...]]:
    """A property path as (relations to follow, the resource they end at, path of the own property there).

    The last part is empty when the path ends at a relation.
    """
    steps: list[Relation] = []
    for index, part in enumerate(path):
        if part in resource.own:
            return tuple(steps), resource, path[index:]
        relation = resource.relations.get(part)
        if relation is None:
            allowed = f"of {resource.name}: " + ", ".join((*resource.own, *resource.relations))
            raise ContractError(place, repr(part), allowed)
        steps.append(relation)
        resource = contract.resources[relation.to[0]]
    return tuple(steps), resource, ()


def include_path(contract: Contract, resource: Resource, name: str, place: str) -> tuple[str, ...]:
    """A value of an include parameter (``thread.creator``, camelCase too) as a path of relation names."""
    found: list[str] = []
    at = [resource]
    for part in name.split("."):
        here = [(r, r.relations.get(part) or r.relations.get(snake_case(part))) for r in at]
        known = [(r, relation) for r, relation in here if relation is not None and not relation.hidden]
        if not known:
            allowed = ", ".join(r.name for r in at[0].relations.values() if not r.hidden)
            raise ContractError(place, repr(name), f"relations of {at[0].name}: {allowed}")
        found.append(known[0][1].name)
        at = [contract.resources[target] for _, relation in known for target in relation.to]
    return tuple(found)


def counted(resource: Resource, name: str, place: str) -> str:
    """A value of a count parameter (``workflowApprovals``) as the name of the property that shows it."""
    shown = f"{snake_case(name)}_count"
    if shown not in resource.derived:
        allowed = ", ".join(d.removesuffix("_count") for d in resource.derived if d.endswith("_count"))
        raise ContractError(place, repr(name), f"of {resource.name}: {allowed}")
    return shown
