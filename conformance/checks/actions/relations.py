"""Checks of relations: references resolve, counts follow writes, embedded records are up to date."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.lists.includes import build_full_include_query, is_whoami
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import ListChangedDuringCheck, Listing, is_list
from conformance.checks.support.values import (
    contains,
    equal,
    format_query_value,
    has_action,
    is_create,
    iter_round_trip_fields,
    parse_integer,
    retrieve_record,
    select_least_certain,
    truncate,
)
from conformance.checks.writes import on_delete
from conformance.checks.writes.changes import iter_reference_fields, path_of
from conformance.checks.writes.on_delete import create_child
from conformance.errors import SkipCheck, not_testable
from conformance.responses.records import NestedRecord
from conformance.results import CheckResult, Requirement
from conformance.session.session import CreatedRecord, Session
from conformance.transport.messages import Exchange
from spec.model import BodyField, Contract, DerivedProperty, Operation, Parameter, Relation, Resource

DISTINCT_EXAMPLES = 2  # records that are read in addition to the shared one
MAX_RETRIEVED_PER_RELATION = 3  # referenced records of one relation that are retrieved
NOT_COUNTED = "the created record does not match the condition of the count"


def find_embedding_relation(contract: Contract, nested: NestedRecord) -> Relation | None:
    """Return the relation that embeds a record; None for a top-level record."""
    return contract.resources[nested.holder.resource].relations.get(nested.name) if nested.holder else None


# References


def _check_references(case: Case) -> Iterator[CheckResult]:
    """Retrieve the records that the run's records embed; one result for each location."""
    session, contract = case.session, case.session.contract
    references: dict[str, tuple[NestedRecord, Relation, Exchange, dict[Any, None]]] = {}
    for nested, exchange in _iter_embedded_records(session, case.operation):
        relation = find_embedding_relation(contract, nested)
        key = nested.record.get(contract.resources[nested.view.resource].key_attribute)
        if relation is None or key is None or session.operation(nested.view.resource, "retrieve") is None:
            continue
        references.setdefault(nested.location, (nested, relation, exchange, {}))[3][key] = None
    for nested, relation, exchange, keys in references.values():
        yield _evaluate_references(case, nested, relation, list(keys)[:MAX_RETRIEVED_PER_RELATION], exchange)
    if not references:
        reason = not_testable("the contract defines no operation to retrieve the embedded records")
        yield case.skip(case.build_requirement(), reason)


def _returns_references(contract: Contract, operation: Operation) -> bool:
    is_retrieve = operation.resource in contract.resources and operation.action == "retrieve"
    return is_retrieve or is_list(contract, operation) or is_whoami(contract, operation)


def _iter_embedded_records(session: Session, operation: Operation) -> Iterator[tuple[NestedRecord, Exchange]]:
    """Yield the records embedded in records of the run, retrieved or listed, or in the account of the token."""
    query = build_full_include_query(session, operation)
    if operation.action == "retrieve":
        for record in _create_examples(session, operation.resource or ""):
            exchange = session.send(operation, path=path_of(operation, record.key), query=query)
            yield from ((nested, exchange) for nested in session.records(operation, exchange))
    elif is_whoami(session.contract, operation):
        exchange = session.send(operation, query=query)
        yield from ((nested, exchange) for nested in session.records(operation, exchange))
    else:
        created_keys = {record.key for record in _create_examples(session, operation.resource or "")}
        listing = Listing(session, operation)
        page = listing.fetch(*listing.build_largest_page_query(), *query)
        positions = {position for position, key in enumerate(listing.get_keys(page.rows)) if key in created_keys}
        for nested in session.records(operation, page.exchange):
            if next((step for step in nested.path if isinstance(step, int)), None) in positions:
                yield nested, page.exchange


def _create_examples(session: Session, resource: str) -> list[CreatedRecord]:
    shared_record = session.shared_record(resource)
    return [shared_record, *session.distinct_records(resource, DISTINCT_EXAMPLES)[:DISTINCT_EXAMPLES]]


