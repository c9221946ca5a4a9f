"""Check that two filters of a metric that select the same record by different properties agree."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from conformance.checks.actions.figures import MetricFilter, fetch_figures, follow_relations
from conformance.checks.actions.metrics import Metric, find_metrics
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import Listing
from conformance.checks.support.tenancy import build_unmatched_value
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from conformance.session.write_log import is_key
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation, Resource
from spec.provenance import INFERRED

MAX_COMPARED_RECORDS = 4


@dataclass(frozen=True, slots=True)
class FilterPair:
    """Two filters of a metric, by the key and by another property of the records of `resource`."""

    metric: Metric
    resource: Resource
    by_key: MetricFilter
    by_value: MetricFilter


def find_filter_pairs(contract: Contract, operation: Operation) -> Iterator[FilterPair]:
    """Yield the filters by a property of a related record that can be listed, with the filter by its key."""
    for metric in find_metrics(contract, operation):
        filters = {path: MetricFilter(item, path, ()) for item, path in metric.iter_equality_filters()}
        for path, by_value in filters.items():
            resource = follow_relations(contract, metric.resource, path[:-1]) if len(path) > 1 else None
            if resource is None or contract.find_operation(resource.name, "list") is None:
                continue
            by_key = filters.get((*path[:-1], resource.key_attribute))
            if by_key is not None and by_key is not by_value:
                yield FilterPair(metric, resource, by_key, by_value)


@check(
    "equivalent-filters-agree",
    "A metric has the same total for the key of a record and for another property that only this record has, and is 0 "
    "for a value that no record has.",
    Category.METRICS,
    lambda contract, operation: any(True for _ in find_filter_pairs(contract, operation)),
    affected_by_other_clients=True,
)
def check_filters(case: Case) -> Iterator[CheckResult]:
    """Send both filters with the values of listed records, and the second one with an unknown text."""
    for pair in find_filter_pairs(case.session.contract, case.operation):
        name = " ".join(filter(None, (pair.metric.name, pair.by_value.argument.name)))
        requirement = case.build_requirement(pair.by_value.argument.pointer, None, name)
        # No part of a contract states that a property is unique.
        requirement = replace(requirement, provenance=INFERRED)
        try:
            message, exchanges = _compare(case, pair)
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
            continue
        yield case.build_result(requirement, message, *exchanges)


def _compare(case: Case, pair: FilterPair) -> tuple[str, tuple[Exchange, ...]]:
    """Return (problem, exchanges). Raises SkipCheck if the key of no listed record selects anything."""
    session, evidence = case.session, tuple[Exchange, ...]()
    records = _list_unique_records(case, pair)[:MAX_COMPARED_RECORDS]
    for record in records:
        key, value = record[pair.resource.key_attribute], record[pair.by_value.path[-1]]
        exchanges: list[Exchange] = []

        def find_problem(key: Any = key, value: Any = value, exchanges: list[Exchange] = exchanges) -> str:
            expected = fetch_figures(session, pair.metric, pair.by_key.build_arguments(key))
            actual = fetch_figures(session, pair.metric, pair.by_value.build_arguments(value))
            exchanges[:] = [actual.exchange, expected.exchange] if expected.total or actual.total else []
            if actual.total == expected.total:
                return ""
            names = pair.by_value.argument.name, pair.by_key.argument.name
            return f"{names[0]}={value}: got {actual.total}, expected {expected.total} as with {names[1]}={key}"

        message = session.client.wait_until(find_problem, is_delay_of_write=False)
        evidence = tuple(exchanges) or evidence
        if message:
            return message, evidence
    if not evidence:
        raise SkipCheck(insufficient_data(f"no listed {pair.resource.name} selects any of the counted records"))
    unknown = build_unmatched_value(records[0][pair.by_value.path[-1]])
    exchange = pair.metric.send(session, pair.by_value.build_arguments(unknown))
    if not exchange.response.ok:
        return "", evidence  # the target may reject an unknown value
    total = fetch_figures(session, pair.metric, pair.by_value.build_arguments(unknown)).total
    message = f"{pair.by_value.argument.name}={unknown}: got {total}, expected 0" if total else ""
    return message, (exchange, *evidence)


def _list_unique_records(case: Case, pair: FilterPair) -> list[Mapping[str, Any]]:
    """Return the listed records with a value that no other listed record has. Raises SkipCheck for a longer list."""
    session, attribute = case.session, pair.by_value.path[-1]
    listing = Listing(session, session.operations.require(pair.resource.name, "list"))
    page = listing.fetch_largest()
    if listing.position is not None and page.total > len(page.rows):
        raise SkipCheck(insufficient_data(f"more {pair.resource.name} records than a page may have the same value"))
    rows = [row for row in page.rows if is_key(row.get(attribute)) and is_key(row.get(pair.resource.key_attribute))]
    numbers = Counter(str(row[attribute]).casefold() for row in rows)
    return [row for row in rows if numbers[str(row[attribute]).casefold()] == 1]
