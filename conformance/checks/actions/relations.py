"""Laws on what leads from one record to others: references resolve, counts count, embedded records are up to date."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from conformance.checks.lists.includes import build_full_include_query, is_whoami
from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import Listing, is_list
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
from conformance.checks.writes.on_delete import create_child
from conformance.errors import SkipCheck
from conformance.responses.records import NestedRecord
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord, Session
from conformance.skip_reasons import not_testable
from conformance.transport.messages import Exchange
from spec.loader import BodyField, Contract, DerivedProperty, Operation, Relation, Resource

DISTINCT_EXAMPLES = 2  # own records that are looked at beside the shared one
MAX_RETRIEVED_PER_RELATION = 3  # records that one relation leads to which are retrieved, at most


def find_embedding_relation(contract: Contract, nested: NestedRecord) -> Relation | None:
    """The relation by which a record stands in another."""
    return contract.resources[nested.holder.resource].relations.get(nested.name) if nested.holder else None


# References -----------------------------------------------------------------------------------------------------


def _check_references(case: Case) -> Iterator[CheckResult]:
    """What the run's own records embed can be retrieved; one promise for each relation."""
    session, operation = case.session, case.operation
    references: dict[str, tuple[NestedRecord, Relation, Exchange, dict[Any, None]]] = {}
    for nested, exchange in _iter_embedded_records(session, operation):
        relation = find_embedding_relation(session.contract, nested)
        key = nested.record.get(session.contract.resources[nested.view.resource].key_attribute)
        if relation is None or key is None or session.operation(nested.view.resource, "retrieve") is None:
            continue
        references.setdefault(nested.location, (nested, relation, exchange, {}))[3][key] = None
    for nested, relation, exchange, keys in references.values():
        yield _evaluate_references(case, nested, relation, list(keys)[:MAX_RETRIEVED_PER_RELATION], exchange)
    if not references:
        yield case.skip(
            case.build_requirement(), not_testable("the contract has no operation to retrieve what it embeds")
        )


def _returns_references(contract: Contract, operation: Operation) -> bool:
    is_retrieved = operation.resource in contract.resources and operation.action == "retrieve"
    return is_retrieved or is_list(contract, operation) or is_whoami(contract, operation)


def _iter_embedded_records(session: Session, operation: Operation) -> Iterator[tuple[NestedRecord, Exchange]]:
    """What the run's own records embed, where they are retrieved or listed; and what the account itself does."""
    query = build_full_include_query(session, operation)
    if operation.action == "retrieve":
        for record in _create_examples(session, operation.resource or ""):
            exchange = session.send(operation, path={operation.path_parameter_names[0]: record.key}, query=query)
            yield from ((nested, exchange) for nested in session.records(operation, exchange))
    elif is_whoami(session.contract, operation):
        exchange = session.send(operation, query=query)
        yield from ((nested, exchange) for nested in session.records(operation, exchange))
    else:
        resource = operation.resource or ""
        own_keys = {record.key for record in _create_examples(session, resource)}
        listing = Listing(session, operation)
        page = listing.fetch(*listing.build_largest_page_query(), *query)
        own_positions = {position for position, key in enumerate(listing.get_keys(page.rows)) if key in own_keys}
        for nested in session.records(operation, page.exchange):
            if next((step for step in nested.path if isinstance(step, int)), None) in own_positions:
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
            status = exchanges[-1].response.status
            if not exchanges[-1].response.ok:
                return f"{nested.location} leads to {resource} {key}, which is answered {status}"
        return ""

    message = case.session.wait_until(find_problem)
    return case.build_result(
        case.build_requirement(relation.pointer, None, nested.location), message, exchange, exchanges[-1]
    )


# Counts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParentCount:
    """A count on a parent that a create raises: the create's field that names the parent, and the parent's count."""

    field: BodyField
    parent: Resource
    derived: DerivedProperty


def _find_parent_counts(contract: Contract, operation: Operation) -> Iterator[ParentCount]:
    resource = contract.resources.get(operation.resource or "")
    for field in operation.request_body.fields.values() if operation.request_body and resource else ():
        relation = (
            resource.relations.get(field.relation_setter.relation)
            if field.relation_setter and not field.relation_setter.discriminator and resource
            else None
        )
        if relation is None or relation.to_many or len(relation.targets) != 1 or resource is None:
            continue
        parent = contract.resources[relation.targets[0]]
        for derived in parent.derived_properties.values():
            inverse = parent.relations.get(derived.path[0]) if derived.kind == "count" else None
            if inverse is not None and inverse.inverse == relation.name and inverse.targets == (resource.name,):
                yield ParentCount(field, parent, derived)


def _affects_count(contract: Contract, operation: Operation) -> bool:
    return is_create(contract, operation) and any(True for _ in _find_parent_counts(contract, operation))


