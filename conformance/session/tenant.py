"""The tenant that a run works in (`--workspace`): how a contract lets a request say it, read from its words.

A list says it by a filter on the path that `x-resource`'s `tenant` names; a create by the field that sets that
relation. Where neither is there, the token decides.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from conformance.errors import UsageError
from spec.loader import Contract, Operation, Relation, Resource

UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")  # of any version: the documentation's have none


@dataclass(frozen=True, slots=True)
class TenantScope:
    """One tenant, by its key."""

    contract: Contract
    resource: Resource
    key: Any

    @classmethod
    def from_option(cls, contract: Contract, key: str) -> "TenantScope":
        """The tenant with that key, as the command line says it. Raises UsageError: the contract has no tenants."""
        if contract.tenant_resource is None:
            raise UsageError("--workspace: found one, and a contract without tenants; allowed: none")
        return cls(
            contract, contract.tenant_resource, parse_key(contract, contract.tenant_resource.name, key, "--workspace")
        )

    def query_filter(self, operation: Operation) -> Mapping[str, Any]:
        """What narrows a list to the tenant."""
        name = self.filter_parameter(operation)
        return {} if name is None else {name: self.key}

    def create_fields(self, operation: Operation) -> Mapping[str, Any]:
        """What has a create make its record in the tenant."""
        name = self.create_field(operation)
        return {} if name is None else {name: self.key}

    def filter_parameter(self, operation: Operation) -> str | None:
        """The name of the parameter by which a list is narrowed to the tenant."""
        resource = self.contract.resources.get(operation.resource or "")
        if resource is None or operation.action != "list":
            return None
        tenant_path = (*resource.tenant_path, self.resource.key_attribute)
        for parameter in operation.query_parameters:
            query_role = parameter.x_query
            if (
                resource.tenant_path
                and query_role
                and (query_role.role, query_role.operator, query_role.paths) == ("filter", "eq", (tenant_path,))
            ):
                return parameter.name
        return None

    def create_field(self, operation: Operation) -> str | None:
        """The name of the field by which a create says the tenant."""
        view = self.contract.views.get(operation.envelope.view_name or "")
        resource = self.contract.resources[view.resource] if view else None
        if (
            resource is None
            or len(resource.tenant_path) != 1
            or operation.method != "post"
            or operation.request_body is None
        ):
            return None
        for field in operation.request_body.fields.values():
            if (
                field.relation_setter is not None
                and field.relation_setter.discriminator is None
                and field.relation_setter.relation == resource.tenant_path[0]
            ):
                return field.name
        return None

    def applies_to(self, operation: Operation) -> bool:
        """Whether an operation lists or creates records that lie directly in a tenant."""
        resource = self.contract.resources.get(operation.resource or "")
        return resource is not None and len(resource.tenant_path) == 1 and operation.action in ("list", "create")

    def is_target_of(self, relation: Relation) -> bool:
        """Whether a relation leads to tenants alone."""
        return relation.targets == (self.resource.name,)


def parse_key(contract: Contract, resource: str, key: str, flag: str = "--sacrifice") -> Any:
    """A key as JSON has it. Raises UsageError when the resource's keys are numbers, or UUIDs, and this is none."""
    definition = contract.resources[resource]
    if definition.attributes[definition.key_attribute].format == "uuid" and not UUID.fullmatch(key):
        raise UsageError(f"{flag}: found {key[:60]!a}; allowed: a key of {resource}, a UUID")
    if not definition.has_integer_key:
        return key
    if not (key.isascii() and key.isdigit() and len(key) < 20):
        raise UsageError(f"{flag}: found {key[:60]!a}; allowed: a key of {resource}, a whole number")
    return int(key)
