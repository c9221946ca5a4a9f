"""Check that a write does not change unrelated records."""

from collections.abc import Iterator
from contextlib import suppress

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.values import (
    find_sendable_names,
    get_stored_attributes,
    is_create,
    iter_round_trip_fields,
    new_record,
    retrieve_record,
)
from conformance.checks.writes.changes import describe_changes, iter_reference_fields, path_of
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord, Session
from spec.model import Contract, Operation

SIBLING, OTHER_PARENT = "a sibling", "a child of another parent"


def _is_record_write(contract: Contract, operation: Operation) -> bool:
    """Whether an operation creates, updates or deletes a record of a resource."""
    is_update_or_delete = operation.action in ("update", "delete") and operation.resource in contract.resources
    return is_update_or_delete or is_create(contract, operation)


def _check_isolation(case: Case) -> Iterator[CheckResult]:
    """Retrieve other records before and after one write: new siblings and the records that the checks share."""
    session, contract, resource = case.session, case.session.contract, case.operation.resource or ""
    session.shared_record(resource)
    others = dict(_iter_unrelated_records(case))
    target = None if is_create(contract, case.operation) else new_record(case)
    if target is not None:
        target_id = (target.resource, target.key)
        others = {name: record for name, record in others.items() if (record.resource, record.key) != target_id}
    before = {name: retrieve_record(session, record.resource, record.key)[0] for name, record in others.items()}
    _perform_write(case, target)
    for name, other in others.items():
        operation = session.require_operation(other.resource, "retrieve")
        exchange = session.retrieve(other.resource, other.key)
        # The server may compute attributes that no client sends, also those of unrelated records.
        sendable_names = find_sendable_names(contract, other.resource)
        records = (before[name], session.data(operation, exchange))
        attributes = [get_stored_attributes(contract, operation, record) for record in records]
        message = describe_changes(*({n: v for n, v in a.items() if n in sendable_names} for a in attributes))
        if not exchange.response.ok:
            message = f"got {exchange.response.status}, expected the record"
        failure = f"{other.resource} {other.key}, which was not written: {message}" if message else ""
        yield case.build_result(case.build_requirement(parameter=name), failure, exchange)


def _perform_write(case: Case, record: CreatedRecord | None) -> None:
    """Send the case's operation for `record`; a create if it is None. Raises SkipCheck if it is rejected."""
    session, operation = case.session, case.operation
    if record is None:
        new_record(case)
        return
    if operation.action == "delete":
        exchange = session.delete(record.resource, record.key)
    else:
        fields = [field for field, _ in iter_round_trip_fields(case, session.resource(operation))][:1]
        body = {field.name: session.payloads.generate_value(field.schema, field.name) for field in fields}
        exchange = session.send(operation, path=path_of(operation, record.key), body=body)
    if exchange is None or not exchange.response.ok:
        raise SkipCheck(f"{operation.id} returned {exchange.response.status if exchange else 'no response'}")


def _iter_unrelated_records(case: Case) -> Iterator[tuple[str, CreatedRecord]]:
    """Yield (label, record): two records of the same resource and the shared records of other resources.

    Parents and grandparents are left out, because writing a child may change them.
    """
    session, resources = case.session, case.session.contract.resources
    resource = resources[case.operation.resource or ""]
    if session.operation(resource.name, "retrieve") is not None:
        with suppress(SkipCheck):
            yield SIBLING, new_record(case)
        with suppress(SkipCheck):
            yield OTHER_PARENT, _create_with_other_parent(session, resource.name)
    parents = {name for relation in resource.relations.values() for name in relation.targets} - {resource.name}
    grandparents = {n for t in parents for r in resources[t].relations.values() for n in r.targets}
    for name in resources:
        record = session.shared_records.get(name)
        is_related = name != resource.name and name in parents | grandparents
        if record is not None and not is_related and session.operation(name, "retrieve") is not None:
            yield name, record


def _create_with_other_parent(session: Session, resource: str) -> CreatedRecord:
    """Create a record and its own new parent. Raises SkipCheck."""
    operation = session.creator(resource)
    for field, name in iter_reference_fields(None if operation.path_parameter_names else operation):
        relation = session.payloads.find_relation(operation, name)
        if relation.to_many or len(relation.targets) != 1 or session.operation(relation.targets[0], "create") is None:
            continue
        return session.create(resource, {field.name: session.create(relation.targets[0]).key})
    raise SkipCheck(f"{resource} has no parent that can be created")


CHECKS: tuple[Check, ...] = (
    Check(
        "writes-leave-others-unchanged",
        "Creating, updating or deleting a record does not change unrelated records.",
        Category.SIDE_EFFECTS,
        _is_record_write,
        _check_isolation,
        provenance_independent=True,
        writes=True,
    ),
)
