"""Which records a viewer may see: those of the viewer's tenants, public ones and those shared with the viewer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from mock_server.query.conditions import build_key_condition
from mock_server.store import Store, StoredRecord, Tag, schema
from mock_server.store.expressions import MATCH_ALL, SqlExpression, all_of, any_of, one_of, refers_to
from mock_server.store.schema import attribute_column, encode_reference
from spec.model import Contract, Relation, Resource
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


@dataclass(frozen=True, slots=True)
class RecordVisibility:
    """Evaluates visibility for loaded records, without SQL; equivalent to `build_visibility_condition`.

    `shareable_resources`: resources whose records can be shared. `has_hidden_accounts`: whether no operation returns
    other users, so that a response shows as little as possible of a user who has no tenant in common with the viewer.
    """

    store: Store
    shareable_resources: frozenset[str]
    has_hidden_accounts: bool

    @classmethod
    def from_store(cls, store: Store) -> "RecordVisibility":
        grants = [(r, r.access_grant) for r in store.contract.resources.values() if r.access_grant]
        subjects = frozenset(name for resource, grant in grants for name in resource.relations[grant.subject].targets)
        return cls(store, subjects, _has_hidden_accounts(store.contract))

    def is_visible(self, viewer: Viewer | None, record: StoredRecord, dependencies: set[Tag]) -> bool:
        """Return whether the viewer may see a record; the tags that this depends on are added to `dependencies`."""
        resource = self.store.contract.resources[record.resource]
        if viewer is None or not (resource.tenant_path or resource.members_relation):
            return True
        dependencies.add((record.resource, record.key))
        if record.tenant_key in viewer.tenant_keys:
            return True
        if resource.public_when:
            attributes = record.attributes
            if all(attributes.get(name) == value for name, value in resource.public_when.items()):
                return True
        return self._is_shared(viewer, resource, record, dependencies)

    def _is_shared(self, viewer: Viewer, resource: Resource, record: StoredRecord, dependencies: set[Tag]) -> bool:
        """Return whether the record, or a record on its path to the tenant, has been shared with the viewer."""
        current: StoredRecord | None = record
        for name in (None, *resource.tenant_path):
            if name is not None and current is not None:
                relation = self.store.contract.resources[current.resource].relations[name]
                reference = current.references[name] if len(relation.targets) == 1 else None
                if reference is not None:
                    dependencies.add((reference.resource, reference.key))
                current = self.store.resolve(reference)
            if current is None:
                return False
            if current.resource in self.shareable_resources:
                dependencies.update(self._iter_share_tags(viewer))
                if current.reference in self._get_shared_references(viewer):
                    return True
        return False

    def iter_grant_tags(self, viewer: Viewer | None, resource_names: Iterable[str]) -> Iterator[Tag]:
        """Yield the tags of the shares that can make records of these resources visible to the viewer."""
        contract = self.store.contract
        if viewer is not None and any(self._can_be_shared(contract.resources[name]) for name in resource_names):
            yield from self._iter_share_tags(viewer)

    def _can_be_shared(self, resource: Resource) -> bool:
        """Return whether a record of a resource, or a record on its path to the tenant, can be shared."""
        for name in resource.tenant_path:
            targets = resource.relations[name].targets
            if resource.name in self.shareable_resources or len(targets) != 1:
                break
            resource = self.store.contract.resources[targets[0]]
        return resource.name in self.shareable_resources

    def _iter_share_tags(self, viewer: Viewer) -> Iterator[Tag]:
        """Yield the tags that change when a record is shared with the viewer, or no longer shared."""
        for share in self.store.contract.resources.values():
            if share.access_grant is not None:
                entity = share.relations[share.access_grant.entity]
                for recipient in _iter_recipients(self.store, entity, viewer):
                    yield share.name, entity.name, encode_reference(entity, recipient)

    def _get_shared_references(self, viewer: Viewer) -> frozenset[Reference]:
        """Return the records that were themselves shared with the viewer."""
        contract = self.store.contract

        def find_shared_references() -> frozenset[Reference]:
            names = self.shareable_resources
            shared = ((name, _find_shared_keys(self.store, viewer, contract.resources[name])) for name in names)
            return frozenset(Reference(name, key) for name, pairs in shared for key, _ in pairs)

        return self.store.memoize(("shared", viewer), contract.access_grant_resources, find_shared_references)

    def is_outsider(self, viewer: Viewer | None, record: StoredRecord, dependencies: set[Tag]) -> bool:
        """Return whether a record is a user of whom the viewer may see only what the schema requires.

        The tags that this depends on are added to `dependencies`.
        """
        contract = self.store.contract
        account, tenant = contract.account_resource, contract.tenant_resource
        is_account = account is not None and record.resource == account.name
        if viewer is None or tenant is None or not (is_account and self.has_hidden_accounts):
            return False
        dependencies.update((tenant.name, key) for key in viewer.tenant_keys)
        return record.key not in self._get_colleague_keys(viewer, tenant)

    def _get_colleague_keys(self, viewer: Viewer, tenant: Resource) -> frozenset[Any]:
        """Return the keys of the viewer, and of the owners and members of the viewer's tenants."""
        store = self.store

        def find_keys() -> frozenset[Any]:
            keys = {viewer.user_key}
            members = tenant.relations[tenant.members_relation or ""]
            for record in store.select(tenant.name, one_of("key", viewer.tenant_keys)):
                owner = record.references.get(tenant.owner_path[0]) if len(tenant.owner_path) == 1 else None
                references = (owner, *store.get_linked_references(tenant.name, members, record.key))
                keys |= {reference.key for reference in references if reference is not None}
            return frozenset(keys)

        return store.memoize(("colleagues", viewer), (tenant.name,), find_keys)


def _has_hidden_accounts(contract: Contract) -> bool:
    """Whether a contract has users, and no operation that lists or retrieves them."""
    account = contract.account_resource
    if account is None:
        return False
    return all(contract.find_operation(account.name, action) is None for action in ("list", "retrieve"))
