"""Laws on figures: what an operation counts follows the run's own writes, agrees with lists, and adds up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from conformance.checks.support.check import Case, Category, Check
from conformance.checks.support.listing import ListChangedDuringCheck, Listing
from conformance.checks.support.tenancy import UNKNOWN_NUMBER, build_unmatched_value
from conformance.checks.support.values import format_query_value, parse_integer
from conformance.errors import SkipCheck
from conformance.results import CheckResult
from conformance.session.session import CreatedRecord, Session
from conformance.skip_reasons import not_testable
from conformance.transport.messages import Exchange
from spec.loader import BodyField, Contract, Operation, Parameter, Relation, Resource

COUNT_WORD = "count"  # what a choice of a calculation is called that counts
CREATED_CHOICE = "created"  # the stamp's word: what a choice of a figure is called that counts what was made
TOTAL_PROPERTY = "total"
VALUE_PROPERTY = "value"
MAX_COMPARED_FILTERS = 4  # filters that are compared with a list


@dataclass(frozen=True, slots=True)
class Metric:
    """A way to ask an operation how many records of a resource there are: the choices that make it count them."""

    operation: Operation
    resource: Resource
    arguments: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What tells it from others of the same operation."""
        return " ".join(f"{name}={value}" for name, value in self.arguments.items())

    def fetch(self, session: Session, filters: Mapping[str, Any] | None = None) -> tuple[int, Exchange]:
        """The total. Raises CannotMake."""
        arguments = {**self.arguments, **(filters or {})}
        if self.operation.request_body is not None:
            exchange = session.send(self.operation, body=arguments)
        else:
            exchange = session.send(self.operation, query=arguments)
        value = extract_total(session, self.operation, exchange)
        if value is None:
            raise SkipCheck(f"{self.operation.id} answered {exchange.response.status} and no {TOTAL_PROPERTY}")
        return value, exchange


def extract_total(session: Session, operation: Operation, exchange: Exchange) -> int | None:
    """The total of a success, in the envelope or in what it holds."""
    body, data = exchange.response.json, session.data(operation, exchange)
    for container in (body, data) if exchange.response.ok else ():
        if isinstance(container, dict) and parse_integer(container.get(TOTAL_PROPERTY)) is not None:
            return parse_integer(container[TOTAL_PROPERTY])
    return None


def find_metrics(contract: Contract, operation: Operation) -> Iterator[Metric]:
    """The ways to make an operation count records: by its required choices and the collection that one names."""
    if operation.is_generic or operation.path_parameter_names or not _returns_total(contract, operation):
        return
    items: list[Parameter | BodyField] = list(operation.query_parameters)
    if operation.request_body is not None:
        items = list(operation.request_body.fields.values()) if operation.has_query_body else []
    choices_by_name = {
        item.name: _get_enum_values(contract, item) for item in items if item.required and item.x_query is None
    }
    collections = {r.collection: r for r in contract.resources.values()}
    collection_parameter = next(
        (name for name, values in choices_by_name.items() if values and set(values) <= collections.keys()), None
    )
    for value in choices_by_name.pop(collection_parameter) if collection_parameter is not None else [None]:
        resource = collections[value] if value is not None else contract.resources.get(operation.resource or "")
        arguments = {name: _select_count_choice(values) for name, values in choices_by_name.items()}
        if resource is not None and None not in arguments.values():
            yield Metric(
                operation, resource, {**({collection_parameter: value} if collection_parameter else {}), **arguments}
            )


def _returns_total(contract: Contract, operation: Operation) -> bool:
    """Whether a success holds a total beside no rows of records."""
    if operation.envelope.schema_pointer is None or operation.envelope.view_name is not None:
        return False
    document = contract.document
    schema, pointer = document.dereference(
        document.resolve(operation.envelope.schema_pointer), operation.envelope.schema_pointer
    )
    properties = schema.get("properties", {})
    data_schema = properties.get(operation.envelope.data_property or "", {})
    resolved_data, _ = document.dereference(data_schema, pointer)
    return TOTAL_PROPERTY in properties or TOTAL_PROPERTY in resolved_data.get("properties", {})