def _evaluate_references(
    case: Case, nested: NestedRecord, relation: Relation, keys: list[Any], exchange: Exchange
) -> CheckResult:
    resource = nested.view.resource
    exchanges: list[Exchange] = [exchange]

    def find_problem() -> str:
        for key in keys:
            exchanges.append(case.session.retrieve(resource, key))
            response = exchanges[-1].response
            if not response.ok:
                return f"{nested.location} references {resource} {key}: got {response.status} for it, expected 2xx"
        return ""

    message = case.session.wait_until(find_problem)
    requirement = case.build_requirement(relation.pointer, None, nested.location)
    return case.build_result(requirement, message, exchange, exchanges[-1])


# Counts


@dataclass(frozen=True, slots=True)
class ParentCount:
    """A count on a parent that a create increases. `field`: the field of the create that references the parent."""

    field: BodyField
    relation: str
    parent: Resource
    derived: DerivedProperty


def _find_parent_counts(contract: Contract, operation: Operation) -> Iterator[ParentCount]:
    resource = contract.resources.get(operation.resource or "")
    for field, name in iter_reference_fields(operation):
        relation = resource.relations.get(name) if resource else None
        if resource is None or relation is None or relation.to_many or len(relation.targets) != 1:
            continue
        parent = contract.resources[relation.targets[0]]
        for derived in parent.derived_properties.values():
            inverse = parent.relations.get(derived.path[0]) if derived.kind == "count" else None
            if inverse is not None and inverse.inverse == relation.name and inverse.targets == (resource.name,):
                yield ParentCount(field, name, parent, derived)


def _affects_count(contract: Contract, operation: Operation) -> bool:
    return is_create(contract, operation) and any(True for _ in _find_parent_counts(contract, operation))


def _iter_count_requirements(case: Case) -> Iterator[tuple[ParentCount, Requirement]]:
    for count in _find_parent_counts(case.session.contract, case.operation):
        location = select_least_certain(case, (count.derived.pointer, None), (case.operation.pointer, None))
        yield count, case.build_requirement(*location, parameter=f"{count.parent.name}.{count.derived.name}")


def _check_counts_follow_writes(case: Case) -> Iterator[CheckResult]:
    """The count increases by one with a created child and decreases by one when it is deleted."""
    session = case.session
    for count, requirement in _iter_count_requirements(case):
        parent = session.shared_record(count.parent.name)
        value = _read_count(session, parent, count.derived)
        child = session.create(case.operation.resource or "", {count.field.name: parent.key})
        if not _matches_conditions(count.derived, child.body):
            yield case.skip(requirement, NOT_COUNTED)
            continue
        message = _wait_for_count(session, parent, count.derived, value + 1, "create")
        if not message:
            session.delete(child.resource, child.key)
            message = _wait_for_count(session, parent, count.derived, value, "delete")
        if message and _list_confirms_count(session, count, parent, child):
            yield case.skip(requirement, ListChangedDuringCheck().reason)
        else:
            yield case.build_result(requirement, message, child.exchange)


def _check_counts_from_zero(case: Case) -> Iterator[CheckResult]:
    """A new parent has the count 0, then 1 and 2, when it is retrieved and when it is listed."""
    session = case.session
    for count, requirement in _iter_count_requirements(case):
        parent = session.create(count.parent.name)
        children: list[CreatedRecord] = []
        message = _find_count_problem(session, parent, count.derived, 0)
        while not message and len(children) < 2:
            children.append(session.create(case.operation.resource or "", {count.field.name: parent.key}))
            if not _matches_conditions(count.derived, children[-1].body):
                break
            message = _find_count_problem(session, parent, count.derived, len(children))
        # If the filtered list has another total than the created records, another client changed it: no failure.
        total = _fetch_listed_total(session, count, parent, children[-1]) if message and children else None
        if not message and len(children) < 2:
            yield case.skip(requirement, NOT_COUNTED)
        elif total not in (None, len(children)):
            yield case.skip(requirement, ListChangedDuringCheck().reason)
        else:
            yield case.build_result(requirement, message, *(record.exchange for record in children[-1:] or [parent]))


