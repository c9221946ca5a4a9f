"""Checks of metrics: they follow writes, equal the totals of lists, and are the sum of their parts."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck, Listing
from conformance.checks.support.tenancy import UNKNOWN_NUMBER, build_unmatched_value
from conformance.checks.support.values import format_query_value, is_number, parse_integer, parse_utc_date
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.session.record_factory import CreatedRecord
from conformance.session.session import Session
from conformance.transport.messages import Actor, Exchange
from spec.model import BodyField, Contract, Operation, Parameter, Resource

COUNT_WORD = "count"  # part of the enum value that makes a metric count records
CREATED_CHOICE = "created"  # the enum value that makes a metric count created records
TOTAL_PROPERTY = "total"
VALUE_PROPERTY = "value"
RANGE_OPERATORS = ("from", "to")
MAX_COMPARED_FILTERS = 4  # filters that are compared with a list
Argument = Parameter | BodyField


@dataclass(frozen=True, slots=True)
class Metric:
    """An operation and the arguments with which it returns the number of records of a resource."""

    operation: Operation
    resource: Resource
    arguments: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The arguments as a label, unique within the operation."""
        return format_arguments(self.arguments)

    def send(
        self, session: Session, filters: Mapping[str, Any] | None = None, *, actor: Actor = Actor.OWNER
    ) -> Exchange:
        """Send a request for the metric. Raises SkipCheck."""
        arguments = {**self.arguments, **(filters or {})}
        if self.operation.request_body is not None:
            return session.client.send(self.operation, body=arguments, actor=actor)
        return session.client.send(self.operation, query=arguments, actor=actor)

    def fetch(
        self, session: Session, filters: Mapping[str, Any] | None = None, *, actor: Actor = Actor.OWNER
    ) -> tuple[int, Exchange]:
        """Request the total. Raises SkipCheck."""
        exchange = self.send(session, filters, actor=actor)
        value = extract_total(session, self.operation, exchange)
        if value is None:
            raise SkipCheck(f"{self.operation.id} returned {exchange.response.status} without a {TOTAL_PROPERTY}")
        return value, exchange

    def get_arguments(self) -> Collection[Argument]:
        """Return all parameters, or the fields of the body if there is one."""
        return self.operation.body_fields.values() if self.operation.request_body else self.operation.query_parameters

    def iter_equality_filters(self) -> Iterator[tuple[Argument, tuple[str, ...]]]:
        """Yield (argument, path) of each filter for equal values."""
        for item in self.get_arguments():
            if item.x_query and item.x_query.role == "filter" and item.x_query.operator == "eq":
                yield item, item.x_query.paths[0]


def format_arguments(arguments: Mapping[str, Any]) -> str:
    """Return arguments as a label, such as ``status=open limit=1``."""
    return " ".join(f"{name}={value}" for name, value in arguments.items())


def extract_total(session: Session, operation: Operation, exchange: Exchange) -> int | None:
    """Return the total of a successful response, from its envelope or its data."""
    body, data = exchange.response.json, session.operations.data(operation, exchange)
    for container in (body, data) if exchange.response.ok else ():
        if isinstance(container, dict) and parse_integer(container.get(TOTAL_PROPERTY)) is not None:
            return parse_integer(container[TOTAL_PROPERTY])
    return None


def extract_number(session: Session, operation: Operation, exchange: Exchange) -> float | None:
    """Return the total of a successful response, which may have a fraction, from its envelope or its data."""
    body, data = exchange.response.json, session.operations.data(operation, exchange)
    for container in (body, data) if exchange.response.ok else ():
        value = container.get(TOTAL_PROPERTY) if isinstance(container, dict) else None
        if is_number(value):
            return value
    return None


