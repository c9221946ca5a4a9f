"""Which records a viewer may see: those of the viewer's tenants, public ones and those shared with the viewer."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from mock_server.query.conditions import build_key_condition
from mock_server.store import Store, schema
from mock_server.store.expressions import MATCH_ALL, SqlExpression, all_of, any_of, one_of, refers_to
from mock_server.store.schema import attribute_column
from spec.model import Relation, Resource
from spec.record import Reference


@dataclass(frozen=True, slots=True)
class Viewer:
    """The authenticated user of a request.

    `user_key`: key of the account record. `tenant_keys`: keys of the user's tenants, the home tenant first.
    """

    user_key: Any
    tenant_keys: tuple[str, ...]


def build_visibility_condition(store: Store, viewer: Viewer | None, resource: Resource) -> SqlExpression:
    """Build the condition that the viewer may see a record; without a viewer every record is visible."""
    if viewer is None or not (resource.tenant_path or resource.members_relation):
        return MATCH_ALL
    conditions = [one_of("tenant", viewer.tenant_keys)]
    if resource.public_when:
        values = {name: schema.to_comparable(value, None) for name, value in resource.public_when.items()}
        conditions.append(all_of(one_of(attribute_column((name,)), (value,)) for name, value in values.items()))
    return any_of([*conditions, *(condition for condition, _ in iter_shared_conditions(store, viewer, resource))])


def iter_shared_conditions(
    store: Store, viewer: Viewer | None, resource: Resource
) -> Iterator[tuple[SqlExpression, str]]:
    """Yield (condition, permission) of the records shared with the viewer.

    A record is shared if it, or a record on its path to the tenant, has been shared.
    """
    relations: tuple[Relation, ...] = ()
    current = resource
    for name in (None, *resource.tenant_path):
        if name is not None:
            relation = current.relations[name]
            if len(relation.targets) != 1:
                return
            relations, current = (*relations, relation), store.contract.resources[relation.targets[0]]
        keys_by_permission: dict[str, list[Any]] = {}
        for key, permission in _find_shared_keys(store, viewer, current):
            keys_by_permission.setdefault(permission, []).append(key)
        for permission, keys in keys_by_permission.items():
            build = partial(one_of, values=keys)
            yield build_key_condition(store.tables, resource, relations, current.key_attribute, build), permission


def _find_shared_keys(store: Store, viewer: Viewer | None, resource: Resource) -> Iterator[tuple[Any, str]]:
    """Yield (key, permission) of the records of a resource that were themselves shared with the viewer."""
    for share in store.contract.resources.values():
        grant = share.access_grant
        if viewer is None or grant is None:
            continue
        subject, entity = share.relations[grant.subject], share.relations[grant.entity]
        if resource.name not in subject.targets:
            continue
        for record in store.select(share.name, refers_to(entity, _iter_recipients(store, entity, viewer))):
            reference = record.references[subject.name]
            if reference is not None and reference.resource == resource.name:
                yield reference.key, record.attributes[grant.permission]


def _iter_recipients(store: Store, relation: Relation, viewer: Viewer) -> Iterator[Reference]:
    """Yield the recipients that include the viewer: its account and tenants, if `relation` can refer to them."""
    account, tenant = store.contract.account_resource, store.contract.tenant_resource
    if account and account.name in relation.targets:
        yield Reference(account.name, viewer.user_key)
    if tenant and tenant.name in relation.targets:
        yield from (Reference(tenant.name, key) for key in viewer.tenant_keys)