def _find_count_problem(session: Session, parent: CreatedRecord, derived: DerivedProperty, expected: int) -> str:
    """Compare the count of a new record, retrieved and on the first page of its list; "" if it is correct."""
    operation, name = session.operation(parent.resource, "list"), derived.name
    listing = Listing(session, operation) if operation else None

    def find_problem() -> str:
        actual = _read_count(session, parent, derived)
        if actual != expected:
            return f"{name} of a new {parent.resource}, retrieved: got {actual}, expected {expected}"
        rows = listing.fetch(*listing.build_largest_page_query()).rows if listing else []
        key = session.contract.resources[parent.resource].key_attribute
        row = next((row for row in rows if row.get(key) == parent.key), {})
        if parse_integer(row.get(name, expected)) != expected:
            return f"{name} of a new {parent.resource}, listed: got {row[name]}, expected {expected}"
        return ""

    return session.wait_until(find_problem)


def _list_confirms_count(session: Session, count: ParentCount, parent: CreatedRecord, child: CreatedRecord) -> bool:
    """Whether the list of counted records has the same total, because another client created or deleted one."""
    total = _fetch_listed_total(session, count, parent, child)
    return not count.derived.where and total == _read_count(session, parent, count.derived)


def _fetch_listed_total(
    session: Session, count: ParentCount, parent: CreatedRecord, child: CreatedRecord
) -> int | None:
    """Return the total of the list filtered by the parent; None if there is no such filter."""
    operation = session.operation(child.resource, "list")
    parameter = _find_parent_filter(operation, (count.relation, count.parent.key_attribute))
    if operation is None or parameter is None:
        return None
    return Listing(session, operation).fetch((parameter.name, format_query_value(parent.key))).total


def _find_parent_filter(listing: Operation | None, path: tuple[str, ...]) -> Parameter | None:
    for parameter in listing.query_parameters if listing else ():
        if parameter.x_query and parameter.x_query.role == "filter" and parameter.x_query.paths[0] == path:
            return parameter
    return None


def _matches_conditions(derived: DerivedProperty, record: Mapping[str, Any]) -> bool:
    return all(record.get(name) in values for name, values in derived.where.items())


def _wait_for_count(
    session: Session, parent: CreatedRecord, derived: DerivedProperty, expected: int, action: str
) -> str:
    def find_problem() -> str:
        actual = _read_count(session, parent, derived)
        is_equal = actual == expected
        return "" if is_equal else f"{derived.name} after the {action}: got {actual}, expected {expected}"

    return session.wait_until(find_problem)


