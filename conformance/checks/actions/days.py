"""Check that a metric of a range of dates counts the records of these days in UTC."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

from conformance.checks.actions.metrics import RANGE_OPERATORS, Argument, Metric, find_metrics
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.days import find_zone_dependent_days
from conformance.checks.support.listing import ListChangedDuringCheck
from conformance.checks.support.values import parse_zoned_datetime
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation

MAX_PAGES = 5  # of a list whose rows are counted


def _iter_date_arguments(metric: Metric) -> Iterator[Argument]:
    """Yield the filters of a metric by the first or the last day."""
    for item in metric.get_arguments():
        x_query = item.x_query
        is_day = x_query is not None and x_query.role == "filter" and item.schema.get("format") == "date"
        if is_day and x_query and x_query.operator in RANGE_OPERATORS and len(x_query.paths[0]) == 1:
            yield item


def _applies(contract: Contract, operation: Operation) -> bool:
    return any(True for metric in find_metrics(contract, operation) for _ in _iter_date_arguments(metric))


@check(
    "metric-days-are-utc",
    "A metric of a range of dates counts the records of these days in UTC.",
    Category.METRICS,
    _applies,
    affected_by_other_clients=True,
)
def check_days(case: Case) -> Iterator[CheckResult]:
    """Compare the metric with the rows of the list, for days with records close to midnight."""
    for metric in find_metrics(case.session.contract, case.operation):
        for item in _iter_date_arguments(metric):
            requirement = case.build_requirement(item.pointer, None, f"{metric.name} {item.name}".strip())
            try:
                message, exchanges, is_contradiction = _compare(case, metric, item)
            except SkipCheck as skip:
                yield case.skip(requirement, skip.reason)
            else:
                result = case.build_result(requirement, message, *exchanges)
                yield replace(result, is_contradiction=is_contradiction)


def _compare(case: Case, metric: Metric, item: Argument) -> tuple[str, list[Exchange], bool]:
    """Return the problem, or "", the exchange, and whether the filtered list contradicts it. Raises SkipCheck."""
    assert item.x_query is not None
    session, operator, attribute = case.session, item.x_query.operator, item.x_query.paths[0][0]
    instants = _fetch_instants(case, metric, attribute)
    for day in dict.fromkeys(find_zone_dependent_days(instants, operator)):
        expected = sum(i.date() >= day if operator == "from" else i.date() <= day for i in instants)
        value, exchange = metric.fetch(session, {item.name: day.isoformat()})
        if value != expected:
            if _fetch_instants(case, metric, attribute) != instants:
                raise ListChangedDuringCheck
            message = f"{item.name}={day}: got {value}, expected {expected}, the number of listed records"
            return message, [exchange], _count_listed(case, metric, item, day) == expected
    return "", [], False


def _count_listed(case: Case, metric: Metric, item: Argument, day: date) -> int | None:
    """Return the number of rows of the list with the same filter; None without such a filter."""
    listing = case.session.operations.require(metric.resource.name, "list")
    for parameter in listing.query_parameters:
        x_query = parameter.x_query
        if x_query == item.x_query and parameter.schema.get("format") == "date":
            query = {parameter.name: day.isoformat()}
            return sum(1 for _ in case.session.records.rows(listing, query, pages=MAX_PAGES))
    return None


def _fetch_instants(case: Case, metric: Metric, attribute: str) -> Sequence[datetime]:
    """Return the values of an attribute in all rows of the list, if the metric counts these rows. Raises SkipCheck."""
    session = case.session
    listing = session.operations.require(metric.resource.name, "list")
    rows = list(session.records.rows(listing, {}, pages=MAX_PAGES))
    total, _ = metric.fetch(session)
    if total != len(rows):
        raise SkipCheck(insufficient_data(f"{metric.operation.id} does not count the {len(rows)} listed records"))
    instants = [parse_zoned_datetime(row.get(attribute)) for row in rows]
    known = [instant.astimezone(UTC) for instant in instants if instant is not None]
    if not known or len(known) < len(rows):
        raise SkipCheck(insufficient_data(f"not all listed records have {attribute}"))
    return known
