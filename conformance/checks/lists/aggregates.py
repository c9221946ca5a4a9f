"""Checks of computed counts, sums and maxima: they equal those of the listed records, before and after actions."""

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
from conformance.model.contradictions import evaluate_rows
from conformance.results import CheckResult, Requirement
from conformance.session.session import Session
from conformance.transport.messages import Exchange
from spec.model import Contract, DerivedProperty, Operation, Parameter, Relation, Resource

AGGREGATE_KINDS = ("count", "sum", "max")
MAX_ROWS = 4  # existing records that are compared
MAX_PAGES = 3  # of listed records for one aggregate
RECORDS_EACH = 2  # that refer to the record of the run
NOT_LISTABLE = "the contract defines no list of the aggregated records of one record"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A count, sum or maximum of the records that refer to a record, and the list of these.

    `path`: names that lead to the property. `filter`: selects the records by the key of the one that they refer to.
    """

    path: tuple[str, ...]
    derived: DerivedProperty
    relation: Relation
    listing: Operation
    filter: Parameter

    def read(self, body: Any) -> Any:
        """The value in a record; `...` if the record does not have it."""
        for name in self.path:
            if not isinstance(body, Mapping) or name not in body:
                return ...
            body = body[name]
        return body

    def fetch_rows(self, session: Session, key: Any) -> list[Row]:
        """The listed records that refer to a record. Raises SkipCheck."""
        is_array = session.payloads.resolve_schema(self.filter.schema).get("type") == "array"
        rows = session.records.rows(self.listing, {self.filter.name: [key] if is_array else key}, pages=MAX_PAGES)
        return list(rows)


def find_aggregates(
    contract: Contract, resource: Resource, properties: Mapping[str, DerivedProperty]
) -> Iterator[Aggregate]:
    """Yield the computed properties of a resource whose records can be listed."""
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
class Place:
    """Where a retrieved record shows aggregates: in itself (`relation` is None), or in a record that it embeds.

    `resource`: whose records have the aggregates.
    """

    resource: Resource
    relation: Relation | None
    aggregates: tuple[Aggregate, ...]

    def find_body(self, body: Any) -> Any:
        """The record with the aggregates in a retrieved or listed record."""
        return body.get(self.relation.name) if self.relation is not None and isinstance(body, Mapping) else body


def find_places(contract: Contract, operation: Operation) -> Iterator[Place]:
    """Yield the places of a retrieve operation that have aggregates."""
    view = contract.views.get(operation.envelope.view_name or "")
    resource = contract.resources.get(operation.resource or "")
    if view is None or resource is None or view.resource != resource.name:
        return
    places: list[tuple[Resource, Relation | None, Mapping[str, DerivedProperty]]]
    places = [(resource, None, {**resource.derived_properties, **view.derived_properties})]
    for relation in resource.relations.values():
        target_view = contract.views.get(relation.target_views.get(relation.targets[0], ""))
        if relation.is_stored and not relation.to_many and len(relation.targets) == 1 and target_view is not None:
            places.append((contract.resources[relation.targets[0]], relation, target_view.derived_properties))
    for owner, embedding, properties in places:
        aggregates = tuple(find_aggregates(contract, owner, properties))
        if aggregates:
            yield Place(owner, embedding, aggregates)


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
    lambda c, o: has_action("retrieve")(c, o) and any(True for _ in find_places(c, o)),
    affected_by_other_clients=True,
)
def check_aggregates(case: Case) -> Iterator[CheckResult]:
    """Compare the aggregates of a record of the run, and of the existing records that have the largest ones."""
    for place in find_places(case.session.contract, case.operation):
        own_keys = None
        with suppress(SkipCheck):
            own_keys = _create_records(case, place)
        for aggregate in place.aggregates:
            compared = list(_compare_records(case, place, aggregate, own_keys))
            failed = [result for result in compared if result.message]
            yield from failed[:1] or compared[:1]
            if not compared:
                reason = not_testable("no record shows both the value and the records that it is computed from")
                yield case.skip(_build_requirement(case, place, aggregate), reason)


def _create_records(case: Case, place: Place) -> tuple[Any, Any]:
    """Create a record, others that refer to it, and act on one of these.

    Returns the keys of the record to retrieve and of the record with the aggregates. Raises SkipCheck.
    """
    session = case.session
    key = session.records.create(place.resource.name).key
    referring = {(a.relation.targets[0], a.relation.inverse or "") for a in place.aggregates}
    for name, inverse in sorted(referring):
        with suppress(SkipCheck):
            created = [_create_referring(session, name, inverse, key) for _ in range(RECORDS_EACH)]
            _change_state(session, name, created[0])
    if place.relation is None:
        return key, key
    return _create_referring(session, case.operation.resource or "", place.relation.name, key), key


def _create_referring(session: Session, resource: str, relation: str, key: Any) -> Any:
    """Create a record that refers to another; return its key. Raises SkipCheck."""
    for field in session.operations.creator(resource).body_fields.values():
        setter = field.relation_setter
        if setter is not None and setter.relation == relation and setter.discriminator is None:
            return session.records.create(resource, {field.name: key}).key
    raise SkipCheck(not_testable(f"the contract defines no way to set {relation} of a {resource}"))


def _change_state(session: Session, resource: str, key: Any) -> None:
    """Call each action without a body and without effects on a record; a state may forbid it."""
    for operation in session.contract.operations.values():
        is_simple = (
            operation.request_body is None and not operation.effects and len(operation.path_parameter_names) == 1
        )
        if operation.resource == resource and is_simple and is_action(session.contract, operation):
            session.client.send(operation, path={operation.path_parameter_names[0]: key})


def _compare_records(
    case: Case, place: Place, aggregate: Aggregate, own_keys: tuple[Any, Any] | None
) -> Iterator[CheckResult]:
    if own_keys is not None:
        yield from _compare(case, place, aggregate, own_keys, is_own=True)
    for keys in _find_largest(case, place, aggregate):
        yield from _compare(case, place, aggregate, keys, is_own=False)


def _find_largest(case: Case, place: Place, aggregate: Aggregate) -> list[tuple[Any, Any]]:
    """The keys of listed records of others and of their records with the aggregate, the largest values first."""
    session, resource = case.session, case.session.operations.resource(case.operation)
    listing = session.operations.find(resource.name, "list")
    own = {created.key for created in session.write_log.created_records}
    shown: dict[Any, tuple[float, Any]] = {}
    for row in session.records.rows(listing, {}, pages=1) if listing is not None else ():
        body = place.find_body(row)
        value, key = aggregate.read(body), row.get(resource.key_attribute)
        subject_key = body.get(place.resource.key_attribute) if isinstance(body, Mapping) else None
        if isinstance(value, (int, float)) and None not in (key, subject_key) and not own & {key, subject_key}:
            shown.setdefault(subject_key, (value, key))
    largest = sorted(shown.items(), key=lambda item: -item[1][0])
    return [(key, subject_key) for subject_key, (_, key) in largest[:MAX_ROWS]]


def _compare(
    case: Case, place: Place, aggregate: Aggregate, keys: tuple[Any, Any], *, is_own: bool
) -> Iterator[CheckResult]:
    """Compare one aggregate of one record, if both sides are shown. Of its own records, the run knows all writes.

    `keys`: of the record to retrieve, and of the record with the aggregate.
    """
    exchanges: list[Exchange] = []
    is_shown = False

    def find_problem() -> str:
        nonlocal is_shown
        retrieve = case.session.operations.require(case.operation.resource or "", "retrieve")
        body, exchange = retrieve_with_relations(case.session, retrieve, keys[0])
        exchanges.append(exchange)
        actual, rows = aggregate.read(place.find_body(body)), aggregate.fetch_rows(case.session, keys[1])
        expected = evaluate_rows(aggregate.derived, rows)
        is_shown = actual is not ... and expected is not None and _refer_to(aggregate, rows, keys[1])
        if not is_shown or contains(expected, actual):
            return ""
        source = f"{aggregate.listing.path}?{aggregate.filter.name}={keys[1]}"
        return f"{_name(place, aggregate)}: got {actual}, expected {expected} as in {source}"

    with suppress(SkipCheck):
        message = case.session.client.wait_until(find_problem, is_delay_of_write=False)
        if is_shown:
            result = case.build_result(_build_requirement(case, place, aggregate), message, exchanges[-1])
            yield replace(result, is_contradiction=bool(message) and is_own)


def _name(place: Place, aggregate: Aggregate) -> str:
    return ".".join((*([place.relation.name] if place.relation else []), *aggregate.path))


def _build_requirement(case: Case, place: Place, aggregate: Aggregate) -> Requirement:
    return case.build_requirement(aggregate.derived.pointer, None, _name(place, aggregate))


def _refer_to(aggregate: Aggregate, rows: Sequence[Row], key: Any) -> bool:
    """Whether no listed record shows that it refers to another one: the filter has an effect."""
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
    """Compare the aggregates of the record with the lists, and those that count the action itself with before."""
    action = perform_action(case)
    if action.record is None:
        raise SkipCheck(not_testable("the action has no record"))
    key = action.record.key
    place = _find_own_place(case.session.contract, case.operation)
    if place is not None:
        for aggregate in place.aggregates:
            yield from _compare(case, place, aggregate, (key, key), is_own=True)
    for name, derived in _find_own_counts(case.session.contract, case.operation):
        yield _compare_with_before(case, name, derived, key, action.body_before)


def _is_counting(contract: Contract, operation: Operation) -> bool:
    return _find_own_place(contract, operation) is not None or bool(_find_own_counts(contract, operation))


def _find_own_place(contract: Contract, operation: Operation) -> Place | None:
    retrieve = contract.find_operation(operation.resource, "retrieve")
    places = find_places(contract, retrieve) if retrieve is not None else ()
    return next((place for place in places if place.relation is None), None)


def _find_own_counts(contract: Contract, operation: Operation) -> list[tuple[str, DerivedProperty]]:
    """The counts of the relation that an action is named after: POST .../run and the number of runs."""
    resource = contract.resources.get(operation.resource or "")
    word = operation.path.rstrip("/").rpartition("/")[2]
    return [
        (name, derived)
        for name, derived in (resource.derived_properties.items() if resource else ())
        if derived.kind == "count" and not derived.where and derived.path and derived.path[0] == f"{word}s"
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
        return f"{name}: got {value}, expected more than before" if is_comparable and value <= before[name] else ""

    message = case.session.client.wait_until(find_problem)
    return case.build_result(case.build_requirement(derived.pointer, None, name), message, exchanges[-1])
