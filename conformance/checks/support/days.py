"""Days that show in which time zone a server compares dates."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

ONE_DAY = timedelta(days=1)


def find_zone_dependent_days(instants: Sequence[datetime], operator: str) -> Iterator[date]:
    """Yield bounds of a filter by day, for `from` or `to`, that other time zones select other records for.

    They are next to the instants (in UTC) that are the latest and the earliest in their day. East of UTC, the latest
    belongs to the next day, and west of UTC, the earliest to the day before.
    """
    if not instants:
        return
    latest = max(instants, key=lambda instant: instant.time())
    earliest = min(instants, key=lambda instant: instant.time())
    yield latest.date() + (ONE_DAY if operator == "from" else timedelta())
    yield earliest.date() - (ONE_DAY if operator == "to" else timedelta())