def find_metrics(contract: Contract, operation: Operation) -> Iterator[Metric]:
    """Yield each combination of required arguments that makes an operation count records.

    An argument whose enum values are names of collections selects the resource.
    """
    if operation.is_generic or operation.path_parameter_names or not _returns_total(contract, operation):
        return
    items: Collection[Argument] = operation.query_parameters
    if operation.request_body is not None:
        items = operation.body_fields.values() if operation.has_query_body else ()
    choices = {i.name: get_enum_values(contract, i) for i in items if i.required and i.x_query is None}
    collections = {r.collection: r for r in contract.resources.values()}
    selector = next((name for name, values in choices.items() if values and set(values) <= collections.keys()), None)
    for value in choices.pop(selector) if selector is not None else [None]:
        resource = collections[value] if value is not None else contract.resources.get(operation.resource or "")
        arguments = {name: _select_count_choice(values) for name, values in choices.items()}
        if resource is not None and None not in arguments.values():
            yield Metric(operation, resource, {**({selector: value} if selector else {}), **arguments})


def _returns_total(contract: Contract, operation: Operation) -> bool:
    """Whether a successful response has a total and is no list of records."""
    pointer = operation.envelope.schema_pointer
    if pointer is None or operation.envelope.view_name is not None:
        return False
    document = contract.document
    schema, resolved = document.dereference(document.resolve(pointer), pointer)
    properties = schema.get("properties", {})
    data_schema, _ = document.dereference(properties.get(operation.envelope.data_property or "", {}), resolved)
    return TOTAL_PROPERTY in properties or TOTAL_PROPERTY in data_schema.get("properties", {})


def get_enum_values(contract: Contract, item: Argument) -> list[str]:
    """Return the enum values of an argument, also through references."""
    schema: Mapping[str, Any] = item.schema
    for _ in range(5):
        if len(schema.get("allOf", ())) == 1:
            schema = schema["allOf"][0]
        schema, _at = contract.document.dereference(schema, item.pointer)
    return [str(value) for value in schema.get("enum", ()) if value is not None]


def _select_count_choice(values: list[str]) -> str | None:
    if CREATED_CHOICE in values:
        return CREATED_CHOICE
    return next((value for value in values if COUNT_WORD in value), None)


def _has_metrics(contract: Contract, operation: Operation) -> bool:
    return any(True for _ in find_metrics(contract, operation))


# Writes


@check(
    "metric-follows-writes",
    "A metric increases by one when a counted record is created and decreases by one when it is deleted.",
    Category.METRICS,
    _has_metrics,
    writes=True,
)
def check_metric_follows_writes(case: Case) -> Iterator[CheckResult]:
    """The metric increases by one with a created record and decreases by one without it, as the list total does."""
    for metric in find_metrics(case.session.contract, case.operation):
        requirement = case.build_requirement(parameter=metric.name)
        try:
            message, exchange = _evaluate_write_effect(case.session, metric)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
        else:
            yield case.build_result(requirement, message, exchange)


def _evaluate_write_effect(session: Session, metric: Metric) -> tuple[str, Exchange]:
    listing = Listing(session, session.operations.require(metric.resource.name, "list"))
    session.records.shared_record(metric.resource.name)  # with its parents, so that the write adds one record only
    row_count = listing.fetch().total
    value, _ = metric.fetch(session)
    if listing.fetch().total != row_count:
        raise ListChangedDuringCheck
    record = session.records.create(metric.resource.name)
    message, exchange = _wait_for_value(session, metric, listing, (value + 1, row_count + 1), row_count)
    if message:
        return f"{message} after the create of a counted record", exchange
    if session.records.delete(record.resource, record.key):
        message, exchange = _wait_for_value(session, metric, listing, (value, row_count), row_count + 1)
    return f"{message} after the delete of that record" if message else "", exchange


def _wait_for_value(
    session: Session, metric: Metric, listing: Listing, expected: tuple[int, int], previous_rows: int
) -> tuple[str, Exchange]:
    """Wait for the metric to reach `expected[0]`. Raises ListChangedDuringCheck if another client changes the list.

    `expected`: metric and list total after the write. `previous_rows`: list total before it.
    """
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        row_count = listing.fetch().total
        value, exchange = metric.fetch(session)
        exchanges.append(exchange)
        if value == expected[0]:
            return ""
        if row_count not in (previous_rows, expected[1]) or listing.fetch().total != row_count:
            raise ListChangedDuringCheck
        return f"{TOTAL_PROPERTY}: got {value}, expected {expected[0]}"

    message = session.client.wait_until(find_problem)
    return message, exchanges[-1]


