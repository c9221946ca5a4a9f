"""Checks that a request cannot set a reference to a record that only another tenant may see."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.support.action_calls import build_action_body, find_access_grant, is_action
from conformance.checks.support.bad_requests import find_blocking_reason
from conformance.checks.support.check import Case, Category, Fixture, FixtureScope, check
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.references import get_reference_name
from conformance.checks.support.tenancy import find_shared_tenant_reason, find_tenant_keys
from conformance.checks.support.values import equal, has_action, is_create, new_record
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, SkipReason, not_testable
from conformance.results import CheckResult
from conformance.session.options import effect_limit_reached
from conformance.session.write_log import is_key
from conformance.transport.messages import Actor, Exchange
from spec.model import BodyField, Contract, Operation, Relation, Resource

MAX_CANDIDATES = 5  # records of the other tenant that are requested with the token of the run
HIDDEN_STATUSES = (403, 404)
ACCEPTED = "with a foreign reference"  # counts calls that the target should have rejected


def _iter_references(contract: Contract, operation: Operation) -> Iterator[tuple[BodyField, Relation, Resource]]:
    """Yield the fields that set a relation to one resource that belongs to a tenant, or to the tenant itself."""
    resource = contract.resources.get(operation.resource or "")
    for field in operation.body_fields.values() if resource is not None else ():
        setter = field.relation_setter
        relation = resource.relations.get(setter.relation) if resource is not None and setter is not None else None
        if setter is None or setter.discriminator or relation is None or len(relation.targets) != 1:
            continue
        target = contract.resources[relation.targets[0]]
        if relation.is_stored and (target.tenant_path or target is contract.tenant_resource):
            yield field, relation, target


def _iter_action_references(contract: Contract, operation: Operation) -> Iterator[tuple[BodyField, Resource]]:
    """Yield the fields of an action with the name of a resource and its key, such as ``thread_uuid``."""
    if not is_action(contract, operation) or find_access_grant(contract, operation) is not None:
        return
    names = {get_reference_name(r): r for r in contract.resources.values() if r.tenant_path}
    for field in operation.body_fields.values():
        if field.name in names and field.relation_setter is None and field.x_query is None:
            yield field, names[field.name]


def _applies(contract: Contract, operation: Operation) -> bool:
    is_write = has_action("update")(contract, operation) or is_create(contract, operation)
    has_references = not operation.effects and any(True for _ in _iter_references(contract, operation))
    return (is_write and has_references) or any(True for _ in _iter_action_references(contract, operation))


@dataclass(frozen=True, slots=True)
class ForeignReference:
    """A request that referred to a record of another tenant. `problem`: how the record refers to it, or ""."""

    key: Any
    problem: str
    exchange: Exchange


def _send_references(case: Case) -> list[tuple[BodyField, ForeignReference | SkipReason]]:
    """Send each reference with the key of a record that only the second token can retrieve. Raises SkipCheck."""
    reason = find_blocking_reason(case) or find_shared_tenant_reason(case.session)
    accepted = case.session.client.effects.calls[f"{case.operation.id} {ACCEPTED}"]
    if reason is None and case.operation.effects and accepted >= case.session.options.max_effect_calls:
        reason = effect_limit_reached(case.operation, accepted)
    if reason:
        raise SkipCheck(reason)
    sent: list[tuple[BodyField, ForeignReference | SkipReason]] = []
    is_action_call = is_action(case.session.contract, case.operation)
    for field, relation, target in () if is_action_call else _iter_references(case.session.contract, case.operation):
        try:
            key = _find_foreign_key(case, target)
            sent.append((field, ForeignReference(key, *_send_reference(case, field, relation, target, key))))
        except SkipCheck as skip:
            sent.append((field, skip.reason))
    for field, target in _iter_action_references(case.session.contract, case.operation):
        try:
            key = _find_foreign_key(case, target)
            sent.append((field, ForeignReference(key, *_send_action_reference(case, field, target, key))))
        except SkipCheck as skip:
            sent.append((field, skip.reason))
    return sent


FOREIGN_REFERENCES = Fixture("foreign references", FixtureScope.OPERATION, _send_references)


@check(
    "foreign-reference-not-stored",
    "A record cannot refer to one that only another tenant may see.",
    Category.TENANCY,
    _applies,
    provenance_independent=True,
    writes=True,
    needs_second_token=True,
)
def check_foreign_references(case: Case) -> Iterator[CheckResult]:
    """The record that the request created or updated does not refer to the one of another tenant."""
    for field, reference in case.use(FOREIGN_REFERENCES):
        requirement = case.build_requirement(field.pointer, None, field.name)
        if isinstance(reference, SkipReason):
            yield case.skip(requirement, reference)
        else:
            yield case.build_result(requirement, reference.problem, reference.exchange)


@check(
    "foreign-reference-is-refused",
    "A request that refers to a record which the caller may not see is rejected.",
    Category.TENANCY,
    _applies,
    writes=True,
    needs_second_token=True,
)
def check_refused_references(case: Case) -> Iterator[CheckResult]:
    """The request does not succeed, also if no response shows the reference to the caller."""
    for field, reference in case.use(FOREIGN_REFERENCES):
        requirement = case.build_requirement(field.pointer, None, field.name)
        if isinstance(reference, SkipReason):
            yield case.skip(requirement, reference)
            continue
        status = reference.exchange.response.status
        message = f"{field.name}={reference.key} of another tenant: got {status}, expected 404"
        yield case.build_result(requirement, message if reference.exchange.response.ok else "", reference.exchange)


def _find_foreign_key(case: Case, target: Resource) -> Any:
    """Return the key of a record that only the second token can retrieve. Raises SkipCheck."""
    session = case.session
    if target is session.contract.tenant_resource:
        own = find_tenant_keys(session, session.client.identity())
        foreign = find_tenant_keys(session, session.client.identity(Actor.OTHER_TENANT)) - own
        if foreign:
            return min(foreign, key=str)
        raise SkipCheck(f"the second account has no {target.name} that is not also one of the first")
    listing = session.operations.require(target.name, "list")
    retrieve = session.operations.find(target.name, "retrieve")
    if retrieve is None:
        raise SkipCheck(not_testable(f"the contract defines no operation to retrieve a {target.name}"))
    rows = list(session.records.rows(listing, {}, pages=1, actor=Actor.OTHER_TENANT))
    for row in rows[:MAX_CANDIDATES]:
        key = row.get(target.key_attribute)
        if not is_key(key) or session.client.retrieve(target.name, key).response.status not in HIDDEN_STATUSES:
            continue
        if session.client.retrieve(target.name, key, actor=Actor.OTHER_TENANT).response.ok:
            return key
    raise SkipCheck(f"the second account lists no {target.name} that is hidden from the first")


def _send_reference(
    case: Case, field: BodyField, relation: Relation, target: Resource, key: Any
) -> tuple[str, Exchange]:
    """Send a valid request with the key of another tenant's record; return the problem, or "", and the exchange."""
    session, operation = case.session, case.operation
    value: Any = [key] if relation.to_many else key
    if operation.action == "update":
        created = new_record(case)
        body = session.records.build_update(operation, created.resource, created.key, {field.name: value})
        exchange = session.client.send(operation, path=path_of(operation, created.key), body=body)
        own_key = created.key
    else:
        body = {**session.payloads.build(operation, session.records.parent), field.name: value}
        exchange = session.client.send(operation, body=body)
        data = session.operations.data(operation, exchange)
        own_key = data.get(session.operations.resource(operation).key_attribute) if isinstance(data, Mapping) else None
    status = exchange.response.status
    if not exchange.response.ok:
        return "", exchange
    problem = f"{field.name}={key} of another tenant: got {status} and a record that refers to it, expected 404"
    retrieve = session.operations.require(operation.resource or "", "retrieve")
    record, retrieved = retrieve_with_relations(session, retrieve, own_key)
    if target is session.contract.tenant_resource and not retrieved.response.ok:
        other = session.client.retrieve(operation.resource or "", own_key, actor=Actor.OTHER_TENANT)
        return (problem if other.response.ok else ""), exchange
    return (problem if _refers_to(record, relation, target, key) else ""), exchange


