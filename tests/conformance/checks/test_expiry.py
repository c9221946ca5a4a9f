"""Tests of what a login states as the expiry of its token."""

from datetime import UTC, datetime
from typing import Any

import pytest

from conformance.checks.access.expiry import describe_past

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "is_past"),
    [
        (0, True),
        (3600, False),
        ("2026-03-01T12:00:00Z", True),
        ("2026-03-01T12:00:01+00:00", False),
        ("2026-03-01T12:30:00+02:00", True),
        ("2026-03-01T11:00:00", None),  # without a zone
        (None, None),
    ],
)
def test_expiry_that_is_past(value: Any, is_past: bool | None) -> None:
    problem = describe_past(value, NOW)
    assert (None if problem is None else bool(problem)) is is_past


def test_time_of_a_target_that_shows_none_is_unknown() -> None:
    assert describe_past("2020-01-01T00:00:00Z", None) is None
