"""Checks that a time series has a value for each period of its range, and that sums with fractions add up."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from conformance.checks.actions.metric_scopes import SERIES_WORD, SUM_WORD, SumMetric, find_sum_metric
from conformance.checks.actions.metrics import Argument, extract_number, get_enum_values
from conformance.checks.actions.time_series import (
    DAILY_CHOICES,
    TimeSeries,
    describe_wrong_sum,
    fetch_series,
    find_time_series,
)
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck
from conformance.checks.support.values import contains
from conformance.errors import SkipCheck, not_testable
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation

WEEKLY_CHOICES = ("weekly", "week")
MONTHLY_CHOICES = ("monthly", "month")
DAYS_PER_WEEK = 7
MAX_DAYS_PER_MONTH = 31
MIN_MONTHS = 2  # between the first and the current month, so that one of them is shorter
DateRange = tuple[date, date]
# Ranges that begin and end within a period; each contains a leap day or the end of a year.
PAST_RANGES: Mapping[str, DateRange] = {
    "daily": (date(2024, 2, 27), date(2024, 3, 2)),
    "weekly": (date(2023, 12, 28), date(2024, 2, 1)),
    "monthly": (date(2023, 12, 31), date(2024, 4, 30)),
}
FRACTIONS = (0.25, 0.5)  # with a sum that is not an integer, exact in binary
WHOLE_NUMBERS = (3, 4)


# Periods


@check(
    "time-series-periods-complete",
    "A time series has a value for each period between its first and its last day.",
    Category.METRICS,
    lambda contract, operation: _find_granularity(contract, operation) is not None,
    affected_by_other_clients=True,
)
def check_periods(case: Case) -> Iterator[CheckResult]:
    """Request the series of a range in the past, and of one up to now, in each granularity."""
    time_series = find_time_series(case.session.contract, case.operation)
    assert time_series is not None
    assert time_series.granularity is not None
    today = datetime.now(UTC).date()
    for choice in get_enum_values(case.session.contract, time_series.granularity):
        period = _get_period(choice)
        if period is None:
            continue
        for label, days in (("past", PAST_RANGES[period]), ("current", (find_month_end(today), today))):
            requirement = case.build_requirement(time_series.selector.pointer, None, f"{choice} {label} periods")
            requirement = replace(requirement, provenance="inferred")  # no part of a contract states the periods
            try:
                problem, is_contradiction, exchange = _evaluate_range(case, time_series, choice, period, days)
            except SkipCheck as skip:
                yield case.skip(requirement, skip.reason)
                continue
            message = f"{choice} from {days[0]} to {days[1]}: {problem}" if problem else ""
            yield replace(case.build_result(requirement, message, exchange), is_contradiction=is_contradiction)


def _find_granularity(contract: Contract, operation: Operation) -> Argument | None:
    time_series = find_time_series(contract, operation)
    return time_series.granularity if time_series is not None else None


def _get_period(choice: str) -> str | None:
    """Return the period that an enum value selects: a key of `PAST_RANGES`, or None."""
    names = {"daily": DAILY_CHOICES, "weekly": WEEKLY_CHOICES, "monthly": MONTHLY_CHOICES}
    return next((period for period, choices in names.items() if choice in choices), None)


def find_month_end(today: date) -> date:
    """Return the last day of the latest month of 31 days with `MIN_MONTHS` months between it and the current one."""
    day = today.replace(day=1)
    for _ in range(MIN_MONTHS):
        day = (day - timedelta(days=1)).replace(day=1)
    while (day - timedelta(days=1)).day < MAX_DAYS_PER_MONTH:
        day = (day - timedelta(days=1)).replace(day=1)
    return day - timedelta(days=1)


def _evaluate_range(
    case: Case, time_series: TimeSeries, choice: str, period: str, days: DateRange
) -> tuple[str, bool, Exchange]:
    """Return the problem of a series, or "", whether it is a contradiction, and the exchange. Raises SkipCheck."""
    points, total, exchange = _fetch_range(case, time_series, choice, days)
    if problem := describe_wrong_sum(points, total):
        return problem, True, exchange
    problem = find_missing_period(list(points), period, days)
    if not problem:
        return "", False, exchange
    aligned = _align(period, days)
    # If the series of the complete months has every value, the target contradicts itself.
    is_contradiction = aligned != days and not find_missing_period(
        list(_fetch_range(case, time_series, choice, aligned)[0]), period, aligned
    )
    return problem, is_contradiction, exchange


def _fetch_range(
    case: Case, time_series: TimeSeries, choice: str, days: DateRange
) -> tuple[dict[date, float], float, Exchange]:
    assert time_series.granularity is not None
    first, last = (day.isoformat() for day in days)
    arguments = {time_series.granularity.name: choice, time_series.start.name: first, time_series.end.name: last}
    return fetch_series(case, time_series.selector.name, time_series.series, arguments)


def find_missing_period(labels: Sequence[date], period: str, days: DateRange) -> str:
    """Describe a period without a value, or a value outside of the range; return "" if there is none.

    A label may be any day of its period, and a week may begin on any day.
    """
    start, end = days
    known = sorted(labels)
    if period == "weekly":
        return _find_missing_week(known, days)
    days_of_range = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    expected = list(dict.fromkeys(_get_period_start(day, period) for day in days_of_range))
    periods = [_get_period_start(label, period) for label in known]
    missing = [first for first in expected if first not in periods]
    others = [label for label, first in zip(known, periods, strict=True) if first not in expected]
    if missing:
        return f"got no value for the period that starts on {missing[0]}, expected values for {len(expected)} periods"
    return f"got a value for {others[0]}, which is outside the requested range" if others else ""


def _get_period_start(day: date, period: str) -> date:
    """Return the first day of the month if periods are monthly, else the day."""
    return day.replace(day=1) if period == "monthly" else day


def _find_missing_week(known: Sequence[date], days: DateRange) -> str:
    """Describe a gap of more than a week between the first day, the labels and the last day."""
    start, end = days
    week = timedelta(days=DAYS_PER_WEEK)
    if not known or known[0] >= start + week:
        return f"got no value for the week that starts on {start}"
    for first, second in zip(known, [*known[1:], end + timedelta(days=1)], strict=True):
        if second - first > week:
            return f"got no value for the week that starts on {first + week}"
    return ""


def _align(period: str, days: DateRange) -> DateRange:
    """Extend a monthly range to complete months; return other ranges unchanged."""
    if period != "monthly":
        return days
    following = (days[1].replace(day=1) + timedelta(days=MAX_DAYS_PER_MONTH)).replace(day=1)
    return days[0].replace(day=1), following - timedelta(days=1)


# Sums


def _find_sum_series(contract: Contract, operation: Operation) -> tuple[SumMetric, Argument, str] | None:
    """Return (sum, selector of the calculation, its value for a series) if an operation returns series of sums."""
    sum_metric = find_sum_metric(contract, operation)
    for item in sum_metric.metric.get_arguments() if sum_metric is not None else ():
        values = get_enum_values(contract, item) if sum_metric and item.name in sum_metric.metric.arguments else []
        series = next((value for value in values if SUM_WORD in value and SERIES_WORD in value), None)
        if series is not None and sum_metric is not None and operation.request_body is not None:
            return sum_metric, item, series
    return None


@check(
    "time-series-sum-adds-up",
    "The values of a time series of sums add up to its total, also if they have fractions.",
    Category.METRICS,
    lambda contract, operation: _find_sum_series(contract, operation) is not None,
    writes=True,
)
def check_sum_series(case: Case) -> Iterator[CheckResult]:
    """Create records whose values have fractions; compare the series of each property with the accumulated sum."""
    found = _find_sum_series(case.session.contract, case.operation)
    assert found is not None
    sum_metric, item, series = found
    for path in sum_metric.list_properties(case.session.contract):
        _create_numbers(case, path)
        name = ".".join(path)
        requirement = case.build_requirement(item.pointer, None, f"{series} {name}")
        property_argument = {sum_metric.selector.name: name}
        try:
            points, total, exchange = fetch_series(case, item.name, series, property_argument)
            accumulated = _fetch_sum(case, sum_metric, property_argument)
            again = fetch_series(case, item.name, series, property_argument)[1]
        except SkipCheck as skip:
            yield case.skip(requirement, skip.reason)
            continue
        if again != total:
            raise ListChangedDuringCheck
        message = describe_wrong_sum(points, total)
        if not message and not contains(float(accumulated), total):
            calculation = next(iter(sum_metric.metric.arguments.values()))
            message = f"total: got {total}, expected {accumulated} (the result of {calculation})"
        result = case.build_result(requirement, f"{name}: {message}" if message else "", exchange)
        yield replace(result, is_contradiction=bool(message))


def _fetch_sum(case: Case, sum_metric: SumMetric, arguments: Mapping[str, Any]) -> float:
    total = extract_number(case.session, case.operation, sum_metric.metric.send(case.session, arguments))
    if total is None:
        raise SkipCheck(not_testable("the response has no total"))
    return total


def _create_numbers(case: Case, path: tuple[str, ...]) -> None:
    """Create a record with each of two numbers in a property, with fractions if its schema permits them."""
    session, resource = case.session, case.operation.resource or ""
    creator = session.contract.find_create_operation(resource)
    field = creator.body_fields.get(path[0]) if creator is not None else None
    if field is None or field.relation_setter is not None:
        return
    validator = session.schemas.get_field(field, "write")
    for numbers in zip(FRACTIONS, WHOLE_NUMBERS, strict=True):
        values: list[Any] = list(numbers)
        for name in reversed(path[1:]):
            values = [{name: value} for value in values]
        value = next((value for value in values if validator.is_valid(value)), None)
        if value is not None:
            with suppress(SkipCheck):
                record = session.records.create(resource, {path[0]: value})
                session.client.retrieve(resource, record.key)  # a GET waits until the write is visible
