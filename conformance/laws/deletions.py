"""The law on what becomes of those that lead to a deleted record: gone with it, cleared, or a reason to refuse."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from conformance.cause import not_testable
from conformance.errors import SkipCheck
from conformance.exchange import Exchange
from conformance.laws.law import Case, Law
from conformance.laws.lists import Listing
from conformance.laws.own import retrieved, same, scratch, weakest
from conformance.outcome import CheckResult
from conformance.session import CreatedRecord, Session
from spec.contract import Contract, Operation, Relation, Resource

GONE = (404, 410)
REFUSED = 409


def _has_children(contract: Contract, operation: Operation) -> bool:
    deletes = operation.action == "delete" and operation.resource in contract.resources
    return deletes and any(relation.on_delete for _, relation in contract.find_relations_to(operation.resource or ""))


def _follows(case: Case) -> Iterator[CheckResult]:
    """One promise for each relation by which a record of the run's can be made to lead to another."""
    session, resource = case.session, case.operation.resource or ""
    told = False
    for holder, relation in session.contract.find_relations_to(resource):
        if relation.on_delete is None:
            continue
        try:
            mine = scratch(case)
            child = child_of(session, holder.name, relation, mine)
        except SkipCheck:
            continue
        told = True
        yield _judged(case, holder, relation, mine, child)
    if not told:
        yield case.not_judged(case.promise(), f"the contract has nothing that can be made to lead to a {resource}")


def child_of(session: Session, resource: str, relation: Relation, mine: CreatedRecord) -> CreatedRecord:
    """A new record that leads to another by a relation. Raises CannotMake."""
    creating = session.creator(resource)
    for field in (
        creating.request_body.fields.values() if creating.request_body and not creating.path_parameter_names else ()
    ):
        if (
            field.relation_setter
            and not field.relation_setter.discriminator
            and field.relation_setter.relation == relation.name
        ):
            return session.create(resource, {field.name: [mine.key] if relation.to_many else mine.key})
    raise SkipCheck(not_testable(f"the contract has no {resource} that can be made for a {mine.resource}"))


def _judged(case: Case, holder: Resource, relation: Relation, mine: CreatedRecord, child: CreatedRecord) -> CheckResult:
    session = case.session
    place = weakest(case, (relation.pointer, "x-relation"), (case.operation.pointer, None))
    promise = case.promise(*place, parameter=f"{holder.name}.{relation.name} {relation.on_delete}")
    exchange = session.delete(mine.resource, mine.key)
    status = exchange.response.status if exchange else 0
    refuses = relation.on_delete == "refuse"
    if exchange is None or not (exchange.response.ok or status == REFUSED):
        return case.not_judged(promise, f"{case.operation.id} answered {status or 'nothing'}")
    if refuses != (status == REFUSED):
        due = REFUSED if refuses else "a success"
        return case.judged(promise, f"answered {status} while a {holder.name} leads to it, due: {due}", exchange)
    answers: list[Exchange] = []
    look = {"cascade": _is_gone, "clear": _is_cleared, "refuse": _is_there}[str(relation.on_delete)]
    said = session.wait_until(lambda: look(session, relation, mine, child, answers))
    return case.judged(promise, said, exchange, *answers[-1:])


def _is_gone(
    session: Session, relation: Relation, mine: CreatedRecord, child: CreatedRecord, answers: list[Exchange]
) -> str:
    """Neither retrieved nor on the first page of its list."""
    if session.operation(child.resource, "retrieve") is not None:
        answers.append(session.retrieve(child.resource, child.key))
        if answers[-1].response.status not in GONE:
            return f"its {child.resource} is answered {answers[-1].response.status} after the delete, due: 404"
    listing = session.operation(child.resource, "list")
    with suppress(SkipCheck):
        page = Listing(session, listing).ask(*Listing(session, listing).largest()) if listing else None
        if page is not None and child.key in [
            row.get(session.resource(listing).key_attribute) for row in page.rows if listing
        ]:
            answers.append(page.exchange)
            return f"its {child.resource} {child.key} is still listed after the delete"
    return ""


def _is_cleared(
    session: Session, relation: Relation, mine: CreatedRecord, child: CreatedRecord, answers: list[Exchange]
) -> str:
    """Still there, and not leading to the deleted record."""
    answers.append(session.retrieve(child.resource, child.key))
    if not answers[-1].response.ok:
        return f"its {child.resource} is answered {answers[-1].response.status} after the delete, due: a success"
    shown = session.data(session.require_operation(child.resource, "retrieve"), answers[-1])
    value: Any = shown.get(relation.name) if isinstance(shown, dict) else None
    key = session.contract.resources[mine.resource].key_attribute
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict) and same(one.get(key), mine.key):
            return f"its {child.resource} shows the deleted {mine.resource} at {relation.name}"
    return ""


def _is_there(
    session: Session, relation: Relation, mine: CreatedRecord, child: CreatedRecord, answers: list[Exchange]
) -> str:
    """Refused, so that nothing went away. Raises CannotMake when the contract retrieves none."""
    for one in (mine, child):
        with suppress(SkipCheck):
            answers.append(retrieved(session, one.resource, one.key)[1])
            continue
        return f"the {one.resource} is gone although the delete was refused"
    return ""


LAWS: tuple[Law, ...] = (
    Law(
        "delete-does-to-others-what-is-due",
        "What leads to a deleted record goes with it, is cleared, or has the delete refused: as the contract says.",
        _has_children,
        _follows,
        writes=True,
    ),
)
