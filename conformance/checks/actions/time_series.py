"""Checks of time series: their values add up to the accumulated metric, and their periods are complete."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from conformance.checks.actions.metrics import (
    COUNT_WORD,
    TOTAL_PROPERTY,
    VALUE_PROPERTY,
    Argument,
    extract_number,
    extract_total,
    get_enum_values,
)
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck
from conformance.checks.support.values import contains, equal
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation

SERIES_WORD = "series"  # part of the enum value that selects a time series
DAILY_CHOICES = ("daily", "day")
FIRST_DAY = "1990-01-01"
PERIOD_DAYS = 9  # days of a requested series; the current one is the last


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """An operation that returns a count as a time series or accumulated.

    `selector`: chooses between `series` and `accumulated`. `granularity`: the length of a period, None if there is no
    choice. `start`, `end`: filters by date.
    """

    operation: Operation
    selector: Argument
    series: str
    accumulated: str
    granularity: Argument | None
    start: Argument
    end: Argument


def find_time_series(contract: Contract, operation: Operation) -> TimeSeries | None:
    """Return how an operation with a query in its body returns a time series; None if it does not."""
    if operation.request_body is None or not operation.has_query_body:
        return None
    fields = list(operation.body_fields.values())
    ranges = {f.x_query.operator: f for f in fields if f.x_query and f.schema.get("format") == "date"}
    choices = {f.name: get_enum_values(contract, f) for f in fields if f.x_query is None}
    for field in fields:
        values = [value for value in choices.get(field.name, ()) if COUNT_WORD in value]
        series = next((value for value in values if SERIES_WORD in value), None)
        accumulated = next((value for value in values if SERIES_WORD not in value), None)
        if series is None or accumulated is None or not {"from", "to"} <= ranges.keys():
            continue
        granularity = next((f for f in fields if set(choices.get(f.name, ())) & set(DAILY_CHOICES)), None)
        return TimeSeries(operation, field, series, accumulated, granularity, ranges["from"], ranges["to"])
    return None


@check(
    "time-series-adds-up",
    "The values of a time series add up to the accumulated metric, and each period has one value.",
    Category.METRICS,
    lambda contract, operation: find_time_series(contract, operation) is not None,
    affected_by_other_clients=True,
)
def check_time_series(case: Case) -> Iterator[CheckResult]:
    """Request the series of the last days in each granularity, and the accumulated count of the same days."""
    time_series = find_time_series(case.session.contract, case.operation)
    assert time_series is not None
    end = datetime.now(UTC).date()
    start = end - timedelta(days=PERIOD_DAYS - 1)
    bounds = {time_series.start.name: start.isoformat(), time_series.end.name: end.isoformat()}
    yield _evaluate_wide_bounds(case, time_series, end)
    granularity = time_series.granularity
    for choice in get_enum_values(case.session.contract, granularity) if granularity else [None]:
        options = {granularity.name: choice} if granularity is not None else {}
        points, total, exchange = fetch_series(case, time_series.selector.name, time_series.series, bounds | options)
        accumulated = _fetch_accumulated(case, time_series, bounds)
        again = fetch_series(case, time_series.selector.name, time_series.series, bounds | options)
        if accumulated != again[1] == total:
            message = f"{TOTAL_PROPERTY}: got {total}, expected {accumulated} as with {time_series.accumulated}"
        else:
            message = describe_wrong_sum(points, total)
        requirement = case.build_requirement(time_series.selector.pointer, None, f"{choice or ''} total".strip())
        result = case.build_result(requirement, message, exchange)
        yield replace(result, is_contradiction=bool(describe_wrong_sum(points, total)))
        if choice in DAILY_CHOICES:
            yield from _evaluate_days(case, time_series, points, exchange)


def describe_wrong_sum(points: Mapping[date, float], total: float) -> str:
    """Describe a total that is not the sum of the values in the same response; return "" if it is."""
    expected = sum(points.values())
    return "" if contains(float(expected), total) else f"{TOTAL_PROPERTY}: got {total}, expected {expected} (their sum)"


def _evaluate_wide_bounds(case: Case, time_series: TimeSeries, today: date) -> CheckResult:
    """All records were created between the first possible day and the current one: bounds change nothing."""
    bounds = {time_series.start.name: FIRST_DAY, time_series.end.name: (today + timedelta(days=1)).isoformat()}
    before, bounded = _fetch_accumulated(case, time_series, {}), _fetch_accumulated(case, time_series, bounds)
    if bounded != before and _fetch_accumulated(case, time_series, {}) != before:
        raise ListChangedDuringCheck
    message = f"{TOTAL_PROPERTY} since {FIRST_DAY}: got {bounded}, expected {before} as without dates"
    requirement = case.build_requirement(time_series.start.pointer, None, "bounds")
    return case.build_result(requirement, message if bounded != before else "")


def fetch_series(
    case: Case, selector: str, calculation: str, arguments: Mapping[str, Any]
) -> tuple[dict[date, float], float, Exchange]:
    """Return the values by date, the total and the exchange. Raises SkipCheck."""
    exchange = case.session.client.send(case.operation, body={selector: calculation, **arguments})
    total = extract_number(case.session, case.operation, exchange)
    rows = case.session.operations.data(case.operation, exchange)
    if total is None or not isinstance(rows, list):
        raise SkipCheck(f"{case.operation.id} returned {exchange.response.status} without a series")
    points: dict[date, float] = {}
    for row in rows:
        day, value = _parse_point(row)
        if day is None or value is None:
            raise SkipCheck(not_testable("the values of the series have no date"))
        points[day] = points.get(day, 0) + value
    return points, total, exchange


def _parse_point(row: Any) -> tuple[date | None, float | None]:
    """The day and the value of a point."""
    for item in row.values() if isinstance(row, Mapping) else ():
        try:
            day = date.fromisoformat(item) if isinstance(item, str) else None
        except ValueError:
            continue
        value = row.get(VALUE_PROPERTY)
        if day is not None:
            return day, value if isinstance(value, (int, float)) else None
    return None, None


def _fetch_accumulated(case: Case, time_series: TimeSeries, bounds: Mapping[str, Any]) -> int:
    body = {time_series.selector.name: time_series.accumulated, **bounds}
    total = extract_total(case.session, case.operation, case.session.client.send(case.operation, body=body))
    if total is None:
        raise SkipCheck(f"{case.operation.id} returned no {TOTAL_PROPERTY} for {time_series.accumulated}")
    return total


def _evaluate_days(
    case: Case, time_series: TimeSeries, points: Mapping[date, float], exchange: Exchange
) -> Iterator[CheckResult]:
    """Compare the days of a series with the requested ones, and the largest value with that of its day alone."""
    end = datetime.now(UTC).date()
    expected = [end - timedelta(days=number) for number in reversed(range(PERIOD_DAYS))]
    requirement = case.build_requirement(time_series.selector.pointer, None, "days")
    missing = [day.isoformat() for day in expected if day not in points]
    others = [day.isoformat() for day in points if day not in expected]
    message = f"got no value of {missing[0]}, expected one of each day" if missing else ""
    message = f"got a value of {others[0]}, which was not requested" if others else message
    yield case.build_result(requirement, message, exchange)
    if not points:
        return
    day, value = max(points.items(), key=lambda item: item[1])
    bounds = {time_series.start.name: day.isoformat(), time_series.end.name: day.isoformat()}
    alone = _fetch_accumulated(case, time_series, bounds)
    if not equal(alone, value) and _fetch_accumulated(case, time_series, bounds) != alone:
        raise ListChangedDuringCheck
    message = "" if equal(alone, value) else f"value of {day}: got {value:g}, expected {alone} as for that day alone"
    yield case.build_result(case.build_requirement(time_series.selector.pointer, None, "one day"), message, exchange)