def _get_enum_values(contract: Contract, item: Parameter | BodyField) -> list[str]:
    schema: Mapping[str, Any] = item.schema
    for _ in range(5):
        if len(schema.get("allOf", ())) == 1:
            schema = schema["allOf"][0]
        schema, _at = contract.document.dereference(schema, item.pointer)
    return [str(value) for value in schema.get("enum", ()) if value is not None]


def _select_count_choice(values: list[str]) -> str | None:
    """The choice that counts records: what was made, or the first that says to count."""
    return (
        CREATED_CHOICE if CREATED_CHOICE in values else next((value for value in values if COUNT_WORD in value), None)
    )


def _has_metrics(contract: Contract, operation: Operation) -> bool:
    return any(True for _ in find_metrics(contract, operation))


# They follow the run's own writes -------------------------------------------------------------------------------


def _check_metric_follows_writes(case: Case) -> Iterator[CheckResult]:
    """One more with a record of the run's, and one less without it, while the list says the same."""
    session = case.session
    for metric in find_metrics(session.contract, case.operation):
        requirement = case.build_requirement(parameter=metric.name)
        try:
            message, exchange = _evaluate_write_effect(session, metric)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
        else:
            yield case.build_result(requirement, message, exchange)


def _evaluate_write_effect(session: Session, metric: Metric) -> tuple[str, Exchange]:
    listing = Listing(session, session.require_operation(metric.resource.name, "list"))
    _create_dependencies(session, metric.resource.name)
    row_count = listing.fetch().total
    value_before, _ = metric.fetch(session)
    if listing.fetch().total != row_count:
        raise ListChangedDuringCheck
    record = session.create(metric.resource.name)
    message, exchange = _wait_for_value(session, metric, listing, (value_before + 1, row_count + 1), row_count)
    if message:
        return f"{message} after a record was made that it counts", exchange
    if session.delete(record.resource, record.key):
        message, exchange = _wait_for_value(session, metric, listing, (value_before, row_count), row_count + 1)
    return f"{message} after that record was deleted" if message else "", exchange


def _create_dependencies(session: Session, resource: str) -> None:
    """Make what a record will need beforehand, so that what is counted moves by that record alone."""
    session.shared_record(resource)


def _wait_for_value(
    session: Session, metric: Metric, listing: Listing, expected: tuple[int, int], previous_rows: int
) -> tuple[str, Exchange]:
    """Whether the figure has moved. Raises Moving when the list has moved by more than the run's own record."""
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        row_count = listing.fetch().total
        value, exchange = metric.fetch(session)
        exchanges.append(exchange)
        if value != expected[0] and (
            row_count not in (previous_rows, expected[1]) or listing.fetch().total != row_count
        ):
            raise ListChangedDuringCheck
        return "" if value == expected[0] else f"{TOTAL_PROPERTY} is {value}, due: {expected[0]}"

    message = session.wait_until(find_problem)
    return message, exchanges[-1]


# They agree with lists ------------------------------------------------------------------------------------------


def _find_equality_filters(metric: Metric) -> list[tuple[Parameter | BodyField, tuple[str, ...]]]:
    items: list[Parameter | BodyField] = list(metric.operation.query_parameters)
    if metric.operation.request_body is not None:
        items = list(metric.operation.request_body.fields.values())
    return [
        (i, i.x_query.paths[0])
        for i in items
        if i.x_query and i.x_query.role == "filter" and i.x_query.operator == "eq"
    ]


