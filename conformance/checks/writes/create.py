"""Checks of create operations: stored values, lists of parents, unique keys, protected fields."""

from collections.abc import Iterator, Mapping
from typing import Any

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.values import (
    contains,
    equal,
    get_stored_attributes,
    is_create,
    iter_changed_names,
    iter_round_trip_fields,
    new_record,
    select_least_certain,
    truncate,
)
from conformance.checks.writes import text_roundtrip
from conformance.checks.writes.changes import body_fields, iter_reference_fields
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord
from conformance.transport.messages import Exchange
from spec.model import Attribute, BodyField, Contract, Operation

MAX_LIST_ROWS = 5000  # rows of a list that are searched for a record
View = tuple[str, Mapping[str, Any], Exchange]  # what shows the record ("response", "retrieved record"), its body


def _check_create(case: Case) -> Iterator[CheckResult]:
    """Send every field of a create; compare with the response, the retrieved record and the list."""
    session, fields = case.session, list(iter_round_trip_fields(case, case.session.resource(case.operation)))
    created = _create_full_record(case, fields)
    if not created.exchange.response.json:
        raise SkipCheck("the response has no record")
    sent = [(field, attribute) for field, attribute in fields if field.name in created.request_body]
    exchange = _retrieve_created(case, created, [field.name for field, _ in sent])
    views = [("the response", created.body, created.exchange)]
    if exchange is not None:
        body = session.data(session.require_operation(created.resource, "retrieve"), exchange)
        is_record = isinstance(body, dict)
        message = (
            "" if is_record else f"{created.key} was created, but retrieving it returned {exchange.response.status}"
        )
        location = select_least_certain(case, (case.operation.pointer, None))
        yield case.build_result(case.build_requirement(*location, "retrieved"), message, exchange)
        views += [("the retrieved record", body, exchange)] if is_record else []
    for field, attribute in sent:
        yield _evaluate_round_trip(case, field, attribute, created.request_body[field.name], views)
    yield _evaluate_listed(case, created)


def _create_full_record(case: Case, fields: list[tuple[BodyField, Attribute]]) -> CreatedRecord:
    """Create a record with every field, or with the required ones only if the target rejects that."""
    payloads = case.session.payloads
    changes = {f.name: payloads.generate_value(f.schema, f.name) for f, _ in fields if not f.required}
    try:
        return new_record(case, changes)
    except SkipCheck:
        return new_record(case)


def _retrieve_created(case: Case, created: CreatedRecord, names: list[str]) -> Exchange | None:
    """Retrieve the record once it has the sent values; None if the contract defines no retrieve operation."""
    session, exchanges = case.session, list[Exchange]()
    operation = session.operation(created.resource, "retrieve")
    if operation is None:
        return None

    def find_problem() -> str:
        exchanges.append(session.retrieve(created.resource, created.key))
        body = session.data(operation, exchanges[-1])
        if not exchanges[-1].response.ok or not isinstance(body, dict):
            return "not found"
        return next((name for name in names if not contains(created.request_body[name], body.get(name))), "")

    session.wait_until(find_problem)
    return exchanges[-1]


def _evaluate_round_trip(
    case: Case, field: BodyField, attribute: Attribute, expected: Any, views: list[View]
) -> CheckResult:
    pointers = (attribute.pointer, field.pointer, case.operation.pointer)
    location = select_least_certain(case, *((pointer, None) for pointer in pointers))
    requirement = case.build_requirement(*location, parameter=field.name)
    for label, body, exchange in views:
        if field.name not in body:
            return case.build_result(requirement, f"{label} has no {field.name}, which was sent", exchange)
        if not contains(expected, body[field.name]):
            message = f"{field.name} in {label}: got {truncate(body[field.name])}, expected {truncate(expected)}"
            return case.build_result(requirement, message, exchange)
    return case.build_result(requirement, "")


def _evaluate_listed(case: Case, created: CreatedRecord) -> CheckResult:
    """Whether the list contains the record: filtered by its parent if possible, otherwise page by page."""
    session, contract = case.session, case.session.contract
    listing = session.operation(created.resource, "list")
    location = select_least_certain(case, (case.operation.pointer, None))
    requirement = case.build_requirement(*location, parameter="in the list")
    if listing is None:
        return case.skip(requirement, "there is no list operation")
    query = next(iter_parent_filters(case, listing, created), ("", {}))[1]

    def find_problem() -> str:
        row = find_listed_row(case, listing, created, query)
        if row is None:
            return f"{listing.id} does not list {created.key}, which was created"
        body = session.data(case.operation, created.exchange)
        returned = get_stored_attributes(contract, case.operation, body)
        listed = get_stored_attributes(contract, listing, row)
        return "; ".join(
            f"{name} in {listing.id}: got {truncate(listed[name])}, create returned {truncate(returned[name])}"
            for name in iter_changed_names(returned, listed)
        )

    return case.build_result(requirement, session.wait_until(find_problem), created.exchange)


