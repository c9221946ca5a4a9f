"""Periods of a time series: which are missing, and from which day a range begins."""

from datetime import date, timedelta

import pytest

from conformance.checks.actions.series_periods import find_missing_period, find_month_end

MONTHS = (date(2023, 12, 31), date(2024, 4, 30))
MONTH_STARTS = [date(2023, 12, 1), *(date(2024, month, 1) for month in (1, 2, 3, 4))]
MONTH_ENDS = [date(2023, 12, 31), date(2024, 1, 31), date(2024, 2, 29), date(2024, 3, 31), date(2024, 4, 30)]
LEAP_DAYS = (date(2024, 2, 27), date(2024, 3, 2))
WEEKS = (date(2023, 12, 28), date(2024, 2, 1))


def list_days(first: date, last: date, step: int = 1) -> list[date]:
    return [first + timedelta(days=number) for number in range(0, (last - first).days + 1, step)]


@pytest.mark.parametrize("labels", [MONTH_STARTS, MONTH_ENDS, [MONTHS[0], *MONTH_STARTS[1:]]])
def test_any_day_of_a_month_is_its_label(labels: list[date]) -> None:
    assert find_missing_period(labels, "monthly", MONTHS) == ""


@pytest.mark.parametrize("first", [WEEKS[0] - timedelta(days=days) for days in range(7)])
def test_week_begins_on_any_day(first: date) -> None:
    assert find_missing_period(list_days(first, WEEKS[1], 7), "weekly", WEEKS) == ""


@pytest.mark.parametrize("labels", [MONTH_STARTS[:2] + MONTH_STARTS[3:], MONTH_STARTS[1:], MONTH_STARTS[:-1]])
def test_missing_month_is_found(labels: list[date]) -> None:
    assert "got no value for the period" in find_missing_period(labels, "monthly", MONTHS)


@pytest.mark.parametrize("missing", range(5))
def test_missing_week_is_found(missing: int) -> None:
    weeks = list_days(WEEKS[0], WEEKS[1], 7)
    assert find_missing_period(weeks[:missing] + weeks[missing + 1 :], "weekly", WEEKS)


def test_missing_leap_day_and_day_outside_of_the_range_are_found() -> None:
    days = list_days(*LEAP_DAYS)
    assert find_missing_period(days, "daily", LEAP_DAYS) == ""
    assert find_missing_period([day for day in days if day != date(2024, 2, 29)], "daily", LEAP_DAYS)
    assert find_missing_period([*days, date(2024, 3, 3)], "daily", LEAP_DAYS)


@pytest.mark.parametrize("today", list_days(date(2024, 1, 1), date(2026, 12, 31), 17))
def test_range_begins_on_a_31st_and_includes_a_shorter_month_or_two_months(today: date) -> None:
    first = find_month_end(today)
    assert first.day == 31
    assert (today.year - first.year) * 12 + today.month - first.month >= 3
