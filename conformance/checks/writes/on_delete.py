"""The law on what becomes of those that lead to a deleted record: gone with it, cleared, or a reason to refuse."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import Listing
from conformance.checks.support.values import equal, new_record, retrieve_record, select_least_certain
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord, Session
from conformance.skip_reasons import not_testable
from conformance.transport.messages import Exchange
from spec.loader import Contract, Operation, Relation, Resource

GONE_STATUSES = (404, 410)
CONFLICT_STATUS = 409


def _has_dependents(contract: Contract, operation: Operation) -> bool:
    is_delete = operation.action == "delete" and operation.resource in contract.resources
    return is_delete and any(relation.on_delete for _, relation in contract.find_relations_to(operation.resource or ""))


def _check_on_delete(case: Case) -> Iterator[CheckResult]:
    """One promise for each relation by which a record of the run's can be made to lead to another."""
    session, resource = case.session, case.operation.resource or ""
    has_evaluated = False
    for source, relation in session.contract.find_relations_to(resource):
        if relation.on_delete is None:
            continue
        try:
            record = new_record(case)
            child = create_child(session, source.name, relation, record)
        except SkipCheck:
            continue
        has_evaluated = True
        yield _evaluate_on_delete(case, source, relation, record, child)
    if not has_evaluated:
        yield case.skip(case.build_requirement(), f"the contract has nothing that can be made to lead to a {resource}")


def create_child(session: Session, resource: str, relation: Relation, parent: CreatedRecord) -> CreatedRecord:
    """A new record that leads to another by a relation. Raises CannotMake."""
    create_operation = session.creator(resource)
    for field in (
        create_operation.request_body.fields.values()
        if create_operation.request_body and not create_operation.path_parameter_names
        else ()
    ):
        if (
            field.relation_setter
            and not field.relation_setter.discriminator
            and field.relation_setter.relation == relation.name
        ):
            return session.create(resource, {field.name: [parent.key] if relation.to_many else parent.key})
    raise SkipCheck(not_testable(f"the contract has no {resource} that can be made for a {parent.resource}"))


def _evaluate_on_delete(
    case: Case, source: Resource, relation: Relation, record: CreatedRecord, child: CreatedRecord
) -> CheckResult:
    session = case.session
    location = select_least_certain(case, (relation.pointer, "x-relation"), (case.operation.pointer, None))
    requirement = case.build_requirement(*location, parameter=f"{source.name}.{relation.name} {relation.on_delete}")
    exchange = session.delete(record.resource, record.key)
    status = exchange.response.status if exchange else 0
    is_restricted = relation.on_delete == "refuse"
    if exchange is None or not (exchange.response.ok or status == CONFLICT_STATUS):
        return case.skip(requirement, f"{case.operation.id} answered {status or 'nothing'}")
    if is_restricted != (status == CONFLICT_STATUS):
        expected = CONFLICT_STATUS if is_restricted else "a success"
        return case.build_result(
            requirement, f"answered {status} while a {source.name} leads to it, due: {expected}", exchange
        )
    exchanges: list[Exchange] = []
    find_problem = {"cascade": _find_cascade_problem, "clear": _find_clear_problem, "refuse": _find_restrict_problem}[
        str(relation.on_delete)
    ]
    message = session.wait_until(lambda: find_problem(session, relation, record, child, exchanges))
    return case.build_result(requirement, message, exchange, *exchanges[-1:])


def _find_cascade_problem(
    session: Session, relation: Relation, record: CreatedRecord, child: CreatedRecord, exchanges: list[Exchange]
) -> str:
    """Neither retrieved nor on the first page of its list."""
    if session.operation(child.resource, "retrieve") is not None:
        exchanges.append(session.retrieve(child.resource, child.key))
        if exchanges[-1].response.status not in GONE_STATUSES:
            return f"its {child.resource} is answered {exchanges[-1].response.status} after the delete, due: 404"
    listing = session.operation(child.resource, "list")
    with suppress(SkipCheck):
        list_page = (
            Listing(session, listing).fetch(*Listing(session, listing).build_largest_page_query()) if listing else None
        )
        if list_page is not None and child.key in [
            row.get(session.resource(listing).key_attribute) for row in list_page.rows if listing
        ]:
            exchanges.append(list_page.exchange)
            return f"its {child.resource} {child.key} is still listed after the delete"
    return ""


def _find_clear_problem(
    session: Session, relation: Relation, record: CreatedRecord, child: CreatedRecord, exchanges: list[Exchange]
) -> str:
    """Still there, and not leading to the deleted record."""
    exchanges.append(session.retrieve(child.resource, child.key))
    if not exchanges[-1].response.ok:
        return f"its {child.resource} is answered {exchanges[-1].response.status} after the delete, due: a success"
    body = session.data(session.require_operation(child.resource, "retrieve"), exchanges[-1])
    value: Any = body.get(relation.name) if isinstance(body, dict) else None
    key = session.contract.resources[record.resource].key_attribute
    for related in value if isinstance(value, list) else [value]:
        if isinstance(related, dict) and equal(related.get(key), record.key):
            return f"its {child.resource} shows the deleted {record.resource} at {relation.name}"
    return ""


def _find_restrict_problem(
    session: Session, relation: Relation, record: CreatedRecord, child: CreatedRecord, exchanges: list[Exchange]
) -> str:
    """Refused, so that nothing went away. Raises CannotMake when the contract retrieves none."""
    for candidate in (record, child):
        with suppress(SkipCheck):
            exchanges.append(retrieve_record(session, candidate.resource, candidate.key)[1])
            continue
        return f"the {candidate.resource} is gone although the delete was refused"
    return ""


CHECKS: tuple[Check, ...] = (
    Check(
        "on-delete-rule-applied",
        "Deleting a referenced record cascades, clears the reference or is rejected, as the contract states.",
        Category.RELATIONS,
        _has_dependents,
        _check_on_delete,
        writes=True,
    ),
)