# Lists


@check(
    "metric-matches-list",
    "A metric equals the total of the list with the same filter, for records of the run.",
    Category.METRICS,
    _has_metrics,
    writes=True,
)
def check_metric_equals_list(case: Case) -> Iterator[CheckResult]:
    """Filtered by a record of the run, and by one more value, metric and list have the same total."""
    session = case.session
    for metric in find_metrics(session.contract, case.operation):
        listing = Listing(session, session.operations.require(metric.resource.name, "list"))
        yield from _check_metric_zero(case, metric)
        shared_filter = _find_shared_filter(session, metric, listing)
        if shared_filter is None:
            reason = not_testable("no filter restricts the metric to records of the run")
            yield case.skip(case.build_requirement(parameter=metric.name), reason)
            continue
        item, parameter, key = shared_filter
        arguments, pairs = _as_argument(item, key), ((parameter.name, format_query_value(key)),)
        yield _evaluate_metric_against_list(case, metric, listing, item, (arguments, pairs))
        for other, parameter, value in _iter_refining_filters(session, metric, listing, item):
            refined_pairs = (*pairs, (parameter.name, format_query_value(value)))
            query = ({**arguments, **_as_argument(other, value)}, refined_pairs)
            yield _evaluate_metric_against_list(case, metric, listing, other, query)
        for other, parameter, value in _iter_date_filters(session, metric, listing):
            query = ({**arguments, other.name: value}, (*pairs, (parameter.name, value)))
            yield _evaluate_metric_against_list(case, metric, listing, other, query)


def _check_metric_zero(case: Case, metric: Metric) -> Iterator[CheckResult]:
    """Filtered by a value that no record has, the metric is 0; the target may reject an unknown key."""
    for item, value in _iter_filters_without_matches(metric):
        requirement = case.build_requirement(item.pointer, None, f"{metric.name} {item.name} of nothing".strip())
        try:
            total, exchange = metric.fetch(case.session, _as_argument(item, value))
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
            continue
        message = f"{TOTAL_PROPERTY} with {item.name}={value}: got {total}, expected 0" if total else ""
        yield case.build_result(requirement, message, exchange)
        return


def _iter_filters_without_matches(metric: Metric) -> Iterator[tuple[Argument, Any]]:
    """Yield (argument, value) of filters that match no record: a future date or an unknown key."""
    for item in metric.get_arguments():
        if item.x_query is None or item.x_query.role != "filter":
            continue
        operator, schema = item.x_query.operator, item.schema
        if operator == "from" and schema.get("format") == "date":
            yield item, "2999-12-31"
        elif operator == "eq" and schema.get("format") == "uuid":
            yield item, build_unmatched_value(str(UUID(int=0)))
        elif operator == "eq" and schema.get("items", schema).get("type") == "integer":
            yield item, UNKNOWN_NUMBER


FilterQuery = tuple[Mapping[str, Any], tuple[tuple[str, str], ...]]  # arguments of the metric, query of the list


def _as_argument(item: Argument, value: Any) -> dict[str, Any]:
    return {item.name: [value] if item.schema.get("type") == "array" else value}


def _find_list_filter(listing: Listing, path: tuple[str, ...]) -> Parameter | None:
    filters = [p for p in listing.iter_filters() if p.x_query and p.x_query.operator == "eq"]
    return next((p for p in filters if p.x_query and p.x_query.paths[0] == path), None)


def _find_shared_filter(session: Session, metric: Metric, listing: Listing) -> tuple[Argument, Parameter, Any] | None:
    """Find a filter that metric and list share, by a parent record that the run created, and its key."""
    resource = metric.resource
    if session.options.read_only:
        return None
    records = [session.records.shared_record(resource.name), *session.records.distinct_records(resource.name, 3)]
    for item, path in metric.iter_equality_filters():
        relation = resource.relations.get(path[0])
        if relation is None or len(path) != 2 or len(relation.targets) != 1:
            continue
        target = session.contract.resources[relation.targets[0]]
        parameter = _find_list_filter(listing, path)
        keys = (_find_sent_parent_key(session, record, relation.name) for record in records)
        key = next((key for key in keys if key), None)
        if path[1] == target.key_attribute and parameter is not None and key is not None:
            return item, parameter, key
    return None


