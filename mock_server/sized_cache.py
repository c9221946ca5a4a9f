"""A cache whose limit is the memory that its entries use."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MIB = 1024 * 1024
MIN_CAPACITY = 8  # entries of the largest accepted size; a larger entry would replace too many others

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(slots=True)
class SizedCache(Generic[_Key, _Value]):
    """Entries of at most `max_bytes` in total; a full cache is cleared.

    `measure`: estimates the bytes of an entry; the same entry must have the same result. `entries`: for reading only.
    """

    max_bytes: int
    measure: Callable[[_Key, _Value], int]
    total_bytes: int = 0
    entries: dict[_Key, _Value] = field(default_factory=dict)

    def put(self, key: _Key, value: _Value) -> bool:
        """Add or replace an entry, unless it is too large. Returns True if the cache was full and has been cleared."""
        if key in self.entries:
            self.remove(key)
        size = self.measure(key, value)
        if size > self.max_bytes // MIN_CAPACITY:
            return False
        is_full = self.total_bytes + size > self.max_bytes
        if is_full:
            self.clear()
        self.entries[key] = value
        self.total_bytes += size
        return is_full

    def remove(self, key: _Key) -> _Value | None:
        """Remove and return an entry; None if there is none."""
        value = self.entries.pop(key, None)
        if value is not None:
            self.total_bytes -= self.measure(key, value)
        return value

    def clear(self) -> None:
        self.entries.clear()
        self.total_bytes = 0
