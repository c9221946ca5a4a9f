"""Check that an update by another member changes nothing that it does not send, such as the owner of the record."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.access.members import build_changes
from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.members import list_common_properties, list_viewer_properties, require_member
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.values import describe_change, equal
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck
from conformance.model.specification import is_volatile
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import Actor, Exchange
from spec.model import Contract, Operation, Relation, View


@dataclass(frozen=True, slots=True)
class ComparedProperty:
    """A property that an update by any member leaves as it is. `value`: the keys of the records of a relation.

    `is_owner`: it states who owns the record.
    """

    pointer: str
    value: Any
    is_owner: bool = False


def _applies(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    if resource is None or not resource.tenant_path or operation.action != "update" or resource.writers == "owner":
        return False
    retrieve = contract.find_operation(resource.name, "retrieve")
    return not operation.effects and retrieve is not None and retrieve.envelope.view_name is not None


@check(
    "member-update-changes-only-what-it-sends",
    "An update by another member of the tenant leaves the owner and all other properties that it does not send as "
    "they are.",
    Category.TENANCY,
    _applies,
    writes=True,
    needs_member_token=True,
    compares_responses=True,
)
def check_updates(case: Case) -> Iterator[CheckResult]:
    """Update a record with the token of the run, then with that of the member; read it before and after each.

    A property that changes in the first update too, such as one that is computed from what is sent, does not count;
    neither does one that changes between two reads, or that may state who has updated the record last.
    """
    require_allowed(case)
    require_member(case.session)
    record = case.session.records.create(case.operation.resource or "")
    first, _ = _read(case, record)
    _update(case, record, Actor.OWNER)
    before, _ = _read(case, record)
    exchange = _update(case, record, Actor.MEMBER)
    after, retrieved = _read(case, record)
    names = [
        name for name in before if name in first and name in after and equal(first[name].value, before[name].value)
    ]
    changed = {name for name in names if not equal(before[name].value, after[name].value)}
    changed = {name for name in changed if before[name].is_owner or not _names_member(case, before[name], after[name])}
    if changed:
        again, _ = _read(case, record)
        changed = {name for name in changed if name in again and equal(after[name].value, again[name].value)}
    sent = exchange.request.body if isinstance(exchange.request.body, Mapping) else {}
    for name in names:
        if name not in sent:
            change = describe_change(name, before[name].value, after[name].value) if name in changed else ""
            message = f"{change}, although the update by another member did not send it" if change else ""
            requirement = case.build_requirement(before[name].pointer, None, name)
            yield case.build_result(requirement, message, exchange, retrieved)


def _update(case: Case, record: CreatedRecord, actor: Actor) -> Exchange:
    """Update one text of a record. Raises SkipCheck."""
    body = build_changes(case, record)
    exchange = case.session.client.send(
        case.operation, path=path_of(case.operation, record.key), body=body, actor=actor
    )
    if not exchange.response.ok:
        raise SkipCheck(f"{case.operation.id} returned {exchange.response.status}: {exchange.response.excerpt}")
    return exchange


def _read(case: Case, record: CreatedRecord) -> tuple[Mapping[str, ComparedProperty], Exchange]:
    """Retrieve a record with the token of the run; return its properties by name. Raises SkipCheck."""
    session = case.session
    retrieve = session.operations.require(record.resource, "retrieve")
    body, exchange = retrieve_with_relations(session, retrieve, record.key)
    if not exchange.response.ok or not isinstance(body, Mapping):
        raise SkipCheck(f"{retrieve.id} returned {exchange.response.status}")
    view = session.contract.views[retrieve.envelope.view_name or ""]
    return dict(_iter_properties(case, view, body)), exchange


def _iter_properties(case: Case, view: View, body: Mapping[str, Any]) -> Iterator[tuple[str, ComparedProperty]]:
    """Yield (name, property) of the attributes, relations, and statements whether the caller is the owner.

    Not those that the server may change at any time, such as a status.
    """
    contract, resource = case.session.contract, case.session.contract.resources[view.resource]
    for name in list_common_properties(contract, view):
        stamp = resource.attributes[name].stamp
        may_change = is_volatile(resource, name) if stamp is None else stamp == "updated"
        if name in body and not may_change:
            yield name, ComparedProperty(resource.attributes[name].pointer, body[name])
    for derived in list_viewer_properties(contract, view):
        if derived.name in body and derived.path in (("owner",), resource.owner_path):
            yield derived.name, ComparedProperty(derived.pointer, body[derived.name], is_owner=True)
    for relation in resource.relations.values():
        if relation.is_stored and relation.name in body and relation.name in view.property_names:
            value, is_owner = (
                _get_keys(contract, relation, body[relation.name]),
                (relation.name,) == resource.owner_path,
            )
            yield relation.name, ComparedProperty(relation.pointer, value, is_owner=is_owner)


def _names_member(case: Case, before: ComparedProperty, after: ComparedProperty) -> bool:
    """Whether a property changed to a value of the member's account, such as the key or name of the last editor."""
    old, new = ([p.value] if not isinstance(p.value, list) else p.value for p in (before, after))
    values = case.session.client.identity(Actor.MEMBER).values()
    added = [item for item in new if item not in old]
    return bool(added) and all(any(equal(item, value) for value in values) for item in added)


def _get_keys(contract: Contract, relation: Relation, value: Any) -> Any:
    """Return the keys of the records of a relation; their other properties may change."""
    names = [contract.resources[target].key_attribute for target in relation.targets]
    items = value if isinstance(value, list) else [value]
    keys = [next((i[n] for n in names if n in i), i) if isinstance(i, Mapping) else i for i in items]
    return sorted(keys, key=str) if isinstance(value, list) else keys[0]
