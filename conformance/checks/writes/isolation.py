"""The law on what a write leaves alone: records beside the written one, whosever they are."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.values import (
    describe_change,
    find_sendable_names,
    get_stored_attributes,
    is_create,
    iter_changed_names,
    iter_round_trip_fields,
    new_record,
    retrieve_record,
)
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord, Session
from spec.loader import Contract, Operation

SIBLING, OTHER_PARENT = "a sibling", "one of another parent"


def _is_record_write(contract: Contract, operation: Operation) -> bool:
    """Whether an operation creates, updates or deletes a record of a resource."""
    is_update_or_delete = operation.action in ("update", "delete") and operation.resource in contract.resources
    return is_update_or_delete or is_create(contract, operation)


def _check_isolation(case: Case) -> Iterator[CheckResult]:
    """Only this write stands between two looks at the others: siblings made for it, and what laws share."""
    session, resource = case.session, case.operation.resource or ""
    session.shared_record(resource)
    others = dict(_iter_unrelated_records(case))
    target = None if is_create(session.contract, case.operation) else new_record(case)
    others = {
        name: candidate
        for name, candidate in others.items()
        if target is None or _get_key(candidate) != _get_key(target)
    }
    records_before = {
        name: retrieve_record(session, candidate.resource, candidate.key)[0] for name, candidate in others.items()
    }
    _perform_write(case, target)
    for name, other in others.items():
        retrieve_operation = session.require_operation(other.resource, "retrieve")
        exchange = session.retrieve(other.resource, other.key)
        values_before, values_after = (
            get_stored_attributes(session.contract, retrieve_operation, record)
            for record in (records_before[name], session.data(retrieve_operation, exchange))
        )
        missing = "" if exchange.response.ok else f"answered {exchange.response.status}"
        # What no client sends, the server may count by itself, for others too.
        changed_names = [
            n
            for n in iter_changed_names(values_before, values_after)
            if n in find_sendable_names(session.contract, other.resource)
        ]
        message = missing or "; ".join(describe_change(n, values_before[n], values_after[n]) for n in changed_names)
        requirement = case.build_requirement(parameter=name)
        yield case.build_result(
            requirement, f"another {other.resource}, not written to: {message}" if message else "", exchange
        )


def _get_key(record: CreatedRecord) -> tuple[str, Any]:
    return record.resource, record.key


def _perform_write(case: Case, record: CreatedRecord | None) -> None:
    """The case's own write, to `record` or of a new record. Raises CannotMake when it is not taken."""
    session, operation = case.session, case.operation
    if record is None:
        new_record(case)
        return
    if operation.action == "delete":
        exchange = session.delete(record.resource, record.key)
    else:
        field = next(iter(iter_round_trip_fields(case, session.resource(operation))), None)
        body = {field[0].name: session.payloads.generate_value(field[0].schema, field[0].name)} if field else {}
        exchange = session.send(operation, path={operation.path_parameter_names[0]: record.key}, body=body)
    if exchange is None or not exchange.response.ok:
        raise SkipCheck(f"{operation.id} answered {exchange.response.status if exchange else 'nothing'}")


def _iter_unrelated_records(case: Case) -> Iterator[tuple[str, CreatedRecord]]:
    """(what it is, record): two of the same resource, and the run's shared ones.

    None of these leads to what is written nor is led to by it: a child may touch its parents.
    """
    session, contract = case.session, case.session.contract
    resource = contract.resources[case.operation.resource or ""]
    if session.operation(resource.name, "retrieve") is not None:
        with suppress(SkipCheck):
            yield SIBLING, new_record(case)
        with suppress(SkipCheck):
            yield OTHER_PARENT, _create_with_other_parent(session, resource.name)
    parents = {name for relation in resource.relations.values() for name in relation.targets} - {resource.name}
    grandparents = {n for t in parents for r in contract.resources[t].relations.values() for n in r.targets}
    for name in contract.resources:
        record = session.shared_records.get(name)
        is_related = name != resource.name and name in parents | grandparents
        if record is not None and not is_related and session.operation(name, "retrieve") is not None:
            yield name, record


def _create_with_other_parent(session: Session, resource: str) -> CreatedRecord:
    """A record made for a parent that was made for it. Raises CannotMake."""
    create_operation = session.creator(resource)
    for field in (
        create_operation.request_body.fields.values()
        if create_operation.request_body and not create_operation.path_parameter_names
        else ()
    ):
        if field.relation_setter is None or field.relation_setter.discriminator is not None:
            continue
        relation = session.payloads.find_relation(create_operation, field.relation_setter.relation)
        if relation.to_many or len(relation.targets) != 1 or session.operation(relation.targets[0], "create") is None:
            continue
        return session.create(resource, {field.name: session.create(relation.targets[0]).key})
    raise SkipCheck(f"a {resource} has no parent that can be made")


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
