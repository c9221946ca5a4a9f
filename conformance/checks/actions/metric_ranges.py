"""Check that the totals of consecutive date ranges add up, and that a day has the same value in every range."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from conformance.checks.actions.figures import SELECTIVE_FILTERS, SelectiveFilters, fetch_figures
from conformance.checks.actions.metrics import RANGE_OPERATORS, Argument, Metric, find_metrics, get_enum_values
from conformance.checks.actions.time_series import DAILY_CHOICES, TimeSeries, fetch_series, find_time_series
from conformance.checks.support.check import Case, Category, check
from conformance.checks.support.listing import ListChangedDuringCheck, Row
from conformance.checks.support.values import get_values_at, parse_utc_date
from conformance.errors import SkipCheck, insufficient_data
from conformance.results import CheckResult
from conformance.transport.messages import Exchange
from spec.model import Contract, Operation

MAX_SERIES_DAYS = 15  # before and after the day that divides the range
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayRange:
    """The arguments of a metric for the first and the last day of a range, both included."""

    metric: Metric
    start: Argument
    end: Argument

    def build_arguments(self, first: date, last: date) -> dict[str, str]:
        """Return the arguments of a range."""
        return {self.start.name: first.isoformat(), self.end.name: last.isoformat()}

    def list_days(self, rows: Sequence[Row]) -> list[date]:
        """Return the days on which the property of rows falls, in order."""
        path = self.start.x_query.paths[0] if self.start.x_query is not None else ()
        values = (value for row in rows for value in get_values_at(row, path) or ())
        return sorted({day for day in map(parse_utc_date, values) if day is not None})


def find_day_range(metric: Metric) -> DayRange | None:
    """Return the filters by the first and the last day of the same property; None if one is missing."""
    filters: dict[str, Argument] = {}
    for item in metric.get_arguments():
        x_query = item.x_query
        if x_query and x_query.operator in RANGE_OPERATORS and item.schema.get("format") == "date":
            filters.setdefault(x_query.operator, item)
    start, end = (filters.get(operator) for operator in RANGE_OPERATORS)
    if start is None or end is None or start.x_query is None or end.x_query is None:
        return None
    return DayRange(metric, start, end) if start.x_query.paths == end.x_query.paths else None


def _applies(contract: Contract, operation: Operation) -> bool:
    return any(find_day_range(metric) is not None for metric in find_metrics(contract, operation))


@check(
    "metric-ranges-add-up",
    "The totals for two consecutive date ranges add up to the total for both together, and a day has the same value in "
    "the daily series of every range.",
    Category.METRICS,
    _applies,
    affected_by_other_clients=True,
)
def check_ranges(case: Case) -> Iterator[CheckResult]:
    """Divide the days of the listed records at one of them, without and with another filter."""
    for selective in case.use(SELECTIVE_FILTERS):
        day_range = find_day_range(selective.metric)
        days = day_range.list_days(selective.rows) if day_range is not None else []
        if day_range is None or len(days) < 2:
            reason = "the listed records have fewer than two different days"
            if day_range is None:
                reason = "the metric has no filters by the first and the last day of a range"
            yield case.skip(case.build_requirement(parameter=selective.metric.name), insufficient_data(reason))
            continue
        adds_up = True
        for label, filters in _list_filters(selective, day_range):
            name = " ".join(filter(None, (selective.metric.name, label)))
            requirement = case.build_requirement(day_range.end.pointer, None, name)
            try:
                message, is_contradiction, exchange = _compare_totals(case, day_range, days, filters)
            except SkipCheck as skip:
                yield case.skip(requirement, skip.reason)
                continue
            # If the ranges add up without the filter, they must with it.
            is_contradiction = is_contradiction or (bool(filters) and adds_up)
            adds_up = adds_up and not message
            result = case.build_result(requirement, message, exchange)
            yield replace(result, is_contradiction=bool(message) and is_contradiction)
        yield from _compare_series(case, day_range, days)


def _list_filters(selective: SelectiveFilters, day_range: DayRange) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the arguments of no filter, then of one that has another meaning than the range."""
    yield "range", {}
    ranges = (day_range.start.name, day_range.end.name)
    others = [(item, value) for item, value in selective.values if item.argument.name not in ranges]
    yield from ((f"range + {item.argument.name}", item.build_arguments(value)) for item, value in others[:1])


def _compare_totals(
    case: Case, day_range: DayRange, days: Sequence[date], filters: Mapping[str, Any]
) -> tuple[str, bool, Exchange]:
    """Return the problem, or "", whether it is a contradiction, and the exchange. Raises SkipCheck."""
    first, middle, last = days[0], days[(len(days) - 1) // 2], days[-1]

    def count(start: date, end: date) -> tuple[float, Exchange]:
        figures = fetch_figures(case.session, day_range.metric, {**filters, **day_range.build_arguments(start, end)})
        return figures.total, figures.exchange

    total, exchange = count(first, last)
    parts = (count(first, middle)[0], count(middle + ONE_DAY, last)[0])
    if sum(parts) == total:
        return "", False, exchange
    if count(first, last)[0] != total:
        raise ListChangedDuringCheck
    message = (
        f"{first} to {middle} and {middle + ONE_DAY} to {last}: got {parts[0]:g} + {parts[1]:g}, "
        f"expected {total:g} (total for {first} to {last})"
    )
    # The records of one day are counted, so both ends of a range belong to it.
    return message, count(middle, middle)[0] > 0, exchange


def _compare_series(case: Case, day_range: DayRange, days: Sequence[date]) -> Iterator[CheckResult]:
    """Compare the daily series of a range with that of a longer one."""
    time_series = find_time_series(case.session.contract, case.operation)
    if time_series is None or time_series.start.name != day_range.start.name:
        return
    requirement = case.build_requirement(day_range.end.pointer, None, f"{time_series.series} of a longer range")
    middle = days[(len(days) - 1) // 2]
    first, last = max(days[0], middle - MAX_SERIES_DAYS * ONE_DAY), min(days[-1], middle + MAX_SERIES_DAYS * ONE_DAY)
    try:
        shorter, exchange = _fetch_days(case, time_series, first, middle)
        longer, _ = _fetch_days(case, time_series, first, last)
        again, _ = _fetch_days(case, time_series, first, middle)
    except SkipCheck as skip:
        yield case.skip(requirement, skip.reason)
        return
    if again != shorter:
        raise ListChangedDuringCheck
    day = next((day for day in sorted(shorter) if shorter[day] != longer.get(day, 0)), None)
    message = ""
    if day is not None:
        expected = longer.get(day, 0)
        message = f"{day} in {first} to {middle}: got {shorter[day]:g}, expected {expected:g} as in {first} to {last}"
    yield replace(case.build_result(requirement, message, exchange), is_contradiction=bool(message))


def _fetch_days(case: Case, time_series: TimeSeries, first: date, last: date) -> tuple[Mapping[date, float], Exchange]:
    """Return the values of a daily series. Raises SkipCheck."""
    granularity = time_series.granularity
    choices = get_enum_values(case.session.contract, granularity) if granularity is not None else []
    daily = next((choice for choice in choices if choice in DAILY_CHOICES), None)
    options = {granularity.name: daily} if granularity is not None and daily is not None else {}
    bounds = {time_series.start.name: first.isoformat(), time_series.end.name: last.isoformat()}
    points, _, exchange = fetch_series(case, time_series.selector.name, time_series.series, bounds | options)
    return points, exchange