def _check_metric_equals_list(case: Case) -> Iterator[CheckResult]:
    """Narrowed to a record of the run's, figure and list count the same; narrowed further too."""
    session = case.session
    for metric in find_metrics(session.contract, case.operation):
        listing = Listing(session, session.require_operation(metric.resource.name, "list"))
        yield from _check_metric_zero(case, metric)
        shared_filter = _find_shared_filter(session, metric, listing)
        if shared_filter is None:
            requirement = case.build_requirement(parameter=metric.name)
            yield case.skip(
                requirement, not_testable("the contract has no filter that narrows it to the run's records")
            )
            continue
        (item, key), parameter = shared_filter
        base_query = (_as_argument(item, key), ((parameter.name, format_query_value(key)),))
        yield _evaluate_metric_against_list(case, metric, listing, item, base_query)
        for filter_pair, value in _iter_refining_filters(session, metric, listing, item):
            refined_query = (
                {**base_query[0], **_as_argument(filter_pair[0], value)},
                (*base_query[1], (filter_pair[1].name, format_query_value(value))),
            )
            yield _evaluate_metric_against_list(case, metric, listing, filter_pair[0], refined_query)


def _check_metric_zero(case: Case, metric: Metric) -> Iterator[CheckResult]:
    """Narrowed to what nobody has, or has made yet, a figure is 0; a target may refuse what names no record."""
    for item, value in _iter_filters_without_matches(metric):
        requirement = case.build_requirement(item.pointer, None, f"{metric.name} {item.name} of nothing".strip())
        try:
            metric_value, exchange = metric.fetch(case.session, _as_argument(item, value))
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
            continue
        message = (
            f"{TOTAL_PROPERTY} is {metric_value} with {item.name}={value}, which nothing has: 0 is due"
            if metric_value
            else ""
        )
        yield case.build_result(requirement, message, exchange)
        return


def _iter_filters_without_matches(metric: Metric) -> Iterator[tuple[Parameter | BodyField, Any]]:
    """Filters that can be asked for what nobody has: from a day to come, or of a number that is no record's."""
    items: list[Parameter | BodyField] = list(metric.operation.query_parameters)
    if metric.operation.request_body is not None:
        items = list(metric.operation.request_body.fields.values())
    for item in items:
        if item.x_query is None or item.x_query.role != "filter":
            continue
        if item.x_query.operator == "from" and item.schema.get("format") == "date":
            yield item, "2999-12-31"
        elif item.x_query.operator == "eq" and item.schema.get("format") == "uuid":
            yield item, build_unmatched_value(str(UUID(int=0)))
        elif item.x_query.operator == "eq" and item.schema.get("items", item.schema).get("type") == "integer":
            yield item, UNKNOWN_NUMBER


FilterQuery = tuple[Mapping[str, Any], tuple[tuple[str, str], ...]]


def _as_argument(item: Parameter | BodyField, value: Any) -> dict[str, Any]:
    return {item.name: [value] if item.schema.get("type") == "array" else value}


def _find_shared_filter(
    session: Session, metric: Metric, listing: Listing
) -> tuple[tuple[Parameter | BodyField, Any], Parameter] | None:
    """A filter of both by a record of the run that new records belong to, and that record's key."""
    resource = metric.resource
    if session.read_only:
        return None
    records = [session.shared_record(resource.name), *session.distinct_records(resource.name, 3)]
    for item, path in _find_equality_filters(metric):
        relation: Relation | None = resource.relations.get(path[0])
        if relation is None or len(path) != 2 or len(relation.targets) != 1:
            continue
        target = session.contract.resources[relation.targets[0]]
        parameter = next(
            (
                p
                for p in listing.iter_filters()
                if p.x_query and p.x_query.paths[0] == path and p.x_query.operator == "eq"
            ),
            None,
        )
        parent_key = next(
            (key for record in records if (key := _find_sent_parent_key(session, record, relation.name))), None
        )
        if path[1] == target.key_attribute and parameter is not None and parent_key is not None:
            return (item, parent_key), parameter
    return None


