"""Periods of time, as metrics speak of them: which there are, and series that have an entry for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any

from mock_server.actions.call import ActionRequest
from mock_server.sandbox.clock import format_timestamp

# SQL that turns an instant's column into the first day of its period.
PERIOD_START_SQL = {
    "daily": "substr({0}, 1, 10)",
    "weekly": "date(substr({0}, 1, 10), '-6 days', 'weekday 1')",
    "monthly": "substr({0}, 1, 7) || '-01'",
}
PERIOD_DAYS = {"7d": 7, "30d": 30, "90d": 90, "365d": 365}


@dataclass(frozen=True, slots=True)
class DateRange:
    """The days that a series is about, as ``2026-03-01``. `first_day` None: from the first that has a value."""

    first_day: str | None
    last_day: str


def get_period_start(request: ActionRequest, period: str | None) -> str:
    """The instant at which a period up to now began; before all others for no period, or for `all`."""
    days = PERIOD_DAYS.get(period or "")
    return format_timestamp(request.now - timedelta(days=days)) if days else ""


def fill_series(
    values_by_day: Mapping[str, Any], date_range: DateRange, granularity: str, max_entries: int
) -> dict[str, Any]:
    """Period's first day -> value, in order, with a zero for each period of `date_range` in which nothing was `values_by_day`.

    One that would have more than `max_entries` entries has none for the others.
    """
    first_day = date_range.first_day or min(values_by_day, default=None)
    if first_day is None:
        return {}
    last_day = max(date_range.last_day, max(values_by_day, default=""))
    days = list(
        islice(_iter_periods(date.fromisoformat(first_day), date.fromisoformat(last_day), granularity), max_entries + 1)
    )
    zeros = dict.fromkeys((day.isoformat() for day in days), 0) if len(days) <= max_entries else {}
    return dict(sorted({**zeros, **values_by_day}.items()))


def _iter_periods(day: date, last: date, granularity: str) -> Iterator[date]:
    """The first day of each period from that of `day` to that of `last`; weeks begin on Monday."""
    day = _get_first_day(day, granularity)
    while day <= last:
        yield day
        try:
            day = _get_first_day(day + _PERIOD_STEP[granularity], granularity)
        except OverflowError:  # the calendar ends
            return


# From a period's first day so far into the next one.
_PERIOD_STEP = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=31)}


def _get_first_day(day: date, granularity: str) -> date:
    if granularity == "monthly":
        return day.replace(day=1)
    return date.fromordinal(day.toordinal() - day.weekday()) if granularity == "weekly" else day
