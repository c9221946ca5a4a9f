"""Metrics of one resource: a count or a sum, as one value or as a time series with an entry for each period."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any

from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.json_encoding import encode_json
from mock_server.query import collect_query_arguments
from mock_server.sandbox.clock import format_timestamp

MAX_SERIES_ENTRIES = 10_000  # as in the contract
# Granularity -> SQL that converts a timestamp to the first day of its period.
PERIOD_START_SQL = {
    "daily": "substr({0}, 1, 10)",
    "weekly": "date(substr({0}, 1, 10), '-6 days', 'weekday 1')",
    "monthly": "substr({0}, 1, 7) || '-01'",
}
PERIOD_DAYS = {"7d": 7, "30d": 30, "90d": 90, "365d": 365}
# Granularity -> step that leads from the first day of a period into the next period.
_PERIOD_STEP = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=31)}


@dataclass(frozen=True, slots=True)
class DateRange:
    """The days of a series, as ``2026-03-01``. `first_day` None: the series starts at the first day with a value."""

    first_day: str | None
    last_day: str


def compute_metrics(request: ActionRequest) -> ActionResult:
    """Count or sum the records that match the body's filters."""
    store, body, resource = request.store, request.body, request.resource
    query = request.viewer_query
    request_body = request.operation.request_body
    arguments = collect_query_arguments(tuple(request_body.fields.values()) if request_body else (), body)
    condition = query.build_visible_condition(resource, arguments)
    is_sum = body["calculation"].endswith("_sum")
    if is_sum:
        value = query.build_expression(resource, body["property"])
        value_sql, parameters = f"COALESCE(SUM({value.sql}), 0)", value.parameters
        total = store.aggregate(resource.name, value_sql, condition, parameters)
    else:
        value_sql, parameters = "COUNT(*)", ()
        total = store.count(resource.name, condition)
    data: list[dict[str, Any]] = [{"value": total}]
    if body["calculation"].startswith("time_series"):
        created = resource.attributes_with_stamp("created")[:1]
        period = PERIOD_START_SQL[body["granularity"]].format(store.build_expression(resource.name, created[0]).sql)
        values_by_period = store.aggregate_by(resource.name, period, value_sql, condition, parameters)
        # The last day defaults to today.
        bounds = {a.x_query.operator: str(a.value)[:10] for a in arguments if a.x_query.paths == (created,)}
        date_range = DateRange(bounds.get("from"), bounds.get("to", request.timestamp[:10]))
        series = fill_series(values_by_period, date_range, body["granularity"], MAX_SERIES_ENTRIES)
        data = [{"date": date, "value": entry} for date, entry in series.items()]
    return ActionResult(encode_json({"data": data, "total": total}))


def get_period_start(request: ActionRequest, period: str | None) -> str:
    """Return the timestamp at which a period up to now starts; empty for no period and for ``all``."""
    days = PERIOD_DAYS.get(period or "")
    return format_timestamp(request.now - timedelta(days=days)) if days else ""


def fill_series(
    values_by_day: Mapping[str, Any], date_range: DateRange, granularity: str, max_entries: int
) -> dict[str, Any]:
    """Return first day of a period -> value, in order, with zeros for periods of `date_range` without a value.

    No zeros are added if the series would have more than `max_entries` entries.
    """
    first = date_range.first_day or min(values_by_day, default=None)
    if first is None:
        return {}
    last = max(date_range.last_day, max(values_by_day, default=""))
    periods = _iter_periods(date.fromisoformat(first), date.fromisoformat(last), granularity)
    days = list(islice(periods, max_entries + 1))
    zeros = dict.fromkeys((day.isoformat() for day in days), 0) if len(days) <= max_entries else {}
    return dict(sorted({**zeros, **values_by_day}.items()))


def _iter_periods(day: date, last: date, granularity: str) -> Iterator[date]:
    """Yield the first day of each period from that of `day` to that of `last`; weeks start on Monday."""
    day = _get_first_day(day, granularity)
    while day <= last:
        yield day
        try:
            day = _get_first_day(day + _PERIOD_STEP[granularity], granularity)
        except OverflowError:  # date.max
            return


def _get_first_day(day: date, granularity: str) -> date:
    if granularity == "monthly":
        return day.replace(day=1)
    return date.fromordinal(day.toordinal() - day.weekday()) if granularity == "weekly" else day
