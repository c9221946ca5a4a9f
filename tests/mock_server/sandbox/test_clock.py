"""The clock of a sandbox."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mock_server.sandbox.clock import MAX_CLOCK_TIME, MIN_CLOCK_TIME, Clock, ClockState
from tests.mock_server.athena import EPOCH, SettableClock


def create_clock(offset: timedelta = timedelta(0)) -> tuple[Clock, SettableClock]:
    system = SettableClock()
    return Clock(system, offset), system


def test_clock_follows_the_system_with_its_offset() -> None:
    clock, system = create_clock(timedelta(days=1))
    system.advance(seconds=5)
    assert clock.now() == EPOCH + timedelta(days=1, seconds=5)
    assert clock.get_state() == ClockState(clock.now(), False, 1)


def test_state_that_was_read_and_set_changes_nothing() -> None:
    clock, system = create_clock()
    for state in (ClockState(EPOCH, True, 1), ClockState(EPOCH, False, 30), ClockState(EPOCH, True, 0.5)):
        clock.set_state(state)
        assert clock.get_state() == state
        system.advance(seconds=7)
        later = clock.get_state()
        clock.set_state(later)
        assert clock.get_state() == later


def test_frozen_clock_continues_with_its_speed() -> None:
    clock, system = create_clock()
    clock.set_state(ClockState(EPOCH, True, 10))
    system.advance(seconds=100)
    assert clock.now() == EPOCH
    clock.set_state(replace(clock.get_state(), is_frozen=False))
    system.advance(seconds=3)
    assert clock.now() == EPOCH + timedelta(seconds=30)


@pytest.mark.parametrize("now", [datetime(1969, 12, 31, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)])
def test_time_outside_of_the_range_is_rejected_and_changes_nothing(now: datetime) -> None:
    clock, _ = create_clock()
    with pytest.raises(ValueError, match=r"expected 1970-01-01T00:00:00\.000000Z to 2999-12-31"):
        clock.set_state(ClockState(now, True, 1))
    assert clock.get_state() == ClockState(EPOCH, False, 1)


def test_clock_stops_at_the_end_of_its_range() -> None:
    clock, system = create_clock()
    clock.set_state(ClockState(MAX_CLOCK_TIME, False, 1))
    system.advance(seconds=1)
    assert clock.get_state() == ClockState(MAX_CLOCK_TIME, False, 1)


def test_fast_clock_stops_at_the_end_of_its_range() -> None:
    clock, system = create_clock()
    clock.set_state(ClockState(MIN_CLOCK_TIME, False, 1e9))
    system.advance(days=1)
    assert clock.now() == MAX_CLOCK_TIME
    system.advance(days=100_000)
    assert clock.now() == MAX_CLOCK_TIME
