"""Cache of complete responses to reads: clients, and test suites in particular, repeat their requests.

The key contains everything that the mock reads of a request. A response depends on tags of the store and on complete
resources, and is valid until a write changes one of them. The viewer of a token can change without a write, when the
token expires: the caller checks it for each response from the cache.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from mock_server.query import Viewer
from mock_server.store import Store, Tag

MAX_TOTAL_BYTES = 8 * 1024 * 1024
MAX_RESPONSE_BYTES = MAX_TOTAL_BYTES // 8  # a page of 20 Messages has 200,000
MAX_KEY_BYTES = 4096
MAX_TRACKED_TAGS = 20_000
# Estimated bytes of an entry in addition to body and key, and of each tag.
_ENTRY_OVERHEAD = 500
_TAG_OVERHEAD = 150

# Method, path, query, base URL, and the names and values of the headers that the mock reads.
CacheKey = tuple[str | bytes, ...]


def build_cache_key(method: str, path: bytes, query: bytes, base_url: str, headers: Mapping[bytes, bytes]) -> CacheKey:
    return (method, path, query, base_url, *headers, *headers.values())


@dataclass(frozen=True, slots=True)
class CacheDependencies:
    """What a response depends on: these tags, and all records of `resources`."""

    tags: Set[Tag]
    resources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A response with the viewer and the token that it was created for."""

    body: bytes
    status: int
    viewer: Viewer | None
    token: str | None
    depends_on: CacheDependencies


@dataclass(slots=True)
class ResponseCache:
    """The cached responses of one sandbox, each with the generation at which it was last valid.

    `write_generations`: tag -> generation of the last write that changed it. `total_bytes`: size of all entries.
    """

    store: Store
    total_bytes: int = 0
    write_generations: dict[Tag, int] = field(default_factory=dict)
    entries: dict[CacheKey, tuple[int, CachedResponse]] = field(default_factory=dict)

    @classmethod
    def from_store(cls, store: Store) -> "ResponseCache":
        """Create the cache of a store and register it as a listener."""
        cache = cls(store)
        store.listeners.append(cache.on_write)
        return cache

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
            if not self.is_valid(response.depends_on, generation):
                return None
            self.entries[key] = (current, response)
        return response

    def is_valid(self, depends_on: CacheDependencies, generation: int) -> bool:
        """Return whether none of the dependencies has changed since a generation."""
        generations, write_generations = self.store.changes.generation_by_resource, self.write_generations
        for name in depends_on.resources:
            if generations[name] > generation:
                return False
        return all(write_generations.get(tag, 0) <= generation for tag in depends_on.tags)

    def put(self, key: CacheKey, response: CachedResponse) -> None:
        """Add a response that is valid now; a full cache is cleared."""
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
