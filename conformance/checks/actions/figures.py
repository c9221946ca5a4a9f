"""Figures of a metric: its total and parts, the filters that it has, and values that each of them can have."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from conformance.checks.actions.metrics import (
    RANGE_OPERATORS,
    VALUE_PROPERTY,
    Argument,
    Metric,
    extract_number,
    find_metrics,
    get_enum_values,
)
from conformance.checks.support.check import Case, Fixture, FixtureScope
from conformance.checks.support.listing import Row
from conformance.checks.support.references import get_reference_name
from conformance.checks.support.values import contains, get_values_at, is_number, parse_utc_date
from conformance.errors import SkipCheck
from conformance.session.session import Session
from conformance.session.write_log import is_key
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation, Parameter, Resource

MAX_VALUES = 8  # values of one filter
MAX_TRIED_VALUES = 4  # values that are tried to find one that selects some of the records
MAX_LISTED_PAGES = 2  # of listed records whose values are used

# Responses


@dataclass(frozen=True, slots=True)
class Figures:
    """The numbers of a response. `parts`: what the total is divided into; None if the response has no parts."""

    total: float
    parts: tuple[float, ...] | None
    exchange: Exchange

    @property
    def has_sum(self) -> bool:
        """Whether the total is the sum of the parts."""
        return self.parts is not None and contains(float(sum(self.parts)), self.total)


def fetch_figures(session: Session, metric: Metric, arguments: Mapping[str, Any]) -> Figures:
    """Request a metric with further arguments. Raises SkipCheck if the response has no total."""
    exchange = metric.send(session, arguments)
    total = extract_number(session, metric.operation, exchange)
    if total is None:
        raise SkipCheck(f"{metric.operation.id} returned {exchange.response.status} without a total")
    return Figures(total, _extract_parts(metric, session.operations.data(metric.operation, exchange)), exchange)


def _extract_parts(metric: Metric, data: Any) -> tuple[float, ...] | None:
    """Return the values by row, in the data or in a list of it, or by state; None if there are none."""
    lists = [data, *(data.values() if isinstance(data, Mapping) else ())]
    rows = next((part for part in lists if isinstance(part, list) and part), None)
    if rows is not None:
        values = [row.get(VALUE_PROPERTY) if isinstance(row, Mapping) else None for row in rows]
        return _select_numbers(values)
    for attribute in metric.resource.attributes.values() if isinstance(data, Mapping) else ():
        if attribute.enum_values:
            numbers = _select_numbers([data.get(choice) for choice in attribute.enum_values if choice is not None])
            if numbers is not None:
                return numbers
    return None


def _select_numbers(values: Sequence[Any]) -> tuple[float, ...] | None:
    """Return values that are all numbers; None if one is not, or if there are none."""
    numbers = tuple(v for v in values if is_number(v))
    return numbers if numbers and len(numbers) == len(values) else None


# Filters


@dataclass(frozen=True, slots=True)
class MetricFilter:
    """An argument that restricts a metric, and values of it.

    `path`: of the property in the counted records; () if only the name shows the meaning. `target`: the resource whose
    key is the value; None if the value is no key. `is_partition`: `values` are all values in the contract, and a
    record has at most one. `is_exhaustive`: every record has one.
    """

    argument: Argument
    path: tuple[str, ...]
    values: tuple[Any, ...]
    target: Resource | None = None
    is_partition: bool = False
    is_exhaustive: bool = False

    def build_arguments(self, value: Any) -> dict[str, Any]:
        """Return the argument with a value."""
        return {self.argument.name: [value] if self.argument.schema.get("type") == "array" else value}

    def is_overridden_by(self, other: "MetricFilter") -> bool:
        """Whether the contract states that one of two filters takes precedence, so that they are not combined."""
        names = {self.argument.name, other.argument.name}
        overriding = (f.argument.x_query.unless_parameter if f.argument.x_query else None for f in (self, other))
        return any(name in names for name in overriding)


def find_scope(contract: Contract, resource: Resource, item: Argument) -> Resource | None:
    """Return the resource whose key an argument is: by its filter, or by its name, such as ``thread_uuid``."""
    if item.x_query is None:
        named = (r for r in contract.resources.values() if get_reference_name(r) == item.name)
        return None if item.required else next(named, None)
    if (item.x_query.role, item.x_query.operator) != ("filter", "eq") or len(item.x_query.paths) != 1:
        return None
    *names, attribute = item.x_query.paths[0]
    target = follow_relations(contract, resource, names) if names else None
    return target if target is not None and target.key_attribute == attribute else None


def follow_relations(contract: Contract, resource: Resource, names: Sequence[str]) -> Resource | None:
    """Return the resource at the end of relations to one record; None if one of them is of another kind."""
    for name in names:
        relation = resource.relations.get(name)
        if relation is None or relation.to_many or len(relation.targets) != 1:
            return None
        resource = contract.resources[relation.targets[0]]
    return resource


def list_filters(session: Session, metric: Metric, rows: Sequence[Row]) -> list[MetricFilter]:
    """Return the filters of a metric for which values are known: from the contract, `rows`, or existing records.

    Those by a property of a related record, other than its key, are last: they select the same as its key.
    """
    filters = (_build_filter(session, metric, item, rows) for item in metric.get_arguments())
    known = [item for item in filters if item is not None and item.values]
    return sorted(known, key=lambda item: item.target is None and len(item.path) > 1)  # stable


def _build_filter(session: Session, metric: Metric, item: Argument, rows: Sequence[Row]) -> MetricFilter | None:
    contract, x_query = session.contract, item.x_query
    target = find_scope(contract, metric.resource, item)
    path = x_query.paths[0] if x_query is not None else ()
    if target is not None:
        return MetricFilter(item, path, tuple(_list_keys(session, target, path, rows)), target)
    if x_query is None or x_query.role != "filter":
        return None
    if x_query.operator == "exists":
        return MetricFilter(item, path, (True, False), is_partition=True, is_exhaustive=True)
    listed = [value for row in rows for value in get_values_at(row, path) or () if value is not None]
    if x_query.operator in RANGE_OPERATORS:
        days = sorted(day.isoformat() for day in map(parse_utc_date, listed) if day is not None)
        is_day = item.schema.get("format") == "date"
        return MetricFilter(item, path, tuple(dict.fromkeys(reversed(days))) if is_day else ())
    schema = session.payloads.resolve_schema(item.schema)
    choices = get_enum_values(contract, item) or get_enum_values_of_items(session, schema)
    if session.payloads.resolve_schema(schema.get("items", schema)).get("type") == "boolean":
        choices = [True, False]
    if choices:
        is_single, is_exhaustive = _describe_property(contract, metric.resource, path)
        is_partition = is_single and len(choices) <= MAX_VALUES
        return MetricFilter(item, path, tuple(choices[:MAX_VALUES]), None, is_partition, is_partition and is_exhaustive)
    listed = listed or _list_values(session, metric.resource, path)
    scalars = [value for value in listed if isinstance(value, (str, int)) and value != ""]
    return MetricFilter(item, path, tuple(dict.fromkeys(scalars))[:MAX_VALUES])


def _list_values(session: Session, resource: Resource, path: tuple[str, ...]) -> list[Any]:
    """Return the values of a property in the list of the resource to which the path leads from another one."""
    owner = follow_relations(session.contract, resource, path[:-1]) if len(path) > 1 else None
    listing = session.operations.find(owner.name, "list") if owner is not None else None
    with suppress(SkipCheck):
        rows = session.records.rows(listing, {}, pages=1) if listing is not None else ()
        return [value for row in rows if (value := row.get(path[-1])) is not None]
    return []


def get_enum_values_of_items(session: Session, schema: Mapping[str, Any]) -> list[Any]:
    """Return the enum values of the items of an array; empty for another schema."""
    items = session.payloads.resolve_schema(schema.get("items", {}))
    return [value for value in items.get("enum", ()) if value is not None]


def _describe_property(contract: Contract, resource: Resource, path: tuple[str, ...]) -> tuple[bool, bool]:
    """Return whether each record has at most one value at a path, and whether each has one."""
    owner = follow_relations(contract, resource, path[:-1])
    attribute = owner.attributes.get(path[-1]) if owner is not None else None
    if attribute is None:
        return False, False
    return attribute.type != "array", len(path) == 1 and not attribute.nullable


def _list_keys(session: Session, target: Resource, path: tuple[str, ...], rows: Sequence[Row]) -> list[Any]:
    """Return keys of existing records, those that the listed records refer to first."""
    keys = [value for row in rows for value in get_values_at(row, path) or () if is_key(value)] if path else []
    account = session.contract.account_resource
    listing = session.operations.find(target.name, "list")
    with suppress(SkipCheck):
        if account is not None and target.name == account.name:
            keys.append(session.client.identity().get(target.key_attribute))
        elif listing is not None:
            related = session.records.rows(listing, {}, pages=1)
            keys += [row[target.key_attribute] for row in related if is_key(row.get(target.key_attribute))]
    return list(dict.fromkeys(key for key in keys if is_key(key)))[:MAX_VALUES]


# Values that select some of the records


@dataclass(frozen=True, slots=True)
class SelectiveFilters:
    """A metric and its filters, each with a value that selects some of the counted records, or else none of them.

    `rows`: of the list of the counted records, at most `MAX_LISTED_PAGES` pages.
    """

    metric: Metric
    filters: tuple[MetricFilter, ...]
    values: tuple[tuple[MetricFilter, Any], ...]
    rows: tuple[Row, ...]


def _find_selective_filters(case: Case) -> list[SelectiveFilters]:
    selective_filters = []
    for metric in find_metrics(case.session.contract, case.operation):
        rows = tuple(fetch_listed(case.session, metric))
        filters = list_filters(case.session, metric, rows)
        with suppress(SkipCheck):
            total = fetch_figures(case.session, metric, {}).total
            values = tuple(v for f in filters if (v := _find_selective_value(case.session, metric, f, total)))
            # Else a value that selects all of them still shows whether the response has parts.
            values = values or tuple((f, f.values[0]) for f in filters[:1] if total)
            selective_filters.append(SelectiveFilters(metric, tuple(filters), values, rows))
    return selective_filters


def fetch_listed(session: Session, metric: Metric) -> Iterator[Row]:
    """Yield listed records of the resource of a metric; none if the list cannot be read."""
    listing = session.operations.find(metric.resource.name, "list")
    with suppress(SkipCheck):
        if listing is not None:
            yield from session.records.rows(listing, {}, pages=MAX_LISTED_PAGES)


def _find_selective_value(
    session: Session, metric: Metric, item: MetricFilter, total: float
) -> tuple[MetricFilter, Any] | None:
    """Return a filter with the first value that selects some of the records, or none; None if there is none."""
    middle = len(item.values) // 2 if item.argument.x_query and item.argument.x_query.operator in RANGE_OPERATORS else 0
    unused: list[Any] = []
    for value in (*item.values[middle:], *item.values[:middle])[:MAX_TRIED_VALUES]:
        with suppress(SkipCheck):
            number = fetch_figures(session, metric, item.build_arguments(value)).total
            if 0 < number < total:
                return item, value
            unused += [value] if not number else []
    return (item, unused[0]) if unused else None


# Only the values are cached; totals change with each write.
SELECTIVE_FILTERS: Fixture[list[SelectiveFilters]] = Fixture(
    "selective filters of a metric", FixtureScope.OPERATION, _find_selective_filters
)


def has_filtered_metrics(contract: Contract, operation: Operation) -> bool:
    """Return whether an operation counts records and has filters."""
    return any(
        (item.x_query is not None and item.x_query.role == "filter")
        or find_scope(contract, metric.resource, item) is not None
        for metric in find_metrics(contract, operation)
        for item in metric.get_arguments()
    )


def find_same_filter(listing: Operation, item: Argument) -> Parameter | None:
    """Return the parameter of a list with the filter of an argument."""
    return next((p for p in listing.query_parameters if p.x_query is not None and p.x_query == item.x_query), None)