def _find_sent_parent_key(session: Session, record: CreatedRecord, relation: str) -> Any:
    """The key that a record of the run was sent for a relation; a record of the run's, if it names one."""
    create_operation = session.creator(record.resource)
    for field in create_operation.request_body.fields.values() if create_operation.request_body else ():
        if field.relation_setter and field.relation_setter.relation == relation and field.name in record.request_body:
            key = record.request_body[field.name]
            return key if any(created.key == key for created in session.write_log.created_records) else None
    return None


def _iter_refining_filters(
    session: Session, metric: Metric, listing: Listing, used_item: Parameter | BodyField
) -> Iterator[tuple[tuple[Parameter | BodyField, Parameter], Any]]:
    """Filters of both by a choice or a flag of the record itself, with a value of the run's record."""
    record, count = session.shared_record(metric.resource.name).body, 0
    for item, path in _find_equality_filters(metric):
        parameter = next(
            (
                p
                for p in listing.iter_filters()
                if p.x_query and p.x_query.paths[0] == path and p.x_query.operator == "eq"
            ),
            None,
        )
        value = record.get(path[0]) if len(path) == 1 else None
        if (
            item is not used_item
            and parameter is not None
            and isinstance(value, (str, bool))
            and count < MAX_COMPARED_FILTERS
        ):
            count += 1
            yield (item, parameter), value


def _evaluate_metric_against_list(
    case: Case, metric: Metric, listing: Listing, item: Parameter | BodyField, query: FilterQuery
) -> CheckResult:
    session, (arguments, pairs) = case.session, query
    requirement = case.build_requirement(item.pointer, None, f"{metric.name} {item.name}".strip())
    exchanges: list[Exchange] = []

    def find_problem() -> str:
        page = listing.fetch(*pairs)
        value, exchange = metric.fetch(session, arguments)
        exchanges[:] = [exchange, page.exchange]
        return (
            ""
            if value == page.total
            else f"{TOTAL_PROPERTY} is {value}, the list with the same filter has {page.total}"
        )

    try:
        return case.build_result(requirement, session.wait_until(find_problem), *exchanges)
    except SkipCheck as skip:
        return case.skip(requirement, skip.reason)


# They add up ----------------------------------------------------------------------------------------------------


def _check_metric_parts(case: Case) -> Iterator[CheckResult]:
    """The parts of an answer, by state or by row, are the total."""
    session = case.session
    for metric in find_metrics(session.contract, case.operation):
        total, exchange = metric.fetch(session)
        parts = _extract_parts(metric, session.data(case.operation, exchange))
        requirement = case.build_requirement(parameter=metric.name)
        if parts is None:
            yield case.skip(requirement, not_testable("the contract has no parts of it that are the whole"))
        else:
            message = f"{TOTAL_PROPERTY} is {total}, its parts are {sum(parts)}" if sum(parts) != total else ""
            yield case.build_result(requirement, message, exchange)


def _extract_parts(metric: Metric, data: Any) -> list[float] | None:
    if isinstance(data, list):
        values = [row.get(VALUE_PROPERTY) for row in data if isinstance(row, dict)]
        return [v for v in values if isinstance(v, (int, float))] if None not in values else None
    for attribute in metric.resource.attributes.values() if isinstance(data, dict) else ():
        if attribute.enum_values and all(
            isinstance(data.get(choice), (int, float)) for choice in attribute.enum_values
        ):
            return [data[choice] for choice in attribute.enum_values]
    return None


CHECKS: tuple[Check, ...] = (
    Check(
        "metric-follows-writes",
        "A metric increases by one when a counted record is created and decreases by one when it is deleted.",
        Category.METRICS,
        _has_metrics,
        _check_metric_follows_writes,
        writes=True,
    ),
    Check(
        "metric-matches-list",
        "A metric equals the total of the list with the same filter.",
        Category.METRICS,
        _has_metrics,
        _check_metric_equals_list,
        writes=True,
    ),
    Check(
        "metric-parts-add-up",
        "A total equals the sum of its parts.",
        Category.METRICS,
        _has_metrics,
        _check_metric_parts,
    ),
)