def _send_action_reference(case: Case, field: BodyField, target: Resource, key: Any) -> tuple[str, Exchange]:
    """Call an action with the key of another tenant's record; return the problem, or "", and the exchange.

    A call that the target must reject has no effect; those that it accepts are limited.
    """
    session, operation, path = case.session, case.operation, {}
    if operation.path_parameter_names:
        path = path_of(operation, session.records.create(operation.resource or "").key)
    before = _retrieve_as_other(case, target, key)
    exchange = session.client.send(
        operation, path=path, body={**(build_action_body(session, operation) or {}), field.name: key}
    )
    if not exchange.response.ok:
        return "", exchange
    session.client.effects.calls[f"{operation.id} {ACCEPTED}"] += bool(operation.effects)
    status, is_changed = exchange.response.status, _retrieve_as_other(case, target, key) != before
    problem = f"{field.name}={key} of another tenant: got {status} and a changed {target.name}, expected 404"
    return (problem if is_changed or str(key) in exchange.response.content.decode(errors="ignore") else ""), exchange


def _retrieve_as_other(case: Case, target: Resource, key: Any) -> Any:
    """Return a record as the second token retrieves it."""
    exchange = case.session.client.retrieve(target.name, key, actor=Actor.OTHER_TENANT)
    return exchange.response.json


def _refers_to(record: Any, relation: Relation, target: Resource, key: Any) -> bool:
    """Whether a record embeds the record with a key in a relation."""
    value = record.get(relation.name) if isinstance(record, Mapping) else None
    embedded = value if isinstance(value, list) else [value]
    return any(isinstance(item, Mapping) and equal(item.get(target.key_attribute), key) for item in embedded)
