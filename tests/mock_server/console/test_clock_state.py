"""The clock of a sandbox in words."""

import pytest

from mock_server.console.clock_state import describe_difference, describe_duration

REAL_TIME = {"frozen": False, "speed": 1.0, "offset_seconds": 0.0}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, ""),
        ({"offset_seconds": 0.4}, ""),
        ({"offset_seconds": 30.2}, "clock +30 s"),
        ({"offset_seconds": 3599.999}, "clock +1 h"),
        ({"offset_seconds": 5400}, "clock +1.5 h"),
        ({"offset_seconds": 86400}, "clock +24 h"),
        ({"offset_seconds": -300}, "clock -5 min"),
        ({"offset_seconds": 30 * 86400}, "clock +30 d"),
        ({"offset_seconds": -30 * 86400, "frozen": True}, "clock frozen"),
        ({"speed": 60.0}, "clock 60 times as fast"),
        ({"speed": 0.5}, "clock 0.5 times as fast"),
    ],
)
def test_difference_from_real_time(changes: dict[str, float], text: str) -> None:
    assert describe_difference({**REAL_TIME, **changes}) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (86400, "1 day"),
        (30 * 86400, "30 days"),
        (90, "90 seconds"),
        (3600.0, "1 hour"),
        (120, "2 minutes"),
        (1, "1 second"),
        (0.5, "0.5 seconds"),
        (0, "0 seconds"),
    ],
)
def test_duration_is_in_the_longest_unit_of_which_it_is_a_multiple(seconds: float, text: str) -> None:
    assert describe_duration(seconds) == text
