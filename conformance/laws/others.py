"""The law on what a write leaves alone: records beside the written one, whosever they are."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from conformance.errors import SkipCheck
from conformance.laws.law import Case, Law
from conformance.laws.own import creates, differences, own, retrieved, scratch, sendable, told, writable
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord, Session
from spec.contract import Contract, Operation

SIBLING, STRANGER = "a sibling", "one of another parent"


def _writes(contract: Contract, operation: Operation) -> bool:
    """Whether an operation creates, updates or deletes a record of a resource."""
    changes = operation.action in ("update", "delete") and operation.resource in contract.resources
    return changes or creates(contract, operation)


def _no_other(case: Case) -> Iterator[CheckResult]:
    """Only this write stands between two looks at the others: siblings made for it, and what laws share."""
    session, resource = case.session, case.operation.resource or ""
    session.shared_record(resource)
    others = dict(_others(case))
    mine = None if creates(session.contract, case.operation) else scratch(case)
    others = {name: one for name, one in others.items() if mine is None or _key(one) != _key(mine)}
    before = {name: retrieved(session, one.resource, one.key)[0] for name, one in others.items()}
    _write(case, mine)
    for name, other in others.items():
        seen = session.require_operation(other.resource, "retrieve")
        shown = session.retrieve(other.resource, other.key)
        was, now = (own(session.contract, seen, record) for record in (before[name], session.data(seen, shown)))
        gone = "" if shown.response.ok else f"answered {shown.response.status}"
        # What no client sends, the server may count by itself, for others too.
        changed = [n for n in differences(was, now) if n in sendable(session.contract, other.resource)]
        said = gone or "; ".join(told(n, was[n], now[n]) for n in changed)
        promise = case.promise(parameter=name)
        yield case.judged(promise, f"another {other.resource}, not written to: {said}" if said else "", shown)


def _key(mine: CreatedRecord) -> tuple[str, Any]:
    return mine.resource, mine.key


def _write(case: Case, mine: CreatedRecord | None) -> None:
    """The case's own write, to `mine` or of a new record. Raises CannotMake when it is not taken."""
    session, operation = case.session, case.operation
    if mine is None:
        scratch(case)
        return
    if operation.action == "delete":
        exchange = session.delete(mine.resource, mine.key)
    else:
        field = next(iter(writable(case, session.resource(operation))), None)
        body = {field[0].name: session.payloads.generate_value(field[0].schema, field[0].name)} if field else {}
        exchange = session.send(operation, path={operation.path_parameter_names[0]: mine.key}, body=body)
    if exchange is None or not exchange.response.ok:
        raise SkipCheck(f"{operation.id} answered {exchange.response.status if exchange else 'nothing'}")


def _others(case: Case) -> Iterator[tuple[str, CreatedRecord]]:
    """(what it is, record): two of the same resource, and the run's shared ones.

    None of these leads to what is written nor is led to by it: a child may touch its parents.
    """
    session, contract = case.session, case.session.contract
    resource = contract.resources[case.operation.resource or ""]
    if session.operation(resource.name, "retrieve") is not None:
        with suppress(SkipCheck):
            yield SIBLING, scratch(case)
        with suppress(SkipCheck):
            yield STRANGER, _of_another_parent(session, resource.name)
    touched = {name for relation in resource.relations.values() for name in relation.targets} - {resource.name}
    above = {n for t in touched for r in contract.resources[t].relations.values() for n in r.targets}
    for name in contract.resources:
        mine = session.shared_records.get(name)
        near = name != resource.name and name in touched | above
        if mine is not None and not near and session.operation(name, "retrieve") is not None:
            yield name, mine


def _of_another_parent(session: Session, resource: str) -> CreatedRecord:
    """A record made for a parent that was made for it. Raises CannotMake."""
    creating = session.creator(resource)
    for field in (
        creating.request_body.fields.values() if creating.request_body and not creating.path_parameter_names else ()
    ):
        if field.relation_setter is None or field.relation_setter.discriminator is not None:
            continue
        relation = session.payloads.find_relation(creating, field.relation_setter.relation)
        if relation.to_many or len(relation.targets) != 1 or session.operation(relation.targets[0], "create") is None:
            continue
        return session.create(resource, {field.name: session.create(relation.targets[0]).key})
    raise SkipCheck(f"a {resource} has no parent that can be made")


LAWS: tuple[Law, ...] = (
    Law(
        "a-write-changes-no-other-record",
        "To create, change and delete a record leaves others as they are.",
        _writes,
        _no_other,
        always=True,
        writes=True,
    ),
)
