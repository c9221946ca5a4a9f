"""The mock's time. Nothing else asks the system for it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Clock:
    """The system's clock (`source`, UTC), set `offset` by so much, or behind where that is negative."""

    source: Callable[[], datetime]
    offset: timedelta = timedelta(0)

    @classmethod
    def starting_at(cls, instant: datetime, source: Callable[[], datetime]) -> "Clock":
        """A clock that shows `instant` now and runs on."""
        return cls(source, instant - source())

    def now(self) -> datetime:
        """The present instant, UTC."""
        return self.source() + self.offset


def get_system_time() -> datetime:
    """The system's time, UTC."""
    return datetime.now(UTC)


def format_timestamp(instant: datetime) -> str:
    """An instant as Athena writes it: ``2024-01-15T10:30:00.000000Z``."""
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
