"""The default values of new records, computed once for each resource."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mock_server.query import Viewer
from spec.model import Contract, Relation, Resource
from spec.record import Reference


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
        others = [p for p in resource.attributes.values() if p.name != resource.key_attribute]
        unmanaged = [p for p in others if p.stamp is None]
        relations = [r for r in resource.relations.values() if r.is_stored and not r.to_many]
        account, tenant, path = contract.account_resource, contract.tenant_resource, resource.tenant_path
        return cls(
            {p.name: p.default for p in resource.attributes.values()},
            tuple((p.name, p.stamp) for p in others if p.stamp is not None),
            tuple(p.name for p in unmanaged if p.write_only and not (p.nullable or p.has_default)),
            {p.name: p.default for p in unmanaged if isinstance(p.default, dict) and p.default},
            tuple(r.name for r in relations if account and _is_owner(account, resource, r)),
            tuple(r.name for r in relations if tenant and r.targets == (tenant.name,) and (r.name,) == path),
        )

    def get_references(self, contract: Contract, viewer: Viewer | None) -> dict[str, Reference]:
        """Return the viewer as owner and the viewer's first tenant as tenant, for the relations that store them."""
        references: dict[str, Reference] = {}
        if viewer is None or not (self.tenant_relations or self.owner_relations):
            return references
        if contract.tenant_resource and viewer.tenant_keys:
            tenant = Reference(contract.tenant_resource.name, viewer.tenant_keys[0])
            references |= dict.fromkeys(self.tenant_relations, tenant)
        if contract.account_resource:
            owner = Reference(contract.account_resource.name, viewer.user_key)
            references |= dict.fromkeys(self.owner_relations, owner)
        return references


def _is_owner(account: Resource, resource: Resource, relation: Relation) -> bool:
    is_owner_relation = (relation.name,) == resource.owner_path or (not resource.owner_path and not relation.nullable)
    return is_owner_relation and relation.targets == (account.name,)
