"""Checks that compare computed counts, sums and maxima with the listed records, also after actions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.support.action_calls import is_action, perform_action
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import Row
from conformance.checks.support.parameters import retrieve_with_relations
from conformance.checks.support.values import contains, equal, has_action
from conformance.errors import SkipCheck, not_testable
from conformance.model.contradictions import compute_aggregate
from conformance.results import CheckResult, Requirement
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import Contract, DerivedProperty, Operation, Parameter, Relation, Resource

AGGREGATE_KINDS = ("count", "sum", "max")
MAX_EXISTING_RECORDS = 4  # that are compared for one aggregate
MAX_PAGES = 3  # of listed records for one aggregate
REFERRING_RECORDS = 2  # that are created for one relation


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A count, sum or maximum of the records that refer to a record.

    `path`: names of the property and of the group around it. `listing`: lists the referring records. `filter`: its
    parameter that selects them by the key of the record that they refer to.
    """

    path: tuple[str, ...]
    derived: DerivedProperty
    relation: Relation
    listing: Operation
    filter: Parameter

    def read(self, body: Any) -> Any:
        """Return the value in a record; `...` if the record lacks the property."""
        for name in self.path:
            if not isinstance(body, Mapping) or name not in body:
                return ...
            body = body[name]
        return body

    def fetch_rows(self, session: Session, key: Any) -> list[Row]:
        """Return the listed records that refer to a record. Raises SkipCheck."""
        is_array = session.payloads.resolve_schema(self.filter.schema).get("type") == "array"
        rows = session.records.rows(self.listing, {self.filter.name: [key] if is_array else key}, pages=MAX_PAGES)
        return list(rows)


def find_aggregates(
    contract: Contract, resource: Resource, properties: Mapping[str, DerivedProperty]
) -> Iterator[Aggregate]:
    """Yield the aggregates among the properties of a resource whose referring records can be listed."""
    for path, derived in _iter_derived(properties):
        relation = resource.relations.get(derived.path[0]) if derived.path else None
        if derived.kind not in AGGREGATE_KINDS or relation is None or relation.inverse is None:
            continue
        listing = contract.find_operation(relation.targets[0], "list") if len(relation.targets) == 1 else None
        parameter = _find_filter(listing, (relation.inverse, resource.key_attribute)) if listing else None
        if listing is not None and parameter is not None:
            yield Aggregate(path, derived, relation, listing, parameter)


def _iter_derived(properties: Mapping[str, DerivedProperty]) -> Iterator[tuple[tuple[str, ...], DerivedProperty]]:
    for name, derived in properties.items():
        yield (name,), derived
        yield from (((name, part_name), part) for part_name, part in derived.parts.items())


@dataclass(frozen=True, slots=True)
class AggregateLocation:
    """Where a retrieved record contains aggregates: in itself (`relation` is None), or in a record that it embeds.

    `resource`: the resource that has the aggregates.
    """

    resource: Resource
    relation: Relation | None
    aggregates: tuple[Aggregate, ...]

    def find_body(self, body: Any) -> Any:
        """Return the record with the aggregates: `body`, or the record that it embeds."""
        return body.get(self.relation.name) if self.relation is not None and isinstance(body, Mapping) else body


def find_aggregate_locations(contract: Contract, operation: Operation) -> Iterator[AggregateLocation]:
    """Yield the locations of aggregates in the response of a retrieve operation."""
    view = contract.views.get(operation.envelope.view_name or "")
    resource = contract.resources.get(operation.resource or "")
    if view is None or resource is None or view.resource != resource.name:
        return
    candidates: list[tuple[Resource, Relation | None, Mapping[str, DerivedProperty]]]
    candidates = [(resource, None, {**resource.derived_properties, **view.derived_properties})]
    for relation in resource.relations.values():
        target_view = contract.views.get(relation.target_views.get(relation.targets[0], ""))
        if relation.is_stored and not relation.to_many and len(relation.targets) == 1 and target_view is not None:
            candidates.append((contract.resources[relation.targets[0]], relation, target_view.derived_properties))
    for owner, embedding, properties in candidates:
        aggregates = tuple(find_aggregates(contract, owner, properties))
        if aggregates:
            yield AggregateLocation(owner, embedding, aggregates)


def _find_filter(listing: Operation, path: tuple[str, ...]) -> Parameter | None:
    for parameter in listing.query_parameters:
        x_query = parameter.x_query
        if x_query and (x_query.role, x_query.operator, x_query.paths) == ("filter", "eq", (path,)):
            return parameter
    return None


