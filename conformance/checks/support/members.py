"""The token of a member: the tenants that it shares with the token of the run, and values that depend on the caller."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from conformance.checks.support.tenancy import find_tenant_keys
from conformance.errors import SkipCheck, SkipReason
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import Actor
from spec.model import Contract, DerivedProperty, Resource, View


def list_tenant_keys(session: Session, actor: Actor) -> set[Any]:
    """Return the keys of the tenants that the list of an actor contains, and that its account embeds."""
    tenant = session.contract.tenant_resource
    keys: set[Any] = set()
    if tenant is None:
        return keys
    with suppress(SkipCheck):
        keys |= find_tenant_keys(session, session.client.identity(actor))
    listing = session.operations.find(tenant.name, "list")
    with suppress(SkipCheck):
        rows = session.records.rows(listing, {}, actor=actor) if listing is not None else ()
        keys |= set(filter(is_key, (row.get(tenant.key_attribute) for row in rows)))
    return keys


def find_home_tenants(session: Session) -> set[Any]:
    """Return the keys of the tenants to which new records of the run belong. Raises SkipCheck."""
    if session.client.tenant is not None:
        return {session.client.tenant.key}
    return find_tenant_keys(session, session.client.identity())


def find_member_reason(session: Session) -> SkipReason | None:
    """Return why the token of the member is not one of another user in the tenant of the run; None if it is."""
    account, tenant = session.contract.account_resource, session.contract.tenant_resource
    if account is None or tenant is None:
        return SkipReason("the contract defines no members of a tenant")
    try:
        identity, other_identity = session.client.identity(), session.client.identity(Actor.MEMBER)
        home = find_home_tenants(session)
    except SkipCheck as skip:
        return skip.reason
    key = account.key_attribute
    if key in identity and identity[key] == other_identity.get(key):
        return SkipReason(f"the token of the member belongs to the same {account.name}: --member-token-env")
    if not home:
        return SkipReason(f"the {tenant.name} of new records is unknown")
    if not home & list_tenant_keys(session, Actor.MEMBER):
        return SkipReason(f"the token of the member has no access to the {tenant.name} of the run: --member-token-env")
    return None


def require_member(session: Session) -> None:
    """Raise SkipCheck unless the token of the member is one of another user in the tenant of the run."""
    reason = find_member_reason(session)
    if reason is not None:
        raise SkipCheck(reason)


def list_viewer_properties(contract: Contract, view: View) -> list[DerivedProperty]:
    """Return the properties of a view that state whether the caller is a related user."""
    resource = contract.resources[view.resource]
    derived = {**resource.derived_properties, **view.derived_properties}
    return [d for name, d in derived.items() if d.kind == "viewer" and name in view.property_names]


def list_common_properties(contract: Contract, view: View) -> list[str]:
    """Return the attributes of a view: unlike relations and computed properties, they are the same for all callers."""
    attributes = contract.resources[view.resource].attributes
    return [name for name in view.property_names if name in attributes and name not in view.derived_properties]


def iter_viewer_problems(
    session: Session, view: View, body: Mapping[str, Any], actor: Actor, *, is_created: bool
) -> Iterator[tuple[DerivedProperty, str, bool]]:
    """Yield (property, problem or "", whether a related record in the response shows it) of each viewer property.

    `is_created`: the record was created with the token of the run, which therefore owns it.
    """
    contract = session.contract
    resource = contract.resources[view.resource]
    for derived in list_viewer_properties(contract, view):
        if derived.name not in body:
            continue
        path = resource.owner_path if derived.path in (("owner",), resource.owner_path) else derived.path
        expected = _is_caller(session, resource, path, body, actor)
        is_shown = expected is not None
        if expected is None and is_created and path == resource.owner_path:
            expected = actor is Actor.OWNER
        if expected is None:
            continue
        has_problem = isinstance(body[derived.name], bool) and body[derived.name] != expected
        problem = f"{derived.name}: got {body[derived.name]} for the token of {describe_actor(actor)}"
        yield derived, f"{problem}, expected {expected}" if has_problem else "", is_shown


def describe_actor(actor: Actor) -> str:
    """Return what messages call the user of a token."""
    return {Actor.OWNER: "the run", Actor.MEMBER: "another member"}.get(actor, "another tenant")


def _is_caller(
    session: Session, resource: Resource, path: tuple[str, ...], body: Mapping[str, Any], actor: Actor
) -> bool | None:
    """Whether the user at a path of embedded relations is the caller; None if the response does not show it."""
    account = session.contract.account_resource
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) and resource.relations else None
    key = value.get(account.key_attribute) if isinstance(value, Mapping) and account is not None else None
    if key is None or account is None or not path:
        return None
    return bool(key == session.client.identity(actor).get(account.key_attribute))
