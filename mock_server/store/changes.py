"""Write generations, change notification and values memoized until the next write."""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

# (resource, key): one record. (resource, relation, value): the set of records whose relation holds that value.
Tag = tuple[str, Any] | tuple[str, str, Any]

MAX_MEMO_ENTRIES = 2_000
_Value = TypeVar("_Value")


@dataclass(slots=True)  # not frozen: that takes 0.2 µs longer for each uncached read
class Dependencies:
    """What a value read at a generation depends on: the records and sets of `tags`, and all records of `resources`."""

    generation: int
    tags: Set[Tag]
    resources: tuple[str, ...]


@dataclass(slots=True)
class ChangeTracker:
    """Counts the writes to a store and notifies `listeners` of each.

    `generation` is the number of writes, `generation_by_resource` the generation of each resource's last write: a value
    that was read is valid until its resource's generation changes. Listeners receive the tags that a write changed, or
    None if anything may have changed.
    """

    generation_by_resource: dict[str, int]
    generation: int = 0
    listeners: list[Callable[[Iterable[Tag] | None], None]] = field(default_factory=list)
    memo: dict[Any, tuple[int, Any]] = field(default_factory=dict)

    def publish(self, changed_tags: set[Tag] | None) -> None:
        """Count a write and notify the listeners."""
        self.generation += 1
        for name in self.generation_by_resource if changed_tags is None else {tag[0] for tag in changed_tags}:
            self.generation_by_resource[name] = self.generation
        for listener in self.listeners:
            listener(changed_tags)

    def memoize(self, key: Any, resource_names: Iterable[str], compute: Callable[[], _Value]) -> _Value:
        """Return the result of `compute`, cached until a record of one of the resources is written."""
        generation = max(map(self.generation_by_resource.__getitem__, resource_names), default=0)
        entry = self.memo.get(key)
        if entry is not None and entry[0] == generation:
            cached: _Value = entry[1]
            return cached
        value = compute()
        if len(self.memo) >= MAX_MEMO_ENTRIES:
            self.memo.clear()
        self.memo[key] = (generation, value)
        return value
