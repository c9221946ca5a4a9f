"""Embedded records, at any depth, and whether the caller may retrieve them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.check import Case, Fixture, FixtureScope
from conformance.errors import SkipCheck
from conformance.session.write_log import is_key
from conformance.transport.messages import Actor, Exchange
from spec.model import Contract, Relation, Resource, View

MAX_DEPTH = 4
MAX_RETRIEVED = 6  # embedded records of one response that are retrieved
HIDDEN_STATUSES = (403, 404)


@dataclass(frozen=True, slots=True)
class EmbeddedRecord:
    """A record in a relation of another one. `path`: names of the relations that lead to it."""

    resource: Resource
    key: Any
    relation: Relation
    path: tuple[str, ...]


# (actor, resource, key) -> whether the actor could retrieve the record.
VISIBLE_RECORDS: Fixture[dict[tuple[Actor, str, Any], bool]] = Fixture(
    "visible records", FixtureScope.RUN, lambda case: {}
)


def iter_embedded_records(
    contract: Contract, view: View, record: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[EmbeddedRecord]:
    """Yield the records with a key in the relations of a record, and in the relations of these."""
    for relation in contract.resources[view.resource].relations.values():
        if relation.name not in record or relation.name not in view.property_names or len(relation.targets) != 1:
            continue
        target = contract.resources[relation.targets[0]]
        target_view = contract.views.get(relation.target_views.get(target.name, ""))
        value = record[relation.name]
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, Mapping) or not item:
                continue
            key = item.get(target.key_attribute)
            if is_key(key):
                yield EmbeddedRecord(target, key, relation, (*path, relation.name))
            if target_view is not None and len(path) < MAX_DEPTH:
                yield from iter_embedded_records(contract, target_view, item, (*path, relation.name))


def find_hidden_records(
    case: Case, view: View, records: Sequence[Mapping[str, Any]], actor: Actor
) -> Iterator[tuple[EmbeddedRecord, Exchange]]:
    """Yield the embedded records that the actor cannot retrieve, although their resource belongs to a tenant.
    A resource whose retrieve never succeeds is not judged: the target may lack the operation.

    Each record is retrieved once in a run; of one response at most `MAX_RETRIEVED`, tenants first.
    """
    contract, visible = case.session.contract, case.use(VISIBLE_RECORDS)
    embedded = [item for record in records for item in iter_embedded_records(contract, view, record)]
    scoped = [item for item in embedded if _can_test(case, item.resource)]
    scoped.sort(key=lambda item: item.resource is not contract.tenant_resource)  # stable
    retrieved = 0
    for item in scoped:
        known = (actor, item.resource.name, item.key)
        if known in visible or retrieved >= MAX_RETRIEVED:
            continue
        retrieved += 1
        try:
            exchange = case.session.client.retrieve(item.resource.name, item.key, actor=actor)
        except SkipCheck:
            continue
        visible[known] = exchange.response.status not in HIDDEN_STATUSES
        if not visible[known] and is_retrieve_implemented(case, item.resource):
            yield item, exchange


def is_retrieve_implemented(case: Case, resource: Resource) -> bool:
    """Whether the target has the retrieve operation of a resource: it succeeded, or does for a listed record."""
    session = case.session
    retrieve = session.operations.require(resource.name, "retrieve")
    if session.responses.count_successes(retrieve):
        return True
    listing = session.operations.find(resource.name, "list")
    with suppress(SkipCheck):
        for row in session.records.rows(listing, {}, pages=1) if listing is not None else ():
            return session.client.retrieve(resource.name, session.operations.key_of(resource.name, row)).response.ok
    return False


def _can_test(case: Case, resource: Resource) -> bool:
    contract = case.session.contract
    is_scoped = bool(resource.tenant_path) or resource is contract.tenant_resource
    return is_scoped and case.session.operations.find(resource.name, "retrieve") is not None