def find_listed_row(
    case: Case, listing: Operation, created: CreatedRecord, query: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the row of a record, None if the complete list has none. Raises SkipCheck if the list is too long."""
    key, row_count = case.session.resource(listing).key_attribute, 0
    for row in case.session.rows(listing, query):
        if row.get(key) == created.key:
            return row
        row_count += 1
    if row_count >= MAX_LIST_ROWS:
        raise SkipCheck(f"{listing.id} has more than {MAX_LIST_ROWS} rows")
    return None


def iter_parent_filters(case: Case, listing: Operation, created: CreatedRecord) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (parameter, query) of each list filter by a record that the create request referenced."""
    session, sent = case.session, created.request_body
    resources = session.contract.resources
    setters = [(f.name, f.relation_setter) for f in body_fields(session.creator(created.resource)) if f.name in sent]
    references = {setter.relation: sent[name] for name, setter in setters if setter is not None}
    for parameter in listing.query_parameters:
        x_query = parameter.x_query
        if x_query is None or x_query.role != "filter" or x_query.operator != "eq" or len(x_query.paths[0]) != 2:
            continue
        name, key = x_query.paths[0]
        relation = resources[created.resource].relations.get(name)
        if name not in references or relation is None or len(relation.targets) != 1:
            continue
        if resources[relation.targets[0]].key_attribute == key:
            yield parameter.name, {parameter.name: references[name]}


def _creates_child(contract: Contract, operation: Operation) -> bool:
    return is_create(contract, operation) and any(field.relation_setter for field in body_fields(operation))


def _check_parent_list(case: Case) -> Iterator[CheckResult]:
    """Create a child that references every possible parent; the list filtered by each parent contains it."""
    session, payloads = case.session, case.session.payloads
    listing = session.require_operation(case.operation.resource or "", "list")
    changes: dict[str, Any] = {}
    for field, relation in iter_reference_fields(case.operation):
        if not payloads.find_relation(case.operation, relation).to_many:
            try:
                changes |= payloads.build_field(case.operation, field, session.parent)
            except SkipCheck:
                continue
    created = new_record(case, changes)
    for name, query in iter_parent_filters(case, listing, created):
        parameter = next(p for p in listing.query_parameters if p.name == name)
        location = select_least_certain(case, (parameter.pointer, None), (case.operation.pointer, None))

        def find_problem(name: str = name, query: Mapping[str, Any] = query) -> str:
            row = find_listed_row(case, listing, created, query)
            return "" if row else f"{listing.id}?{name}=... does not list its child {created.key}"

        requirement = case.build_requirement(*location, parameter=name)
        yield case.build_result(requirement, session.wait_until(find_problem), created.exchange)


def _check_unique_keys(case: Case) -> Iterator[CheckResult]:
    records = [new_record(case), new_record(case)]
    keys = [created.key for created in records]
    message = f"two records have the key {keys[0]!r}" if keys[0] == keys[1] else ""
    yield case.build_result(case.build_requirement(), message, *(created.exchange for created in records))


def _check_server_set_fields(case: Case) -> Iterator[CheckResult]:
    """Send the key and the timestamps with a create: they must be rejected or ignored."""
    session, resource = case.session, case.session.resource(case.operation)
    created = session.shared_record(resource.name)
    writable_names = {field.name for field in body_fields(case.operation)}
    stamps = (*resource.attributes_with_stamp("created"), *resource.attributes_with_stamp("updated"))
    for name in (resource.key_attribute, *stamps):
        attribute = resource.attributes[name]
        if name not in created.body or name in writable_names:
            continue
        requirement = case.build_requirement(attribute.pointer, "readOnly", name)
        value = "2001-02-03T04:05:06Z" if attribute.stamp else session.payloads.generate_value(attribute.schema, name)
        body = {**session.payloads.build(case.operation, session.parent), name: value}
        exchange = session.send(case.operation, body=body)
        returned = session.data(case.operation, exchange)
        was_applied = exchange.response.ok and isinstance(returned, dict) and equal(returned.get(name), value)
        message = f"{name} was set by the client to {truncate(value)}" if was_applied else ""
        yield case.build_result(requirement, message, exchange)


CHECKS: tuple[Check, ...] = (
    Check(
        "create-is-stored",
        "A created record is returned, retrieved and listed with the values of the request.",
        Category.WRITES,
        is_create,
        _check_create,
        writes=True,
    ),
    *text_roundtrip.CHECKS,
    Check(
        "child-listed-by-parent",
        "A list filtered by a parent contains the child created for it.",
        Category.WRITES,
        _creates_child,
        _check_parent_list,
        writes=True,
    ),
    Check(
        "identifiers-are-unique",
        "No two records of a resource have the same key.",
        Category.WRITES,
        is_create,
        _check_unique_keys,
        provenance_independent=True,
        writes=True,
    ),
    Check(
        "server-set-fields-protected",
        "Values that a client sends for keys and timestamps are rejected or ignored.",
        Category.WRITES,
        is_create,
        _check_server_set_fields,
        writes=True,
    ),
)
