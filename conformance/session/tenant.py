"""The tenant of a run (`--tenant`), and how requests select it according to the contract.

A list selects it by a filter on the `tenant` path of `x-resource`, a create by the field that sets that relation.
Otherwise the token decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.errors import UsageError
from spec.model import Contract, Operation, Resource

# Any version: those of the documentation have none.
UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class TenantScope:
    """One tenant, by its key."""

    contract: Contract
    resource: Resource
    key: Any

    @classmethod
    def from_option(cls, contract: Contract, key: str) -> "TenantScope":
        """The tenant of `--tenant`. Raises UsageError if the contract has no tenants or the key is invalid."""
        if contract.tenant_resource is None:
            raise UsageError("--tenant: not supported (the contract has no tenants)")
        resource = contract.tenant_resource
        return cls(contract, resource, parse_key(contract, resource.name, key, "--tenant"))

    def query_filter(self, operation: Operation) -> Mapping[str, Any]:
        """The query parameter that restricts a list to the tenant; empty if it has none."""
        resource = self.contract.resources.get(operation.resource or "")
        if resource is None or operation.action != "list":
            return {}
        expected = ("filter", "eq", ((*resource.tenant_path, self.resource.key_attribute),))
        for parameter in operation.query_parameters if resource.tenant_path else ():
            query = parameter.x_query
            if query and (query.role, query.operator, query.paths) == expected:
                return {parameter.name: self.key}
        return {}

    def create_fields(self, operation: Operation) -> Mapping[str, Any]:
        """The body field that creates a record in the tenant; empty if there is none."""
        view = self.contract.views.get(operation.envelope.view_name or "")
        resource = self.contract.resources[view.resource] if view else None
        if resource is None or len(resource.tenant_path) != 1 or operation.method != "post":
            return {}
        for field in operation.body_fields.values():
            setter = field.relation_setter
            if setter is not None and setter.discriminator is None and setter.relation == resource.tenant_path[0]:
                return {field.name: self.key}
        return {}

    def applies_to(self, operation: Operation) -> bool:
        """Whether an operation lists or creates records directly in a tenant."""
        resource = self.contract.resources.get(operation.resource or "")
        return resource is not None and len(resource.tenant_path) == 1 and operation.action in ("list", "create")


def parse_key(contract: Contract, resource: str, key: str, option: str = "--mutable-record") -> Any:
    """A key as JSON value. Raises UsageError if it is not an integer or UUID where the resource requires one."""
    definition = contract.resources[resource]
    if definition.attributes[definition.key_attribute].format == "uuid" and not UUID.fullmatch(key):
        raise UsageError(f"{option}: invalid key {key[:60]!a} of {resource} (expected a UUID)")
    if not definition.has_integer_key:
        return key
    if not (key.isascii() and key.isdigit() and len(key) < 20):
        raise UsageError(f"{option}: invalid key {key[:60]!a} of {resource} (expected an integer)")
    return int(key)
