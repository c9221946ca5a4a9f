"""Cached responses to reads, each with what it depends on: a write makes only those invalid that it changes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from mock_server.query import Viewer
from mock_server.store import Dependencies, Store, Tag

MAX_TOTAL_BYTES = 8 * 1024 * 1024
MAX_RESPONSE_BYTES = MAX_TOTAL_BYTES // 8  # of the largest cache; a page of 20 Messages has 200,000
MAX_KEY_BYTES = 4096
MAX_TRACKED_TAGS = 20_000
# Estimated bytes of an entry in addition to body and key, and of each tag.
_ENTRY_OVERHEAD = 500
_TAG_OVERHEAD = 150

# Method, path, query, base URL, and the names and values of the headers that the mock reads.
CacheKey = tuple[str | bytes, ...]


@dataclass(slots=True)  # not frozen: that takes 0.3 µs longer for each uncached read
class CachedResponse:
    """A response, not modified, with the viewer and the token that it was created for."""

    body: bytes
    status: int
    viewer: Viewer | None
    token: str | None
    dependencies: Dependencies


@dataclass(slots=True)
class ResponseCache:
    """The cached responses of one store, each with the generation at which it was last valid.

    `write_generations`: tag -> generation of the last write that changed it. `total_bytes`: size of all entries.
    """

    store: Store
    max_total_bytes: int = MAX_TOTAL_BYTES
    total_bytes: int = 0
    write_generations: dict[Tag, int] = field(default_factory=dict)
    entries: dict[CacheKey, tuple[int, CachedResponse]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store.listeners.append(self.on_write)

    def on_write(self, changed_tags: Iterable[Tag] | None) -> None:
        """Record the changed tags of a write; None: everything changed."""
        if changed_tags is None or len(self.write_generations) > MAX_TRACKED_TAGS:
            self.write_generations.clear()
            self.entries.clear()
            self.total_bytes = 0
            return
        for tag in changed_tags:
            self.write_generations[tag] = self.store.generation

    def get(self, key: CacheKey) -> CachedResponse | None:
        """Return the response of a key if it is still valid."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        generation, response = entry
        current = self.store.generation
        if generation != current:
            if not self.is_valid(response.dependencies, generation):
                return None
            self.entries[key] = (current, response)
        return response

    def is_valid(self, dependencies: Dependencies, generation: int) -> bool:
        """Return whether none of the dependencies has changed since a generation."""
        generations, write_generations = self.store.changes.generation_by_resource, self.write_generations
        for name in dependencies.resources:
            if generations[name] > generation:
                return False
        return all(write_generations.get(tag, 0) <= generation for tag in dependencies.tags)

    def put(self, key: CacheKey, response: CachedResponse) -> None:
        """Add a response unless something was written since it was read; a full cache is cleared."""
        generation = response.dependencies.generation
        key_bytes = sum(map(len, key))
        is_too_large = key_bytes > MAX_KEY_BYTES or len(response.body) > self.max_total_bytes // 8
        if is_too_large or generation != self.store.generation:
            return
        previous, size = self.entries.pop(key, None), _get_size(key_bytes, response)
        self.total_bytes += size - (_get_size(key_bytes, previous[1]) if previous else 0)
        if self.total_bytes > self.max_total_bytes:
            self.entries.clear()
            self.total_bytes = size
        self.entries[key] = (generation, response)


def _get_size(key_bytes: int, response: CachedResponse) -> int:
    return key_bytes + len(response.body) + _TAG_OVERHEAD * len(response.dependencies.tags) + _ENTRY_OVERHEAD
