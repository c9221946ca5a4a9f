"""Whole answers to reads, kept while what they were made of stands: clients, and test suites above all, ask the same
again and again.

All that the mock reads of a request is in an answer's key. What an answer rests on is told in the store's tags, and in
resources of which any record counts; the store says after each write what it touched. Who a token stands for may change
without a write, by the clock: that is asked anew by whoever gets a kept answer.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from mock_server.query import Viewer
from mock_server.store import Store, Tag

# Bytes of all answers together, and of one; a page of 20 Messages has 200,000.
MAX_TOTAL_BYTES = 8 * 1024 * 1024
MAX_RESPONSE_BYTES = MAX_TOTAL_BYTES // 8
MAX_KEY_BYTES = 4096
MAX_TRACKED_TAGS = 20_000
# What an answer takes beside its bytes and its request's: its place in the dictionary, and each of its tags.
_ENTRY_OVERHEAD = 500
_TAG_OVERHEAD = 150

# A request as bytes: method, path, query, the mock's address, and the names and values of the headers that are read.
CacheKey = tuple[str | bytes, ...]


def build_cache_key(method: str, path: bytes, query: bytes, base_url: str, headers: Mapping[bytes, bytes]) -> CacheKey:
    """The key of a request."""
    return (method, path, query, base_url, *headers, *headers.values())


@dataclass(frozen=True, slots=True)
class CacheDependencies:
    """What an answer was made of: what these tags mean, and whatever `resources` hold."""

    tags: Set[Tag]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """An answer: for whom it was made, by what token, and its status."""

    body: bytes
    status: int
    viewer: Viewer | None
    token: str | None
    depends_on: CacheDependencies


@dataclass(slots=True)
class ResponseCache:
    """The answers of one world, each with the store's generation at which it was last known to hold.

    `write_generations`: tag -> the generation of the last write that touched it. `total_bytes`: bytes of all answers together.
    """

    store: Store
    total_bytes: int = 0
    write_generations: dict[Tag, int] = field(default_factory=dict)
    entries: dict[CacheKey, tuple[int, CachedResponse]] = field(default_factory=dict)

    @classmethod
    def from_store(cls, store: Store) -> "ResponseCache":
        """The answers made of a store; they listen to its writes."""
        cache = cls(store)
        store.listeners.append(cache.on_write)
        return cache

    def on_write(self, changed_tags: Iterable[Tag] | None) -> None:
        """Note what a write touched; None: all."""
        if changed_tags is None or len(self.write_generations) > MAX_TRACKED_TAGS:
            self.write_generations.clear()
            self.entries.clear()
            self.total_bytes = 0
            return
        for tag in changed_tags:
            self.write_generations[tag] = self.store.generation

    def get(self, key: CacheKey) -> CachedResponse | None:
        """The answer to what was asked, if it still holds."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        generation, response = entry
        current = self.store.generation
        if generation != current:
            if not self.is_valid(response.depends_on, generation):
                return None
            self.entries[key] = (current, response)
        return response

    def is_valid(self, depends_on: CacheDependencies, generation: int) -> bool:
        """Whether nothing that an answer of generation `generation` rests on was touched since."""
        generations, write_generations = self.store.changes.generation_by_resource, self.write_generations
        for name in depends_on.resources:
            if generations[name] > generation:
                return False
        return all(write_generations.get(tag, 0) <= generation for tag in depends_on.tags)

    def put(self, key: CacheKey, response: CachedResponse) -> None:
        """Keep an answer of now; when there is no room, all others go."""
        key_bytes = sum(map(len, key))
        if key_bytes > MAX_KEY_BYTES or len(response.body) > MAX_RESPONSE_BYTES:
            return
        previous = self.entries.get(key)
        size = _get_size(response) + key_bytes - (_get_size(previous[1]) + key_bytes if previous else 0)
        if self.total_bytes + size > MAX_TOTAL_BYTES:
            self.entries.clear()
            self.total_bytes, size = 0, _get_size(response) + key_bytes
        self.total_bytes += size
        self.entries[key] = (self.store.generation, response)


def _get_size(response: CachedResponse) -> int:
    return len(response.body) + _TAG_OVERHEAD * len(response.depends_on.tags) + _ENTRY_OVERHEAD