# Retrieve


@check(
    "aggregate-matches-list",
    "A computed count, sum or maximum equals that of the listed records.",
    Category.RELATIONS,
    lambda c, o: has_action("retrieve")(c, o) and any(True for _ in find_aggregate_locations(c, o)),
    affected_by_other_clients=True,
)
def check_aggregates(case: Case) -> Iterator[CheckResult]:
    """Compare the aggregates of a record of the run, and of the existing records with the largest values."""
    for location in find_aggregate_locations(case.session.contract, case.operation):
        own_keys = None
        with suppress(SkipCheck):
            own_keys = _create_records(case, location)
        for aggregate in location.aggregates:
            compared = list(_compare_records(case, location, aggregate, own_keys))
            failed = [result for result in compared if result.message]
            yield from failed[:1] or compared[:1]
            if not compared:
                reason = not_testable(
                    "no record has both the aggregate and a list of the records that it is computed from"
                )
                yield case.skip(_build_requirement(case, location, aggregate), reason)


def _create_records(case: Case, location: AggregateLocation) -> tuple[Any, Any]:
    """Create a record and others that refer to it, and call the actions of one of these.

    Returns the keys of the record to retrieve and of the record with the aggregates. Raises SkipCheck.
    """
    session = case.session
    key = session.records.create(location.resource.name).key
    referring = {(a.relation.targets[0], a.relation.inverse or "") for a in location.aggregates}
    for name, inverse in sorted(referring):
        with suppress(SkipCheck):
            created = [_create_referring(session, name, inverse, key) for _ in range(REFERRING_RECORDS)]
            _change_state(session, name, created[0])
    if location.relation is None:
        return key, key
    return _create_referring(session, case.operation.resource or "", location.relation.name, key), key


def _create_referring(session: Session, resource: str, relation: str, key: Any) -> Any:
    """Create a record that refers to another; return its key. Raises SkipCheck."""
    for field in session.operations.creator(resource).body_fields.values():
        setter = field.relation_setter
        if setter is not None and setter.relation == relation and setter.discriminator is None:
            return session.records.create(resource, {field.name: key}).key
    raise SkipCheck(not_testable(f"the contract defines no way to set {relation} of a {resource}"))


def _change_state(session: Session, resource: str, key: Any) -> None:
    """Call each action of a record that has no body and no external effects. The target may reject it."""
    for operation in session.contract.operations.values():
        is_simple = (
            operation.request_body is None and not operation.effects and len(operation.path_parameter_names) == 1
        )
        if operation.resource == resource and is_simple and is_action(session.contract, operation):
            session.client.send(operation, path={operation.path_parameter_names[0]: key})


def _compare_records(
    case: Case, location: AggregateLocation, aggregate: Aggregate, own_keys: tuple[Any, Any] | None
) -> Iterator[CheckResult]:
    if own_keys is not None:
        yield from _compare(case, location, aggregate, own_keys, is_own=True)
    for keys in _find_largest(case, location, aggregate):
        yield from _compare(case, location, aggregate, keys, is_own=False)


def _find_largest(case: Case, location: AggregateLocation, aggregate: Aggregate) -> list[tuple[Any, Any]]:
    """Return the existing records with the largest values, largest first.

    Each is a tuple: key of the record to retrieve, key of the record with the aggregate.
    """
    session, resource = case.session, case.session.operations.resource(case.operation)
    listing = session.operations.find(resource.name, "list")
    own = {created.key for created in session.write_log.created_records}
    values: dict[Any, tuple[float, Any]] = {}
    for row in session.records.rows(listing, {}, pages=1) if listing is not None else ():
        body = location.find_body(row)
        value, key = aggregate.read(body), row.get(resource.key_attribute)
        subject_key = body.get(location.resource.key_attribute) if isinstance(body, Mapping) else None
        if isinstance(value, (int, float)) and None not in (key, subject_key) and not own & {key, subject_key}:
            values.setdefault(subject_key, (value, key))
    largest = sorted(values.items(), key=lambda item: -item[1][0])
    return [(key, subject_key) for subject_key, (_, key) in largest[:MAX_EXISTING_RECORDS]]