def _find_sent_parent_key(session: Session, record: CreatedRecord, relation: str) -> Any:
    """Return the key of the parent that a create request referenced; None unless the run created the parent."""
    for field in session.operations.creator(record.resource).body_fields.values():
        if field.relation_setter and field.relation_setter.relation == relation and field.name in record.request_body:
            key = record.request_body[field.name]
            return key if any(created.key == key for created in session.write_log.created_records) else None
    return None


def _iter_refining_filters(
    session: Session, metric: Metric, listing: Listing, used_item: Argument
) -> Iterator[tuple[Argument, Parameter, Any]]:
    """Yield further shared filters, by a string or boolean attribute of the shared record, and its value."""
    record, count = session.records.shared_record(metric.resource.name).body, 0
    for item, path in metric.iter_equality_filters():
        parameter = _find_list_filter(listing, path)
        value = record.get(path[0]) if len(path) == 1 else None
        if item is used_item or parameter is None or not isinstance(value, (str, bool)):
            continue
        if count < MAX_COMPARED_FILTERS:
            count += 1
            yield item, parameter, value


def _iter_date_filters(session: Session, metric: Metric, listing: Listing) -> Iterator[tuple[Argument, Parameter, str]]:
    """Yield shared filters by the first or last day, and the day on which the shared record was created."""
    record = session.records.shared_record(metric.resource.name).body
    for item in metric.get_arguments():
        x_query = item.x_query
        if x_query is None or x_query.operator not in RANGE_OPERATORS or item.schema.get("format") != "date":
            continue
        same = (p for p in listing.iter_filters() if p.x_query and p.x_query.operator == x_query.operator)
        parameter = next((p for p in same if p.x_query and p.x_query.paths == x_query.paths), None)
        day = parse_utc_date(record.get(x_query.paths[0][0]))
        if parameter is not None and parameter.schema.get("format") == "date" and day is not None:
            yield item, parameter, day.isoformat()


def _evaluate_metric_against_list(
    case: Case, metric: Metric, listing: Listing, item: Argument, query: FilterQuery
) -> CheckResult:
    session, (arguments, pairs) = case.session, query
    requirement = case.build_requirement(item.pointer, None, f"{metric.name} {item.name}".strip())
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        page = listing.fetch(*pairs)
        value, exchange = metric.fetch(session, arguments)
        exchanges[:] = [exchange, page.exchange]
        is_equal = value == page.total
        return "" if is_equal else f"{TOTAL_PROPERTY}: got {value}, expected {page.total} as in the filtered list"

    try:
        return case.build_result(requirement, session.client.wait_until(find_problem), *exchanges)
    except SkipCheck as skip:
        return case.skip(requirement, skip.reason)


# Parts


@check("metric-parts-add-up", "A total equals the sum of its parts.", Category.METRICS, _has_metrics)
def check_metric_parts(case: Case) -> Iterator[CheckResult]:
    """The values by state or by row add up to the total."""
    session = case.session
    for metric in find_metrics(session.contract, case.operation):
        total, exchange = metric.fetch(session)
        parts = _extract_parts(metric, session.operations.data(case.operation, exchange))
        requirement = case.build_requirement(parameter=metric.name)
        if parts is None:
            yield case.skip(requirement, not_testable("the total of the metric is not divided into parts"))
        else:
            message = f"{TOTAL_PROPERTY}: got {total}, expected {sum(parts)} (sum of its parts)"
            yield case.build_result(requirement, message if sum(parts) != total else "", exchange)


def _extract_parts(metric: Metric, data: Any) -> list[float] | None:
    if isinstance(data, list):
        values: list[Any] = [row.get(VALUE_PROPERTY) for row in data if isinstance(row, dict)]
        return [v for v in values if isinstance(v, (int, float))] if None not in values else None
    for attribute in metric.resource.attributes.values() if isinstance(data, dict) else ():
        values = [data.get(choice) for choice in attribute.enum_values or ()]
        if values and all(isinstance(value, (int, float)) for value in values):
            return values
    return None
