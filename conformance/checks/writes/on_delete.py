"""Check of the on-delete rules of relations: cascade, clear the reference, or reject the delete."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import Listing
from conformance.checks.support.values import equal, new_record, retrieve_record, select_least_certain
from conformance.checks.writes.changes import iter_reference_fields
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord, Session
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation, Relation, Resource

GONE_STATUSES = (404, 410)
CONFLICT_STATUS = 409


def _has_dependents(contract: Contract, operation: Operation) -> bool:
    is_delete = operation.action == "delete" and operation.resource in contract.resources
    return is_delete and any(relation.on_delete for _, relation in contract.find_relations_to(operation.resource or ""))


def _check_on_delete(case: Case) -> Iterator[CheckResult]:
    """Yield one result for each relation by which a created record can reference another."""
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
        yield case.skip(case.build_requirement(), f"no record that references a {resource} can be created")


def create_child(session: Session, resource: str, relation: Relation, parent: CreatedRecord) -> CreatedRecord:
    """Create a record that references another by a relation. Raises SkipCheck."""
    operation = session.creator(resource)
    for field, name in iter_reference_fields(None if operation.path_parameter_names else operation):
        if name == relation.name:
            return session.create(resource, {field.name: [parent.key] if relation.to_many else parent.key})
    raise SkipCheck(not_testable(f"the contract defines no way to create a {resource} for a {parent.resource}"))


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
        return case.skip(requirement, f"{case.operation.id} returned {status or 'no response'}")
    if is_restricted != (status == CONFLICT_STATUS):
        expected = CONFLICT_STATUS if is_restricted else "2xx"
        message = f"delete while a {source.name} references the record: got {status}, expected {expected}"
        return case.build_result(requirement, message, exchange)
    exchanges: list[Exchange] = []
    find_problem = _PROBLEM_FINDERS[str(relation.on_delete)]
    message = session.wait_until(lambda: find_problem(session, relation, record, child, exchanges))
    return case.build_result(requirement, message, exchange, *exchanges[-1:])


def _find_cascade_problem(
    session: Session, relation: Relation, record: CreatedRecord, child: CreatedRecord, exchanges: list[Exchange]
) -> str:
    """The child is neither retrieved nor on the first page of its list."""
    if session.operation(child.resource, "retrieve") is not None:
        exchanges.append(session.retrieve(child.resource, child.key))
        status = exchanges[-1].response.status
        if status not in GONE_STATUSES:
            return f"its {child.resource} after the delete: got {status}, expected 404"
    operation = session.operation(child.resource, "list")
    with suppress(SkipCheck):
        listing = Listing(session, operation) if operation else None
        page = listing.fetch(*listing.build_largest_page_query()) if listing else None
        if listing and page and child.key in [row.get(listing.resource.key_attribute) for row in page.rows]:
            exchanges.append(page.exchange)
            return f"its {child.resource} {child.key} is still listed after the delete"
    return ""


def _find_clear_problem(
    session: Session, relation: Relation, record: CreatedRecord, child: CreatedRecord, exchanges: list[Exchange]
) -> str:
    """The child exists and does not reference the deleted record."""
    exchanges.append(session.retrieve(child.resource, child.key))
    if not exchanges[-1].response.ok:
        return f"its {child.resource} after the delete: got {exchanges[-1].response.status}, expected 2xx"
    body = session.data(session.require_operation(child.resource, "retrieve"), exchanges[-1])
    value: Any = body.get(relation.name) if isinstance(body, dict) else None
    key = session.contract.resources[record.resource].key_attribute
    for related in value if isinstance(value, list) else [value]:
        if isinstance(related, dict) and equal(related.get(key), record.key):
            return f"its {child.resource} still references the deleted {record.resource} by {relation.name}"
    return ""


def _find_restrict_problem(
    session: Session, relation: Relation, record: CreatedRecord, child: CreatedRecord, exchanges: list[Exchange]
) -> str:
    """Both records exist after the rejected delete."""
    for candidate in (record, child):
        with suppress(SkipCheck):
            exchanges.append(retrieve_record(session, candidate.resource, candidate.key)[1])
            continue
        return f"the delete was rejected, but the {candidate.resource} does not exist any more"
    return ""


_PROBLEM_FINDERS = {"cascade": _find_cascade_problem, "clear": _find_clear_problem, "refuse": _find_restrict_problem}

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