def _compare(
    case: Case, location: AggregateLocation, aggregate: Aggregate, keys: tuple[Any, Any], *, is_own: bool
) -> Iterator[CheckResult]:
    """Compare one aggregate of one record with the list; yields nothing if the responses lack one of them.

    `keys`: of the record to retrieve, and of the record with the aggregate. `is_own`: created by the run, so that no
    other client changes it: a difference is then a contradiction.
    """
    exchanges: list[Exchange] = []
    has_both = False

    def find_problem() -> str:
        nonlocal has_both
        retrieve = case.session.operations.require(case.operation.resource or "", "retrieve")
        body, exchange = retrieve_with_relations(case.session, retrieve, keys[0])
        exchanges.append(exchange)
        actual, rows = aggregate.read(location.find_body(body)), aggregate.fetch_rows(case.session, keys[1])
        expected = compute_aggregate(aggregate.derived, rows)
        has_both = actual is not ... and expected is not None and _refer_to(aggregate, rows, keys[1])
        if not has_both or contains(expected, actual):
            return ""
        source = f"{aggregate.listing.path}?{aggregate.filter.name}={keys[1]}"
        return f"{_format_name(location, aggregate)}: got {actual}, expected {expected} as in {source}"

    with suppress(SkipCheck):
        message = case.session.client.wait_until(find_problem, is_delay_of_write=False)
        if has_both:
            result = case.build_result(_build_requirement(case, location, aggregate), message, exchanges[-1])
            yield replace(result, is_contradiction=bool(message) and is_own)


def _format_name(location: AggregateLocation, aggregate: Aggregate) -> str:
    return ".".join((*([location.relation.name] if location.relation else []), *aggregate.path))


def _build_requirement(case: Case, location: AggregateLocation, aggregate: Aggregate) -> Requirement:
    return case.build_requirement(aggregate.derived.pointer, None, _format_name(location, aggregate))


def _refer_to(aggregate: Aggregate, rows: Sequence[Row], key: Any) -> bool:
    """Whether no listed record refers to another record, which would show that the filter is ignored."""
    name = aggregate.filter.x_query.paths[0][-1] if aggregate.filter.x_query is not None else ""
    related = [row.get(aggregate.relation.inverse or "") for row in rows]
    return all(equal(record.get(name, key), key) for record in related if isinstance(record, Mapping))


# Actions


@check(
    "action-is-counted",
    "After an action, the computed counts of its record include what the action created.",
    Category.ACTIONS,
    lambda c, o: is_action(c, o) and len(o.path_parameter_names) == 1 and _is_counting(c, o),
    writes=True,
)
def check_counted_action(case: Case) -> Iterator[CheckResult]:
    """Compare the aggregates of the record with the lists, and the counts of the action with their values before it."""
    action = perform_action(case)
    if action.record is None:
        raise SkipCheck(not_testable("the action has no record"))
    key = action.record.key
    location = _find_own_location(case.session.contract, case.operation)
    if location is not None:
        for aggregate in location.aggregates:
            yield from _compare(case, location, aggregate, (key, key), is_own=True)
    for name, derived in _find_own_counts(case.session.contract, case.operation):
        yield _compare_with_before(case, name, derived, key, action.body_before)


def _is_counting(contract: Contract, operation: Operation) -> bool:
    return _find_own_location(contract, operation) is not None or bool(_find_own_counts(contract, operation))


def _find_own_location(contract: Contract, operation: Operation) -> AggregateLocation | None:
    retrieve = contract.find_operation(operation.resource, "retrieve")
    locations = find_aggregate_locations(contract, retrieve) if retrieve is not None else ()
    return next((location for location in locations if location.relation is None), None)


def _find_own_counts(contract: Contract, operation: Operation) -> list[tuple[str, DerivedProperty]]:
    """Return the counts of the relation that an action is named after: ``POST .../run`` and the number of runs."""
    resource = contract.resources.get(operation.resource or "")
    action_name = operation.path.rstrip("/").rpartition("/")[2]
    return [
        (name, derived)
        for name, derived in (resource.derived_properties.items() if resource else ())
        if derived.kind == "count" and not derived.where and derived.path and derived.path[0] == f"{action_name}s"
    ]


def _compare_with_before(
    case: Case, name: str, derived: DerivedProperty, key: Any, before: Mapping[str, Any]
) -> CheckResult:
    retrieve = case.session.operations.require(case.operation.resource or "", "retrieve")
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        body, exchange = retrieve_with_relations(case.session, retrieve, key)
        exchanges.append(exchange)
        value = body.get(name) if isinstance(body, Mapping) else None
        is_comparable = isinstance(value, int) and isinstance(before.get(name), int)
        return (
            f"{name}: got {value}, expected more than {before[name]}" if is_comparable and value <= before[name] else ""
        )

    message = case.session.client.wait_until(find_problem)
    return case.build_result(case.build_requirement(derived.pointer, None, name), message, exchanges[-1])
