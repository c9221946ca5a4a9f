"""What a write asks of the contract: found once for an operation or a resource, and kept beside the world."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spec.document import snake_case
from spec.loader import BodyField, Contract, Operation, Parameter, Relation, Resource


@dataclass(frozen=True, slots=True)
class RecordDefaults:
    """A new record of a resource as it stands when nothing is sent.

    `attributes`: the properties in the order of the schema. `managed_attributes`: those that the server sets, and to which stamp.
    `optional_attributes`: those that a record lacks unless they are sent. `object_defaults`: those whose defaults hold for each key of an
    object. `owner_relations`, `tenant_relations`: the relations that lead to who makes the record, and to the home of who does.
    """

    attributes: Mapping[str, Any]
    managed_attributes: tuple[tuple[str, str], ...]
    optional_attributes: tuple[str, ...]
    object_defaults: Mapping[str, Any]
    owner_relations: tuple[str, ...]
    tenant_relations: tuple[str, ...]

    @classmethod
    def from_resource(cls, contract: Contract, resource: Resource) -> "RecordDefaults":
        """What the contract says of a resource."""
        all_attributes = list(resource.attributes.values())
        client_attributes = [p for p in all_attributes if p.name != resource.key_attribute and p.stamp is None]
        to_one_relations = [r for r in resource.relations.values() if r.is_stored and not r.to_many]
        return cls(
            {p.name: p.default for p in all_attributes},
            tuple(
                (p.name, p.stamp) for p in all_attributes if p.stamp is not None and p.name != resource.key_attribute
            ),
            tuple(p.name for p in client_attributes if p.write_only and not (p.nullable or p.has_default)),
            {p.name: p.default for p in client_attributes if isinstance(p.default, dict) and p.default},
            tuple(
                r.name
                for r in to_one_relations
                if contract.account_resource and _is_owner(contract.account_resource, resource, r)
            ),
            tuple(
                r.name
                for r in to_one_relations
                if contract.tenant_resource and _is_tenant(contract.tenant_resource, resource, r)
            ),
        )


def _is_owner(account: Resource, resource: Resource, relation: Relation) -> bool:
    is_owner_relation = (relation.name,) == resource.owner_path or (not resource.owner_path and not relation.nullable)
    return is_owner_relation and relation.targets == (account.name,)


def _is_tenant(tenant: Resource, resource: Resource, relation: Relation) -> bool:
    return relation.targets == (tenant.name,) and (relation.name,) == resource.tenant_path


@dataclass(frozen=True, slots=True)
class ReferenceInput:
    """A parameter or a field, `name`, by which a request says where a relation leads.

    To `default_target`, unless the field `discriminator` says one of `targets_by_type`.
    """

    name: str
    relation: Relation
    default_target: Resource
    discriminator: str | None
    targets_by_type: Mapping[str, Resource]

    def resolve_target(self, body: Any) -> Resource:
        """Of which resource the named record is, by a request's body."""
        type_name = body.get(self.discriminator) if self.discriminator is not None and body is not None else None
        return (
            self.targets_by_type.get(type_name, self.default_target)
            if isinstance(type_name, str)
            else self.default_target
        )


@dataclass(frozen=True, slots=True)
class RequestMapping:
    """What of a request is about the record.

    `attributes`: the fields of the body that are properties of it. `query_references`, `body_references`: what names other records, of the
    parameters and of the fields.
    """

    attributes: tuple[str, ...]
    query_references: tuple[ReferenceInput, ...]
    body_references: tuple[ReferenceInput, ...]

    @classmethod
    def from_operation(cls, contract: Contract, operation: Operation, resource: Resource) -> "RequestMapping":
        """What an operation's request says of a record of a resource."""
        fields: Mapping[str, BodyField] = operation.request_body.fields if operation.request_body else {}
        attributes = (
            name
            for name, body_field in fields.items()
            if body_field.relation_setter is None and name in resource.attributes
        )
        return cls(
            tuple(
                name
                for name in attributes
                if name != resource.key_attribute and resource.attributes[name].stamp is None
            ),
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
    """The plans of one contract, each made when it is first asked for."""

    contract: Contract
    record_defaults: dict[str, RecordDefaults] = field(default_factory=dict)
    request_mappings: dict[tuple[str, str], RequestMapping] = field(default_factory=dict)

    def get_record_defaults(self, resource: Resource) -> RecordDefaults:
        """How a new record of a resource stands."""
        defaults = self.record_defaults.get(resource.name)
        if defaults is None:
            defaults = self.record_defaults[resource.name] = RecordDefaults.from_resource(self.contract, resource)
        return defaults

    def get_request_mapping(self, operation: Operation, resource: Resource) -> RequestMapping:
        """What an operation's request says of a record of a resource."""
        mapping = self.request_mappings.get((operation.id, resource.name))
        if mapping is None:
            mapping = self.request_mappings[operation.id, resource.name] = RequestMapping.from_operation(
                self.contract, operation, resource
            )
        return mapping
