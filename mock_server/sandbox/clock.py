"""The clock of a sandbox. No other module reads the system's time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# The times that a clock can be set to: years with four digits and some room on both sides.
MIN_CLOCK_TIME = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CLOCK_TIME = datetime(2999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClockState:
    """A state of a clock: its time, whether it is frozen, and its speed (seconds per second of the system's clock)."""

    now: datetime
    is_frozen: bool
    speed: float


class Clock:
    """A clock that follows the system's clock (`source`, UTC) with an offset, unless it is set otherwise."""

    __slots__ = ("_frozen_at", "_speed", "_started_at", "offset", "source")

    def __init__(self, source: Callable[[], datetime], offset: timedelta = timedelta(0)) -> None:
        self.source = source
        self.offset = offset
        self._frozen_at: datetime | None = None
        self._speed = 1.0
        self._started_at: datetime | None = None  # system time when a speed other than 1 began

    def now(self) -> datetime:
        return self.convert(self.source())

    def convert(self, system_time: datetime) -> datetime:
        """Return the time of this clock at a time of the system's clock; at the end of its range it stops."""
        if self._frozen_at is not None:
            return self._frozen_at
        if self._started_at is not None:
            return self._scale(self._started_at, system_time)
        now = system_time + self.offset
        return now if now <= MAX_CLOCK_TIME else MAX_CLOCK_TIME

    def _scale(self, started_at: datetime, system_time: datetime) -> datetime:
        """Return the time of a clock whose speed is not 1."""
        try:
            return min(started_at + self.offset + (system_time - started_at) * self._speed, MAX_CLOCK_TIME)
        except OverflowError:
            return MAX_CLOCK_TIME

    def get_state(self) -> ClockState:
        return ClockState(self.now(), self._frozen_at is not None, self._speed)

    def set_state(self, state: ClockState) -> None:
        """Continue from the time of a state. Raises ValueError for a time that a clock cannot have."""
        if not MIN_CLOCK_TIME <= state.now <= MAX_CLOCK_TIME:
            expected = f"{format_timestamp(MIN_CLOCK_TIME)} to {format_timestamp(MAX_CLOCK_TIME)}"
            raise ValueError(f"invalid time {format_timestamp(state.now)} (expected {expected})")
        system_time = self.source()
        self.offset = state.now - system_time
        self._frozen_at = state.now if state.is_frozen else None
        self._speed = state.speed
        self._started_at = None if state.speed == 1 else system_time


def get_system_time() -> datetime:
    return datetime.now(UTC)


def format_timestamp(instant: datetime) -> str:
    """Format an instant: ``2024-01-15T10:30:00.000000Z``."""
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
