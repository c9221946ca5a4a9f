"""Periods of time, as metrics speak of them: which there are, and series that have an entry for each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any

from mock_server.call import Call
from mock_server.clock import written

# SQL that turns an instant's column into the first day of its period.
FIRST_DAY = {
    "daily": "substr({0}, 1, 10)",
    "weekly": "date(substr({0}, 1, 10), '-6 days', 'weekday 1')",
    "monthly": "substr({0}, 1, 7) || '-01'",
}
DAYS = {"7d": 7, "30d": 30, "90d": 90, "365d": 365}


@dataclass(frozen=True, slots=True)
class Span:
    """The days that a series is about, as ``2026-03-01``. `first` None: from the first that has a value."""

    first: str | None
    last: str


def since(call: Call, period: str | None) -> str:
    """The instant at which a period up to now began; before all others for no period, or for `all`."""
    days = DAYS.get(period or "")
    return written(call.now - timedelta(days=days)) if days else ""


def series(found: Mapping[str, Any], span: Span, granularity: str, most: int) -> dict[str, Any]:
    """Period's first day -> value, in order, with a zero for each period of `span` in which nothing was `found`.

    One that would have more than `most` entries has none for the others.
    """
    first = span.first or min(found, default=None)
    if first is None:
        return {}
    last = max(span.last, max(found, default=""))
    days = list(islice(_periods(date.fromisoformat(first), date.fromisoformat(last), granularity), most + 1))
    zeros = dict.fromkeys((day.isoformat() for day in days), 0) if len(days) <= most else {}
    return dict(sorted({**zeros, **found}.items()))


def _periods(day: date, last: date, granularity: str) -> Iterator[date]:
    """The first day of each period from that of `day` to that of `last`; weeks begin on Monday."""
    day = _first_of(day, granularity)
    while day <= last:
        yield day
        try:
            day = _first_of(day + _STEP[granularity], granularity)
        except OverflowError:  # the calendar ends
            return


# From a period's first day so far into the next one.
_STEP = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=31)}


def _first_of(day: date, granularity: str) -> date:
    if granularity == "monthly":
        return day.replace(day=1)
    return date.fromordinal(day.toordinal() - day.weekday()) if granularity == "weekly" else day