def _check_counts_follow_writes(case: Case) -> Iterator[CheckResult]:
    """One more with the child, and one less without it."""
    session = case.session
    for parent_count in _find_parent_counts(session.contract, case.operation):
        location = select_least_certain(case, (parent_count.derived.pointer, None), (case.operation.pointer, None))
        requirement = case.build_requirement(
            *location, parameter=f"{parent_count.parent.name}.{parent_count.derived.name}"
        )
        parent = session.shared_record(parent_count.parent.name)
        count_before = _read_count(session, parent, parent_count.derived)
        child = session.create(case.operation.resource or "", {parent_count.field.name: parent.key})
        if not _matches_conditions(parent_count.derived, child.body):
            yield case.skip(requirement, "the record that create makes is not of those that are counted")
            continue
        message = _wait_for_count(session, parent, parent_count.derived, count_before + 1, "made")
        if not message:
            session.delete(child.resource, child.key)
            message = _wait_for_count(session, parent, parent_count.derived, count_before, "deleted")
        if message and _list_confirms_count(session, parent_count, parent, child):
            yield case.skip(requirement, "the list changed while it was looked at")
        else:
            yield case.build_result(requirement, message, child.exchange)


def _check_counts_from_zero(case: Case) -> Iterator[CheckResult]:
    """A parent that nothing leads to counts 0, then 1 and 2, where it is retrieved and where it is listed."""
    session = case.session
    for parent_count in _find_parent_counts(session.contract, case.operation):
        location = select_least_certain(case, (parent_count.derived.pointer, None), (case.operation.pointer, None))
        requirement = case.build_requirement(
            *location, parameter=f"{parent_count.parent.name}.{parent_count.derived.name}"
        )
        parent = session.create(parent_count.parent.name)
        children: list[CreatedRecord] = []
        message = _find_count_problem(session, parent, parent_count.derived, 0)
        while not message and len(children) < 2:
            children.append(session.create(case.operation.resource or "", {parent_count.field.name: parent.key}))
            if not _matches_conditions(parent_count.derived, children[-1].body):
                break
            message = _find_count_problem(session, parent, parent_count.derived, len(children))
        if not message and len(children) < 2:
            yield case.skip(requirement, "the record that create makes is not of those that are counted")
        elif (
            message
            and children
            and _fetch_listed_total(session, parent_count, parent, children[-1]) not in (None, len(children))
        ):
            yield case.skip(requirement, "the list changed while it was looked at")
        else:
            yield case.build_result(requirement, message, *(child.exchange for child in children[-1:] or [parent]))


def _find_count_problem(session: Session, parent: CreatedRecord, derived: DerivedProperty, expected: int) -> str:
    """What a fresh record shows wrong of a count, retrieved and on the first page of its list, or ""."""
    listing = session.operation(parent.resource, "list")

    def find_problem() -> str:
        actual = _read_count(session, parent, derived)
        if actual != expected:
            return f"a fresh {parent.resource} shows {derived.name} {actual} where retrieved, due: {expected}"
        key = session.contract.resources[parent.resource].key_attribute
        rows = (
            Listing(session, listing).fetch(*Listing(session, listing).build_largest_page_query()).rows
            if listing
            else []
        )
        row = next((row for row in rows if row.get(key) == parent.key), {})
        if parse_integer(row.get(derived.name, expected)) != expected:
            return f"a fresh {parent.resource} shows {derived.name} {row[derived.name]} where listed, due: {expected}"
        return ""

    return session.wait_until(find_problem)


def _list_confirms_count(
    session: Session, parent_count: ParentCount, parent: CreatedRecord, child: CreatedRecord
) -> bool:
    """Whether the list of what is counted has as many: then somebody else made one meanwhile."""
    listed_total = _fetch_listed_total(session, parent_count, parent, child)
    return not parent_count.derived.where and listed_total == _read_count(session, parent, parent_count.derived)


def _fetch_listed_total(
    session: Session, parent_count: ParentCount, parent: CreatedRecord, child: CreatedRecord
) -> int | None:
    """How many the list names that is narrowed to the parent; None where it cannot be."""
    listing = session.operation(child.resource, "list")
    path = (
        parent_count.field.relation_setter.relation if parent_count.field.relation_setter else "",
        parent_count.parent.key_attribute,
    )
    for parameter in listing.query_parameters if listing else ():
        if listing and parameter.x_query and parameter.x_query.role == "filter" and parameter.x_query.paths[0] == path:
            return Listing(session, listing).fetch((parameter.name, format_query_value(parent.key))).total
    return None


def _matches_conditions(derived: DerivedProperty, record: Mapping[str, Any]) -> bool:
    return all(record.get(name) in values for name, values in derived.where.items())


def _wait_for_count(
    session: Session, parent: CreatedRecord, derived: DerivedProperty, expected: int, action: str
) -> str:
    def find_problem() -> str:
        actual = _read_count(session, parent, derived)
        return (
            ""
            if actual == expected
            else f"{derived.name} is {actual} after a record was {action} that it counts, due: {expected}"
        )

    return session.wait_until(find_problem)


