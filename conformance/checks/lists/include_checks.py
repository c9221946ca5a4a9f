"""Checks of embedded relations: whether they match the retrieved records, and relation counts."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from conformance.checks.lists.read_operations import ReadOperation, is_whoami, returns_view
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import (
    Evaluation,
    ListChangedDuringCheck,
    Listing,
    QueryPairs,
    Row,
    evaluate_requirement,
    is_list,
    poll,
)
from conformance.checks.support.parameters import (
    build_full_include_query,
    find_parameter,
    get_enum_values,
    retrieve_with_relations,
)
from conformance.checks.support.values import format_query_value, loosely_equal
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, DerivedProperty, Operation, Relation, Resource
from spec.property_paths import resolve_count

GONE_STATUSES = (404, 410)
MAX_COUNTED_ROWS = 5  # rows whose counts are compared with lists


# Embedded records


@check(
    "embedded-matches-retrieved",
    "An embedded record has the same values as the record when it is retrieved.",
    Category.RELATIONS,
    returns_view,
    affected_by_other_clients=True,
)
def check_embedded_records(case: Case) -> Iterator[CheckResult]:
    """Compare, for each relation to one resource, an embedded record with the record when it is retrieved.

    The account needs no retrieve operation: the session knows the account of the token from the start of the run.
    """
    read = ReadOperation.from_case(case)
    rows, _ = read.fetch_rows()
    for relation in read.session.contract.resources[read.view.resource].relations.values():
        is_comparable = len(relation.targets) == 1 and (_is_account(read, relation) or _can_retrieve(read, relation))
        if is_comparable and any(relation.name in row for row in rows):
            requirement = case.build_requirement(relation.pointer, "properties", relation.name)
            yield evaluate_requirement(case, requirement, partial(_evaluate_embedded_with_retry, read, relation))


def _is_account(read: ReadOperation, relation: Relation) -> bool:
    account = read.session.contract.account_resource
    return account is not None and relation.targets == (account.name,)


def _can_retrieve(read: ReadOperation, relation: Relation) -> bool:
    return read.session.operations.find(relation.targets[0], "retrieve") is not None


def _evaluate_embedded_with_retry(read: ReadOperation, relation: Relation) -> Evaluation:
    """Evaluate a relation, and confirm a failure by a second evaluation. Raises ListChangedDuringCheck, SkipCheck."""
    evaluation = _evaluate_embedded(read, relation)
    if evaluation[0] and _evaluate_embedded(read, relation)[0] != evaluation[0]:
        raise ListChangedDuringCheck
    return evaluation


def _evaluate_embedded(read: ReadOperation, relation: Relation) -> Evaluation:
    session = read.session
    target = session.contract.resources[relation.targets[0]]
    key = target.key_attribute
    rows, exchange = read.fetch_rows()
    embedded = [record for row in rows for record in _iter_records(row.get(relation.name)) if key in record]
    if not embedded:
        raise SkipCheck(f"no row embeds a {target.name}")
    if not relation.to_many and not is_whoami(session.contract, read.operation):
        evaluation = _evaluate_relation_consistency(read, relation, rows, exchange)
        if evaluation[0]:
            return evaluation
    if _is_account(read, relation):
        # From the start of the run, without the update timestamp, which using the account may change.
        record = {
            n: v for n, v in session.client.identity().items() if n not in target.attributes_with_stamp("updated")
        }
        account = next((row for row in embedded if loosely_equal(row[key], record.get(key))), None)
        if account is None:
            raise SkipCheck(f"no row embeds the {target.name} of the token")
        return _describe_difference(relation, target, account, record), (exchange,)
    retrieve_exchange = session.client.retrieve(target.name, embedded[0][key])
    record = session.operations.data(session.operations.require(target.name, "retrieve"), retrieve_exchange)
    status = retrieve_exchange.response.status
    if status in GONE_STATUSES and is_whoami(session.contract, read.operation):
        message = f"{relation.name} is a {target.name} that does not exist: retrieving it returned {status}"
        return message, (exchange, retrieve_exchange)
    if not retrieve_exchange.response.ok or not isinstance(record, dict):
        raise SkipCheck(f"retrieving the embedded {target.name} returned {status}")
    return _describe_difference(relation, target, embedded[0], record), (exchange, retrieve_exchange)


def _evaluate_relation_consistency(
    read: ReadOperation, relation: Relation, rows: list[Row], exchange: Exchange
) -> Evaluation:
    """Compare the record that a relation references in the list and in the retrieved record."""
    session, resource = read.session, read.view.resource
    key = session.contract.resources[resource].key_attribute
    target_key = session.contract.resources[relation.targets[0]].key_attribute
    retrieve, list_operation = session.operations.find(resource, "retrieve"), session.operations.find(resource, "list")
    row = next((row for row in rows if isinstance(row.get(relation.name), dict)), {})
    if retrieve is None or list_operation is None or key not in row:
        return "", (exchange,)
    if read.operation is list_operation:
        other, other_exchange = retrieve_with_relations(session, retrieve, row[key])
    else:
        page = Listing(session, list_operation).fetch_largest(*build_full_include_query(session, list_operation))
        other_exchange = page.exchange
        other = next((r for r in page.rows if r.get(key) == row[key]), None)
    related, other_related = row[relation.name].get(target_key), None
    if isinstance(other, dict) and isinstance(other.get(relation.name), dict):
        other_related = other[relation.name].get(target_key)
    evidence = (exchange, other_exchange)
    if None in (related, other_related) or loosely_equal(other_related, related):
        return "", evidence
    source_name = "retrieved record" if read.operation is list_operation else "list"
    message = f"{relation.name} of {row[key]}: got {related}, expected {other_related} as in the {source_name}"
    return message, evidence


def _describe_difference(relation: Relation, target: Resource, embedded: Row, record: Row) -> str:
    """Describe the first attribute in which an embedded record differs from the record; "" if there is none."""
    for name, attribute in target.attributes.items():
        if name in embedded and name in record and not attribute.write_only:
            value, expected = embedded[name], record[name]
            if not loosely_equal(value, expected):
                return f"{relation.name}.{name}: got {value!r:.80}, expected {expected!r:.80} as in the {target.name}"
    return ""


def _iter_records(value: Any) -> Iterator[Mapping[str, Any]]:
    return (item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict))


# Counts


def _has_counts(contract: Contract, operation: Operation) -> bool:
    view = contract.views.get(operation.envelope.view_name or "")
    has_count = view is not None and any(derived.kind == "count" for derived in view.derived_properties.values())
    return is_list(contract, operation) and has_count


@check(
    "relation-count-correct",
    "A relation count is at least the number of records in the matching list.",
    Category.RELATIONS,
    _has_counts,
    affected_by_other_clients=True,
)
def check_counts(case: Case) -> Iterator[CheckResult]:
    listing = Listing(case.session, case.operation)
    counts = case.session.contract.views[case.operation.envelope.view_name or ""].derived_properties
    queries: dict[str, QueryPairs] = {n: () for n, count in counts.items() if count.kind == "count" and count.required}
    parameter = find_parameter(case.operation, "count")
    for value in get_enum_values(parameter):
        assert parameter is not None
        queries.setdefault(resolve_count(listing.resource, value, ""), ((parameter.name, value),))
    for name, query in queries.items():
        if query and parameter is not None:
            requirement = case.build_requirement(parameter.pointer, parameter=name)
            yield evaluate_requirement(case, requirement, partial(_evaluate_presence, listing, name, query))
        pointer = counts[name].pointer
        requirement = case.build_requirement(pointer, parameter=f"{name} where retrieved")
        evaluate = partial(_evaluate_retrieved_counts, listing, name, query)
        yield evaluate_requirement(case, requirement, evaluate)
        requirement = case.build_requirement(pointer, "x-derived", name)
        yield evaluate_requirement(case, requirement, partial(_evaluate_count, listing, counts[name], query))


def _evaluate_presence(listing: Listing, name: str, query: QueryPairs) -> Evaluation:
    listing.sample()
    page = listing.fetch(*query)
    missing = [key for row, key in zip(page.rows, listing.get_keys(page.rows), strict=True) if name not in row]
    return f"{missing[0]} has no {name}, expected because it is requested" if missing else "", (page.exchange,)


def _evaluate_retrieved_counts(listing: Listing, name: str, query: QueryPairs) -> Evaluation:
    session, resource = listing.session, listing.resource.name
    retrieve = session.operations.require(resource, "retrieve")

    def evaluate() -> Evaluation:
        page = listing.fetch(*query)
        evidence: tuple[Exchange, ...] = ()
        for row, key in list(zip(page.rows, listing.get_keys(page.rows), strict=True))[:MAX_COUNTED_ROWS]:
            exchange = session.client.retrieve(resource, key)
            record = session.operations.data(retrieve, exchange)
            evidence = (page.exchange, exchange)
            if name in row and isinstance(record, dict):
                count, expected = row[name], record.get(name, row[name])
                if not loosely_equal(expected, count):
                    return f"{name} of {key}: got {count} in the list, expected {expected} as in the record", evidence
        return "", evidence

    listing.sample()
    return poll(session, evaluate)


def _evaluate_count(listing: Listing, derived: DerivedProperty, query: QueryPairs) -> Evaluation:
    """Compare a count to the total of the list of counted records."""
    name, relation = derived.name, listing.resource.relations[derived.path[0]]
    if relation.inverse is None and relation.to_many:
        return _evaluate_embedded_count(listing, derived, query)
    listing.sample()
    parent_key = _ensure_parent_with_counted_record(listing, relation)
    page = listing.fetch(*query)
    keyed_rows = zip(page.rows, listing.get_keys(page.rows), strict=True)
    # own parent first: the others may have no record to count
    rows = sorted(keyed_rows, key=lambda pair: pair[1] != parent_key)[:MAX_COUNTED_ROWS]
    for row, key in rows:
        if name not in row:
            return f"{key} has no {name}, expected a count", (page.exchange,)
    counted, parent_filter, conditions = _find_counted_list(listing, relation, derived)
    for row, key in rows:
        counted_page = counted.fetch((parent_filter, format_query_value(key)), *conditions)
        count, expected = row[name], counted_page.total
        # A count may include records that the account cannot list: only a lower count is wrong.
        if isinstance(count, int) and count < expected:
            again = listing.fetch(*query)
            rows_by_key = dict(zip(listing.get_keys(again.rows), again.rows, strict=True))
            if rows_by_key.get(key, {}).get(name) != count:
                raise ListChangedDuringCheck
            message = f"{name} of {key}: got {count}, expected at least {expected} (the total of the list)"
            return message, (again.exchange, counted_page.exchange)
    return "", (page.exchange,)


def _ensure_parent_with_counted_record(listing: Listing, relation: Relation) -> Any:
    """Return the key of the run's own parent, after creating a record that it counts; None if the run has no parent.

    The parent is a record of the list. Without a counted record, its count would be 0, which is never too low.
    """
    with suppress(SkipCheck):
        listing.session.records.shared_record(relation.targets[0])
    record = listing.session.records.shared.get(listing.resource.name)
    return record.key if record else None


def _evaluate_embedded_count(listing: Listing, derived: DerivedProperty, query: QueryPairs) -> Evaluation:
    """Compare a count to the number of embedded records, which may be lower."""
    parameter, relation_name = listing.find_parameter("include"), derived.path[0]
    if parameter and relation_name in get_enum_values(parameter):
        query = (*query, (parameter.name, relation_name))
    listing.sample()
    page = listing.fetch(*query)
    rows = [row for row in page.rows if isinstance(row.get(relation_name), list) and derived.name in row]
    if not rows:
        raise SkipCheck(not_testable(f"the rows have no {relation_name}"))
    for row, key in zip(rows, listing.get_keys(rows), strict=True):
        count, expected = row[derived.name], len(row[relation_name])
        if count < expected:
            message = f"{derived.name} of {key}: got {count}, expected at least {expected} (embedded {relation_name})"
            return message, (page.exchange,)
    return "", (page.exchange,)


def _find_counted_list(
    listing: Listing, relation: Relation, derived: DerivedProperty
) -> tuple[Listing, str, QueryPairs]:
    """Return (list of counted records, its filter by the parent, further query pairs). Raises SkipCheck."""
    session = listing.session
    if relation.inverse is None or len(relation.targets) != 1:
        raise SkipCheck(not_testable("no list can be filtered by the counted relation"))
    counted = Listing(session, session.operations.require(relation.targets[0], "list"))
    parameters = {
        p.x_query.paths[0]: p.name
        for p in counted.iter_filters()
        if p.x_query and p.x_query.operator == "eq" and p.schema.get("type") != "array"
    }
    parent_filter = parameters.get((relation.inverse, listing.resource.key_attribute))
    conditions = [(parameters.get((name,)), values) for name, values in derived.where.items()]
    if parent_filter is None or any(name is None or len(values) != 1 for name, values in conditions):
        raise SkipCheck(not_testable("no list can be filtered by the counted relation"))
    pairs = tuple((str(name), format_query_value(values[0])) for name, values in conditions)
    return counted, parent_filter, pairs
