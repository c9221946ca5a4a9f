"""Whether the other token is of another tenant, as laws about tenants need it to be."""

from collections.abc import Mapping
from typing import Any

from conformance.cause import SkipReason
from conformance.errors import SkipCheck
from conformance.session import Session
from spec.contract import Resource


def neighbours(session: Session) -> SkipReason | None:
    """Why the other token is of no other tenant, or None: it is the same account's, or enters the same tenant."""
    account, tenant = session.contract.account_resource, session.contract.tenant_resource
    try:
        mine, theirs = session.identity(), session.identity("other")
    except SkipCheck:
        return None
    if (
        account is not None
        and account.key_attribute in mine
        and mine.get(account.key_attribute) == theirs.get(account.key_attribute)
    ):
        return SkipReason(f"the other token is the same {account.name}'s: --other-token-env")
    homes = _homes(session, mine)
    if tenant is None or not homes:
        return None
    entered = _homes(session, theirs) | _entered(session, tenant)
    return SkipReason(f"the other token enters the same {tenant.name}: --other-token-env") if homes & entered else None


def _homes(session: Session, account: Mapping[str, Any]) -> set[Any]:
    """Keys of the tenants that an account shows as its own."""
    resource, tenant = session.contract.account_resource, session.contract.tenant_resource
    if resource is None or tenant is None:
        return set()
    shown = [account.get(r.name) for r in resource.relations.values() if r.targets == (tenant.name,)]
    return {one[tenant.key_attribute] for one in shown if isinstance(one, dict) and tenant.key_attribute in one}


def _entered(session: Session, tenant: Resource) -> set[Any]:
    listing = session.operation(tenant.name, "list")
    try:
        return {row.get(tenant.key_attribute) for row in session.rows(listing, {}, actor="other")} if listing else set()
    except SkipCheck:
        return set()
