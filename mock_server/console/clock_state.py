"""Describes the clock of a sandbox in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TimeUnit:
    """A unit of time. `seconds`: its length."""

    seconds: int
    name: str
    symbol: str


_DAY = TimeUnit(86400, "day", "d")
_SECOND = TimeUnit(1, "second", "s")
_UNITS = (_DAY, TimeUnit(3600, "hour", "h"), TimeUnit(60, "minute", "min"), _SECOND)  # the longest first
_MIN_DAYS = 3  # a shorter difference is shown in hours


def describe_difference(clock: Mapping[str, Any]) -> str:
    """Return how a clock of the control API differs from real time, such as ``clock +24 h``; "" if it does not."""
    if clock["frozen"]:
        return "clock frozen"
    if clock["speed"] != 1:
        return f"clock {clock['speed']:g} times as fast"
    offset = round(clock["offset_seconds"])
    distance = abs(offset)
    if not distance:
        return ""
    units = _UNITS if distance >= _MIN_DAYS * _DAY.seconds else _UNITS[1:]
    unit = next(unit for unit in units if distance >= unit.seconds)
    return f"clock {'+' if offset > 0 else '-'}{round(distance / unit.seconds, 1):g} {unit.symbol}"


def describe_duration(seconds: float) -> str:
    """Return a duration, such as ``1 day`` or ``90 seconds``: in the longest unit of which it is a multiple."""
    unit = next((u for u in _UNITS if seconds >= u.seconds and seconds % u.seconds == 0), _SECOND)
    count = f"{seconds / unit.seconds:g}"
    return f"{count} {unit.name}{'' if count == '1' else 's'}"
