"""Tenants and owners: which tenant a token and the records of the run belong to."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from conformance.errors import SkipCheck, SkipReason, not_testable
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import Actor
from spec.model import Resource

UNKNOWN_NUMBER = 1_900_000_000  # an integer key that no record has


def find_shared_tenant_reason(session: Session) -> SkipReason | None:
    """Return why the second token is not of another tenant (same account or same tenant), or None if it is."""
    account, tenant = session.contract.account_resource, session.contract.tenant_resource
    try:
        identity, other_identity = session.client.identity(), session.client.identity(Actor.OTHER_TENANT)
    except SkipCheck:
        return None
    key = account.key_attribute if account is not None else ""
    if account is not None and key in identity and identity.get(key) == other_identity.get(key):
        return SkipReason(f"the second token belongs to the same {account.name}: --other-token-env")
    tenants = find_tenant_keys(session, identity)
    if tenant is None or not tenants:
        return None
    if tenants & (find_tenant_keys(session, other_identity) | _fetch_tenant_keys(session, tenant)):
        return SkipReason(f"the second token has access to the same {tenant.name}: --other-token-env")
    return None


def find_tenant_keys(session: Session, identity: Mapping[str, Any]) -> set[Any]:
    """Return the keys of the tenants that an account embeds."""
    account, tenant = session.contract.account_resource, session.contract.tenant_resource
    if account is None or tenant is None:
        return set()
    related = [identity.get(r.name) for r in account.relations.values() if r.targets == (tenant.name,)]
    keys = (row.get(tenant.key_attribute) for row in related if isinstance(row, dict))
    return set(filter(is_key, keys))


def _fetch_tenant_keys(session: Session, tenant: Resource) -> set[Any]:
    operation = session.operations.find(tenant.name, "list")
    if operation is None:
        return set()
    try:
        rows = session.records.rows(operation, {}, actor=Actor.OTHER_TENANT)
        return set(filter(is_key, (row.get(tenant.key_attribute) for row in rows)))
    except SkipCheck:
        return set()


def derive_value(session: Session, resource: Resource, path: tuple[str, ...]) -> Any:
    """Return the value at a path of relations that records created by the run have. Raises SkipCheck if unknown."""
    tenant_loader = (resource.tenant_path, lambda: _get_tenant(session, resource))
    for prefix, load_record in (tenant_loader, (resource.owner_path, session.client.identity)):
        if prefix and path[:-1] == prefix:
            record = load_record()
            if path[-1] in record:
                return record[path[-1]]
    raise SkipCheck(not_testable(f"the rows have no {'.'.join(path)}"))


def _get_tenant(session: Session, resource: Resource) -> Any:
    """Return the tenant of the account, if new records are assigned to it. Raises SkipCheck otherwise."""
    tenant = session.contract.tenant_resource
    current = resource
    for name in resource.tenant_path:
        operation = session.operations.creator(current.name)
        fields = operation.body_fields.values()
        target = session.contract.resources[current.relations[name].targets[0]]
        setters = [f.relation_setter for f in fields if f.required and f.relation_setter]
        if target is tenant and any(setter.relation == name for setter in setters):
            raise SkipCheck(not_testable(f"a new {current.name} requires an explicit {target.name}"))
        current = target
    for related in session.client.identity().values():
        if tenant is not None and isinstance(related, dict) and tenant.key_attribute in related:
            return related
    raise SkipCheck("the account has no tenant")


def build_unmatched_value(value: Any) -> Any:
    """Return a value of the same type that no record has."""
    if isinstance(value, (int, float)):
        return UNKNOWN_NUMBER
    try:
        UUID(str(value))
    except ValueError:
        return "conformance-unknown"
    return f"00000000-0000-4000-8000-{UNKNOWN_NUMBER:012d}"