def _read_count(session: Session, parent: CreatedRecord, derived: DerivedProperty) -> int:
    """Retrieve the parent and return its count. Raises SkipCheck if it is not a number."""
    record, _ = retrieve_record(session, parent.resource, parent.key)
    value = record.get(derived.name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SkipCheck(f"the {parent.resource} has no number {derived.name}")
    return int(value)


# Embedded records

Query = tuple[tuple[str, str], ...]
Read = tuple[Operation, Mapping[str, Any], Query]  # operation, path, query


def _check_embedded_updates(case: Case) -> Iterator[CheckResult]:
    """After an update, the record has the new value wherever records of the run embed it."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    record = session.create(resource.name)
    reads = list(_iter_embedding_reads(session, record))
    change = next(_iter_text_changes(case, resource), None)
    if change is None:
        raise SkipCheck(not_testable("the contract defines no text field that can be updated and is returned"))
    exchange = session.send(operation, path=path_of(operation, record.key), body=dict([change]))
    if not exchange.response.ok:
        raise SkipCheck(f"{operation.id} returned {exchange.response.status}")
    has_evaluated = False
    for read in reads:
        for result in _evaluate_embedded_updates(case, record, change, read):
            has_evaluated = True
            yield result
    if not has_evaluated:
        reason = not_testable(f"no record of the run embeds a {resource.name}")
        yield case.skip(case.build_requirement(), reason)


def _iter_text_changes(case: Case, resource: Resource) -> Iterator[tuple[str, Any]]:
    for field, _ in iter_round_trip_fields(case, resource):
        schema = case.session.payloads.resolve_schema(field.schema)
        if schema.get("type") == "string" and not schema.keys() & {"enum", "format", "pattern"}:
            yield field.name, case.session.payloads.generate_value(field.schema, field.name)


def _iter_embedding_reads(session: Session, record: CreatedRecord) -> Iterator[Read]:
    """Yield the requests whose responses may embed a record: those for new children and for its parents."""
    for source, relation in session.contract.find_relations_to(record.resource):
        try:
            child = create_child(session, source.name, relation, record)
        except SkipCheck:
            continue
        yield from _iter_record_reads(session, source.name, child.key, (relation.name, record))
    creator = session.creator(record.resource)
    for field, name in iter_reference_fields(creator):
        parent_relation = session.payloads.find_relation(creator, name)
        if field.name in record.request_body and len(parent_relation.targets) == 1 and not parent_relation.to_many:
            yield from _iter_record_reads(session, parent_relation.targets[0], record.request_body[field.name], None)


def _iter_record_reads(
    session: Session, resource: str, key: Any, parent: tuple[str, CreatedRecord] | None
) -> Iterator[Read]:
    """Yield the requests that read a record. `parent`: relation and record by which its list is filtered."""
    operation, listing = session.operation(resource, "retrieve"), session.operation(resource, "list")
    if operation is not None:
        yield operation, path_of(operation, key), build_full_include_query(session, operation)
    if listing is not None and parent is not None:
        relation, record = parent
        key_name = session.contract.resources[record.resource].key_attribute
        parameter = _find_parent_filter(listing, (relation, key_name))
        if parameter is not None:
            yield listing, {}, (*build_full_include_query(session, listing), (parameter.name, str(record.key)))


def _evaluate_embedded_updates(
    case: Case, record: CreatedRecord, change: tuple[str, Any], read: Read
) -> Iterator[CheckResult]:
    """Yield one result for each location at which the response embeds the record."""
    session, (name, value), (operation, path, query) = case.session, change, read
    key = session.contract.resources[record.resource].key_attribute
    exchanges: list[Exchange] = []

    def fetch_embedded() -> dict[str, NestedRecord]:
        exchanges.append(session.send(operation, path=path, query=query))
        records = [n for n in session.records(operation, exchanges[-1]) if n.nesting and name in n.record]
        same_resource = [n for n in records if n.view.resource == record.resource]
        return {n.location: n for n in same_resource if equal(n.record.get(key), record.key)}

    for dotted_path, nested in fetch_embedded().items():

        def find_problem(dotted_path: str = dotted_path) -> str:
            current = fetch_embedded().get(dotted_path)
            if current is None or contains(value, current.record[name]):
                return ""
            actual = truncate(current.record[name])
            return f"{dotted_path}.{name} after the update: got {actual}, expected {truncate(value)}"

        relation = find_embedding_relation(session.contract, nested)
        pointer = relation.pointer if relation else None
        requirement = case.build_requirement(pointer, None, f"{operation.id} {dotted_path}")
        yield case.build_result(requirement, session.wait_until(find_problem), exchanges[-1])


CHECKS: tuple[Check, ...] = (
    Check(
        "references-resolve",
        "An embedded record can be retrieved.",
        Category.RELATIONS,
        _returns_references,
        _check_references,
        writes=True,
    ),
    Check(
        "relation-count-follows-writes",
        "A relation count increases by one when a counted record is created and decreases by one when it is deleted.",
        Category.RELATIONS,
        _affects_count,
        _check_counts_follow_writes,
        writes=True,
    ),
    Check(
        "relation-count-starts-at-zero",
        "The relation count of a new record is zero and increases by one with each record created for it.",
        Category.RELATIONS,
        _affects_count,
        _check_counts_from_zero,
        writes=True,
    ),
    *on_delete.CHECKS,
    Check(
        "embedded-follows-updates",
        "After an update, the record has the new value wherever it is embedded.",
        Category.RELATIONS,
        has_action("update"),
        _check_embedded_updates,
        writes=True,
    ),
)
