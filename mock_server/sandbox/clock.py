"""The clock of a sandbox. No other module reads the system's time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Clock:
    """The system's clock (`source`, UTC) plus `offset`."""

    source: Callable[[], datetime]
    offset: timedelta = timedelta(0)

    def now(self) -> datetime:
        return self.source() + self.offset


def get_system_time() -> datetime:
    return datetime.now(UTC)


def format_timestamp(instant: datetime) -> str:
    """Format an instant: ``2024-01-15T10:30:00.000000Z``."""
    return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
