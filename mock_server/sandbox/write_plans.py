"""What writes read from the contract, computed once per operation and resource."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spec.document import snake_case
from spec.model import BodyField, Contract, Operation, Parameter, Relation, Resource


@dataclass(frozen=True, slots=True)
class RecordDefaults:
    """The default values of a new record.

    `attributes`: in the order of the schema. `managed_attributes`: (name, stamp) of those that the server sets.
    `optional_attributes`: those that a record has only if they are sent. `object_defaults`: those with defaults for the
    keys of an object. `owner_relations`, `tenant_relations`: relations to the viewer's account and home tenant.
    """

    attributes: Mapping[str, Any]
    managed_attributes: tuple[tuple[str, str], ...]
    optional_attributes: tuple[str, ...]
    object_defaults: Mapping[str, Any]
    owner_relations: tuple[str, ...]
    tenant_relations: tuple[str, ...]

    @classmethod
    def from_resource(cls, contract: Contract, resource: Resource) -> "RecordDefaults":
        """Compute the defaults of a resource."""
        others = [p for p in resource.attributes.values() if p.name != resource.key_attribute]
        unmanaged = [p for p in others if p.stamp is None]
        relations = [r for r in resource.relations.values() if r.is_stored and not r.to_many]
        account, tenant = contract.account_resource, contract.tenant_resource
        return cls(
            {p.name: p.default for p in resource.attributes.values()},
            tuple((p.name, p.stamp) for p in others if p.stamp is not None),
            tuple(p.name for p in unmanaged if p.write_only and not (p.nullable or p.has_default)),
            {p.name: p.default for p in unmanaged if isinstance(p.default, dict) and p.default},
            tuple(r.name for r in relations if account and _is_owner(account, resource, r)),
            tuple(r.name for r in relations if tenant and _is_tenant(tenant, resource, r)),
        )


def _is_owner(account: Resource, resource: Resource, relation: Relation) -> bool:
    is_owner_relation = (relation.name,) == resource.owner_path or (not resource.owner_path and not relation.nullable)
    return is_owner_relation and relation.targets == (account.name,)


def _is_tenant(tenant: Resource, resource: Resource, relation: Relation) -> bool:
    return relation.targets == (tenant.name,) and (relation.name,) == resource.tenant_path


@dataclass(frozen=True, slots=True)
class ReferenceInput:
    """A parameter or body field, `name`, that sets a relation.

    Its target is of the resource `default_target`, unless the field `discriminator` names one of `targets_by_type`.
    """

    name: str
    relation: Relation
    default_target: Resource
    discriminator: str | None
    targets_by_type: Mapping[str, Resource]

    def resolve_target(self, body: Any) -> Resource:
        """Return the resource of the target, for a request's body."""
        type_name = body.get(self.discriminator) if self.discriminator is not None and body is not None else None
        target = self.targets_by_type.get(type_name) if isinstance(type_name, str) else None
        return target or self.default_target


@dataclass(frozen=True, slots=True)
class RequestMapping:
    """How an operation's request maps to a record.

    `attributes`: the body fields that set attributes. `query_references`, `body_references`: the query parameters and
    body fields that set relations.
    """

    attributes: tuple[str, ...]
    query_references: tuple[ReferenceInput, ...]
    body_references: tuple[ReferenceInput, ...]

    @classmethod
    def from_operation(cls, contract: Contract, operation: Operation, resource: Resource) -> "RequestMapping":
        """Compute the mapping of an operation to a resource."""
        fields: Mapping[str, BodyField] = operation.request_body.fields if operation.request_body else {}
        writable = {
            p.name for p in resource.attributes.values() if p.name != resource.key_attribute and p.stamp is None
        }
        return cls(
            tuple(name for name, item in fields.items() if item.relation_setter is None and name in writable),
            tuple(_iter_reference_inputs(contract, resource, ((p.name, p) for p in operation.query_parameters))),
            tuple(_iter_reference_inputs(contract, resource, fields.items())),
        )


def _iter_reference_inputs(
    contract: Contract, resource: Resource, items: Iterable[tuple[str, Parameter | BodyField]]
) -> Iterator[ReferenceInput]:
    for name, item in items:
        relation = resource.relations.get(item.relation_setter.relation) if item.relation_setter else None
        if item.relation_setter is not None and relation is not None:
            targets = [contract.resources[target] for target in relation.targets]
            targets_by_type = {snake_case(target.name): target for target in targets}
            yield ReferenceInput(name, relation, targets[0], item.relation_setter.discriminator, targets_by_type)


@dataclass(frozen=True, slots=True)
class WritePlans:
    """The defaults and mappings of one contract, each computed on first use."""

    contract: Contract
    record_defaults: dict[str, RecordDefaults] = field(default_factory=dict)
    request_mappings: dict[tuple[str, str], RequestMapping] = field(default_factory=dict)

    def get_record_defaults(self, resource: Resource) -> RecordDefaults:
        """Return the defaults of a resource."""
        defaults = self.record_defaults.get(resource.name)
        if defaults is None:
            defaults = self.record_defaults[resource.name] = RecordDefaults.from_resource(self.contract, resource)
        return defaults

    def get_request_mapping(self, operation: Operation, resource: Resource) -> RequestMapping:
        """Return the mapping of an operation to a resource."""
        mapping = self.request_mappings.get((operation.id, resource.name))
        if mapping is None:
            mapping = RequestMapping.from_operation(self.contract, operation, resource)
            self.request_mappings[operation.id, resource.name] = mapping
        return mapping
