"""What a write asks of the contract: found once for an operation or a resource, and kept beside the world."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spec.contract import BodyField, Contract, Operation, Parameter, Relation, Resource
from spec.document import snake_case


@dataclass(frozen=True, slots=True)
class Blank:
    """A new record of a resource as it stands when nothing is sent.

    `own`: the properties in the order of the schema. `stamps`: those that the server sets, and to which stamp.
    `optional`: those that a record lacks unless they are sent. `parted`: those whose defaults hold for each key of an
    object. `owners`, `tenants`: the relations that lead to who makes the record, and to the home of who does.
    """

    own: Mapping[str, Any]
    stamps: tuple[tuple[str, str], ...]
    optional: tuple[str, ...]
    parted: Mapping[str, Any]
    owners: tuple[str, ...]
    tenants: tuple[str, ...]

    @classmethod
    def of(cls, contract: Contract, resource: Resource) -> "Blank":
        """What the contract says of a resource."""
        listed = list(resource.attributes.values())
        said = [p for p in listed if p.name != resource.key_attribute and p.stamp is None]
        homes = [r for r in resource.relations.values() if r.is_stored and not r.to_many]
        return cls(
            {p.name: p.default for p in listed},
            tuple((p.name, p.stamp) for p in listed if p.stamp is not None and p.name != resource.key_attribute),
            tuple(p.name for p in said if p.write_only and not (p.nullable or p.has_default)),
            {p.name: p.default for p in said if isinstance(p.default, dict) and p.default},
            tuple(
                r.name for r in homes if contract.account_resource and _is_owner(contract.account_resource, resource, r)
            ),
            tuple(
                r.name for r in homes if contract.tenant_resource and _is_tenant(contract.tenant_resource, resource, r)
            ),
        )


def _is_owner(account: Resource, resource: Resource, relation: Relation) -> bool:
    owns = (relation.name,) == resource.owner_path or (not resource.owner_path and not relation.nullable)
    return owns and relation.targets == (account.name,)


def _is_tenant(tenant: Resource, resource: Resource, relation: Relation) -> bool:
    return relation.targets == (tenant.name,) and (relation.name,) == resource.tenant_path


@dataclass(frozen=True, slots=True)
class Naming:
    """A parameter or a field, `name`, by which a request says where a relation leads.

    To `first`, unless the field `by` says one of `kinds`.
    """

    name: str
    relation: Relation
    first: Resource
    by: str | None
    kinds: Mapping[str, Resource]

    def target(self, body: Any) -> Resource:
        """Of which resource the named record is, by a request's body."""
        said = body.get(self.by) if self.by is not None and body is not None else None
        return self.kinds.get(said, self.first) if isinstance(said, str) else self.first


@dataclass(frozen=True, slots=True)
class Saying:
    """What of a request is about the record.

    `own`: the fields of the body that are properties of it. `query`, `body`: what names other records, of the
    parameters and of the fields.
    """

    own: tuple[str, ...]
    query: tuple[Naming, ...]
    body: tuple[Naming, ...]

    @classmethod
    def of(cls, contract: Contract, operation: Operation, resource: Resource) -> "Saying":
        """What an operation's request says of a record of a resource."""
        fields: Mapping[str, BodyField] = operation.request_body.fields if operation.request_body else {}
        own = (name for name, said in fields.items() if said.relation_setter is None and name in resource.attributes)
        return cls(
            tuple(name for name in own if name != resource.key_attribute and resource.attributes[name].stamp is None),
            tuple(_namings(contract, resource, ((p.name, p) for p in operation.query_parameters))),
            tuple(_namings(contract, resource, fields.items())),
        )


def _namings(
    contract: Contract, resource: Resource, items: Iterable[tuple[str, Parameter | BodyField]]
) -> Iterator[Naming]:
    for name, item in items:
        relation = resource.relations.get(item.relation_setter.relation) if item.relation_setter else None
        if item.relation_setter is not None and relation is not None:
            targets = [contract.resources[target] for target in relation.targets]
            kinds = {snake_case(target.name): target for target in targets}
            yield Naming(name, relation, targets[0], item.relation_setter.discriminator, kinds)


@dataclass(frozen=True, slots=True)
class Plans:
    """The plans of one contract, each made when it is first asked for."""

    contract: Contract
    blanks: dict[str, Blank] = field(default_factory=dict)
    sayings: dict[tuple[str, str], Saying] = field(default_factory=dict)

    def blank(self, resource: Resource) -> Blank:
        """How a new record of a resource stands."""
        found = self.blanks.get(resource.name)
        if found is None:
            found = self.blanks[resource.name] = Blank.of(self.contract, resource)
        return found

    def saying(self, operation: Operation, resource: Resource) -> Saying:
        """What an operation's request says of a record of a resource."""
        found = self.sayings.get((operation.id, resource.name))
        if found is None:
            found = self.sayings[operation.id, resource.name] = Saying.of(self.contract, operation, resource)
        return found
