"""Whether the other token is of another tenant, as laws about tenants need it to be."""

from collections.abc import Mapping
from typing import Any

from conformance.errors import SkipCheck
from conformance.session.session import Session
from conformance.skip_reasons import SkipReason
from spec.loader import Resource


def find_shared_tenant_reason(session: Session) -> SkipReason | None:
    """Why the other token is of no other tenant, or None: it is the same account's, or enters the same tenant."""
    account, tenant = session.contract.account_resource, session.contract.tenant_resource
    try:
        own_identity, other_identity = session.identity(), session.identity("other")
    except SkipCheck:
        return None
    if (
        account is not None
        and account.key_attribute in own_identity
        and own_identity.get(account.key_attribute) == other_identity.get(account.key_attribute)
    ):
        return SkipReason(f"the other token is the same {account.name}'s: --other-token-env")
    own_tenants = _find_tenant_keys(session, own_identity)
    if tenant is None or not own_tenants:
        return None
    other_tenants = _find_tenant_keys(session, other_identity) | _fetch_tenant_keys(session, tenant)
    return (
        SkipReason(f"the other token enters the same {tenant.name}: --other-token-env")
        if own_tenants & other_tenants
        else None
    )


def _find_tenant_keys(session: Session, account: Mapping[str, Any]) -> set[Any]:
    """Keys of the tenants that an account shows as its own."""
    resource, tenant = session.contract.account_resource, session.contract.tenant_resource
    if resource is None or tenant is None:
        return set()
    tenants = [account.get(r.name) for r in resource.relations.values() if r.targets == (tenant.name,)]
    return {home[tenant.key_attribute] for home in tenants if isinstance(home, dict) and tenant.key_attribute in home}


def _fetch_tenant_keys(session: Session, tenant: Resource) -> set[Any]:
    listing = session.operation(tenant.name, "list")
    try:
        return {row.get(tenant.key_attribute) for row in session.rows(listing, {}, actor="other")} if listing else set()
    except SkipCheck:
        return set()
