"""Check that a delete neither removes a record of another tenant nor its reference to the deleted record."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from conformance.checks.support.bad_requests import require_allowed
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.members import list_tenant_keys
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.tenancy import find_shared_tenant_reason
from conformance.checks.writes.changes import path_of
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.transport.messages import Actor, Exchange
from spec.model import Contract, Operation, Relation, Resource

RESTRICT = "refuse"  # the value of on-delete with which a delete is rejected


def _iter_restricting_relations(contract: Contract, resource: Resource) -> Iterator[tuple[Resource, Relation]]:
    """Yield the relations that prevent a delete, of resources whose records a tenant has and a request creates."""
    for source, relation in contract.find_relations_to(resource.name):
        creator = contract.find_create_operation(source.name)
        if creator is None or creator.effects or creator.path_parameter_names or not source.tenant_path:
            continue
        if relation.on_delete == RESTRICT and len(relation.targets) == 1 and _find_setter(creator, relation):
            yield source, relation


def _find_setter(creator: Operation, relation: Relation) -> str | None:
    """Return the field of a create that sets a relation to one resource."""
    for field in creator.body_fields.values():
        setter = field.relation_setter
        if setter is not None and setter.discriminator is None and setter.relation == relation.name:
            return field.name
    return None


def _applies(contract: Contract, operation: Operation) -> bool:
    resource = contract.resources.get(operation.resource or "")
    if resource is None or operation.action != "delete" or operation.effects:
        return False
    if resource in (contract.tenant_resource, contract.account_resource):
        return False
    is_visible_to_all = bool(resource.public_when) or not resource.tenant_path
    return is_visible_to_all and any(True for _ in _iter_restricting_relations(contract, resource))


@check(
    "delete-spares-records-of-other-tenants",
    "If `on-delete` is `refuse`, a delete neither removes a record of another tenant nor its reference.",
    Category.TENANCY,
    _applies,
    writes=True,
    needs_second_token=True,
)
def check_delete(case: Case) -> Iterator[CheckResult]:
    """Delete a record to which one of the other tenant refers: that one is as it was, also if the delete succeeds."""
    require_allowed(case)
    reason = find_shared_tenant_reason(case.session)
    if reason:
        raise SkipCheck(reason)
    resource = case.session.operations.resource(case.operation)
    for source, relation in _iter_restricting_relations(case.session.contract, resource):
        requirement = case.build_requirement(relation.pointer, "x-relation", f"{source.name}.{relation.name}")
        try:
            message, exchanges = _delete(case, source, relation)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
        else:
            yield case.build_result(requirement, message, *exchanges)


def _delete(case: Case, source: Resource, relation: Relation) -> tuple[str, tuple[Exchange, ...]]:
    """Create a record and one of the other tenant that refers to it, and delete it; return the problem, or "".

    Raises SkipCheck.
    """
    session = case.session
    record = session.records.create(case.operation.resource or "", _build_public_values(case))
    if not session.client.retrieve(record.resource, record.key, actor=Actor.OTHER_TENANT).response.ok:
        raise SkipCheck(f"the other tenant cannot retrieve the {record.resource}")
    key = _create_referrer(case, source, relation, record)
    retrieve = session.operations.require(source.name, "retrieve")
    before, _ = retrieve_with_relations(session, retrieve, key, actor=Actor.OTHER_TENANT)
    exchange = session.client.send(case.operation, path=path_of(case.operation, record.key))
    after, retrieved = retrieve_with_relations(session, retrieve, key, actor=Actor.OTHER_TENANT)
    message = (
        f"{case.operation.id}: got {exchange.response.status}, expected 409; then the {source.name} of another tenant"
    )
    if not retrieved.response.ok:
        message = f"{message} could not be retrieved: got {retrieved.response.status}"
    elif _get(before, relation.name) and not _get(after, relation.name):
        message = f"{message} has no {relation.name}"
    else:
        message = ""
    if retrieved.response.ok:
        _delete_referrer(case, source, key)
    return message, (exchange, retrieved)


def _build_public_values(case: Case) -> Mapping[str, Any]:
    """Return the values that make a new record visible to other tenants. Raises SkipCheck."""
    resource = case.session.operations.resource(case.operation)
    fields = case.session.operations.creator(resource.name).body_fields
    missing = [name for name in resource.public_when if name not in fields]
    if missing:
        raise SkipCheck(not_testable(f"a create does not accept {', '.join(missing)}"))
    return resource.public_when


def _create_referrer(case: Case, source: Resource, relation: Relation, record: CreatedRecord) -> Any:
    """Create a record of the other tenant that refers to another record; return its key. Raises SkipCheck."""
    session, creator = case.session, case.session.operations.creator(source.name)
    body = session.payloads.build(creator, lambda other: _provide_parent(case, other, record))
    exchange = session.client.send(
        creator, body={**body, _find_setter(creator, relation): record.key}, actor=Actor.OTHER_TENANT
    )
    data = session.operations.data(creator, exchange)
    if not exchange.response.ok or not isinstance(data, Mapping):
        raise SkipCheck(f"{creator.id} of the other tenant returned {exchange.response.status}")
    return session.operations.key_of(source.name, data)


def _provide_parent(case: Case, relation: Relation, record: CreatedRecord) -> tuple[str, Any]:
    """Return (resource, key) of the record, the tenant or the account of the other tenant. Raises SkipCheck."""
    contract, target = case.session.contract, relation.targets[0]
    if target == record.resource:
        return target, record.key
    if contract.tenant_resource is not None and target == contract.tenant_resource.name:
        keys = list_tenant_keys(case.session, Actor.OTHER_TENANT)
        if keys:
            return target, min(keys, key=str)
    if contract.account_resource is not None and target == contract.account_resource.name:
        return target, case.session.operations.key_of(target, case.session.client.identity(Actor.OTHER_TENANT))
    raise SkipCheck(f"no {target} of the other tenant is known")


def _delete_referrer(case: Case, source: Resource, key: Any) -> None:
    """Delete the record of the other tenant, which the token of the run cannot delete."""
    delete = case.session.operations.find(source.name, "delete")
    with suppress(SkipCheck):
        if delete is not None:
            exchange = case.session.client.send(delete, path=path_of(delete, key), actor=Actor.OTHER_TENANT)
            if exchange.response.ok:
                case.session.write_log.log_deleted(source.name, key)


def _get(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else None