def _read_count(session: Session, parent: CreatedRecord, derived: DerivedProperty) -> int:
    """What the parent shows. Raises CannotMake when it does not show it as a number."""
    record, _ = retrieve_record(session, parent.resource, parent.key)
    value = record.get(derived.name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise SkipCheck(f"the {parent.resource} does not show {derived.name}")
    return int(value)


# Embedded records -----------------------------------------------------------------------------------------------


def _check_embedded_updates(case: Case) -> Iterator[CheckResult]:
    """After an update, wherever the record is embedded in the run's records, it shows what was sent."""
    session, operation = case.session, case.operation
    resource = session.resource(operation)
    record = session.create(resource.name)
    reads = list(_iter_embedding_reads(session, record))
    change = next(iter(_iter_text_changes(case, resource)), None)
    if change is None:
        raise SkipCheck(not_testable("the contract has no field to change that comes back as it was sent"))
    name, value = change
    exchange = session.send(operation, path={operation.path_parameter_names[0]: record.key}, body={name: value})
    if not exchange.response.ok:
        raise SkipCheck(f"{operation.id} answered {exchange.response.status}")
    has_evaluated = False
    for read_operation, path_values, query in reads:
        for result in _evaluate_embedded_updates(case, record, (name, value), read_operation, path_values, query):
            has_evaluated = True
            yield result
    if not has_evaluated:
        yield case.skip(
            case.build_requirement(),
            not_testable(f"the contract has no record of the run's that embeds a {resource.name}"),
        )


def _iter_text_changes(case: Case, resource: Resource) -> Iterator[tuple[str, Any]]:
    for field, _ in iter_round_trip_fields(case, resource):
        schema = case.session.payloads.resolve_schema(field.schema)
        if schema.get("type") == "string" and not schema.keys() & {"enum", "format", "pattern"}:
            yield field.name, case.session.payloads.generate_value(field.schema, field.name)


EmbedQuery = tuple[tuple[str, str], ...]


def _iter_embedding_reads(
    session: Session, record: CreatedRecord
) -> Iterator[tuple[Operation, Mapping[str, Any], EmbedQuery]]:
    """(operation, path, query) of answers that may embed a record: of new children, and of its own parent."""
    for source, relation in session.contract.find_relations_to(record.resource):
        try:
            child = create_child(session, source.name, relation, record)
        except SkipCheck:
            continue
        yield from _iter_record_reads(session, source.name, child.key, (relation.name, record))
    for field in _find_reference_fields(session, record.resource):
        parent_relation = session.payloads.find_relation(
            session.creator(record.resource), field.relation_setter.relation if field.relation_setter else ""
        )
        if field.name in record.request_body and len(parent_relation.targets) == 1 and not parent_relation.to_many:
            yield from _iter_record_reads(session, parent_relation.targets[0], record.request_body[field.name], None)


def _find_reference_fields(session: Session, resource: str) -> list[BodyField]:
    create_operation = session.creator(resource)
    return [
        f
        for f in (create_operation.request_body.fields.values() if create_operation.request_body else ())
        if f.relation_setter and not f.relation_setter.discriminator
    ]


def _iter_record_reads(
    session: Session, resource: str, key: Any, parent_filter: tuple[str, CreatedRecord] | None
) -> Iterator[tuple[Operation, Mapping[str, Any], EmbedQuery]]:
    retrieve_operation, listing = session.operation(resource, "retrieve"), session.operation(resource, "list")
    if retrieve_operation is not None:
        yield (
            retrieve_operation,
            {retrieve_operation.path_parameter_names[0]: key},
            build_full_include_query(session, retrieve_operation),
        )
    if listing is not None and parent_filter is not None:
        relation, record = parent_filter
        path = (relation, session.contract.resources[record.resource].key_attribute)
        for parameter in listing.query_parameters:
            if parameter.x_query and parameter.x_query.role == "filter" and parameter.x_query.paths[0] == path:
                yield listing, {}, (*build_full_include_query(session, listing), (parameter.name, str(record.key)))
                return


def _evaluate_embedded_updates(
    case: Case,
    record: CreatedRecord,
    change: tuple[str, Any],
    read_operation: Operation,
    path_values: Mapping[str, Any],
    query: EmbedQuery,
) -> Iterator[CheckResult]:
    """One outcome for each place at which an answer embeds the record."""
    session, (name, value) = case.session, change
    key = session.contract.resources[record.resource].key_attribute
    exchanges: list[Exchange] = []

    def fetch_embedded() -> dict[str, tuple[NestedRecord, Any]]:
        exchanges.append(session.send(read_operation, path=path_values, query=query))
        records = session.records(read_operation, exchanges[-1])
        matching = (
            s
            for s in records
            if s.nesting and s.view.resource == record.resource and equal(s.record.get(key), record.key)
        )
        return {nested.location: (nested, nested.record[name]) for nested in matching if name in nested.record}

    for dotted_path, (nested, _) in fetch_embedded().items():

        def find_problem(dotted_path: str = dotted_path) -> str:
            current = fetch_embedded().get(dotted_path)
            if current is None or contains(value, current[1]):
                return ""
            return f"{dotted_path}.{name} is {truncate(current[1])} after the update to {truncate(value)}"

        relation = find_embedding_relation(session.contract, nested)
        requirement = case.build_requirement(
            relation.pointer if relation else None, None, f"{read_operation.id} {dotted_path}"
        )
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
