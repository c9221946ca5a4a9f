"""Caches limited by bytes, and what stored records use."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from mock_server.sized_cache import MIN_CAPACITY, SizedCache
from mock_server.store.writer import encode_attributes
from tests.mock_server.athena import Api

MAX_BYTES = 80
keys = st.sampled_from("abcdefghijklmnop")
steps = st.lists(st.tuples(keys, st.integers(0, 15) | st.none()), max_size=60)


@given(steps)
def test_total_is_the_size_of_all_entries_and_within_the_limit(steps: list[tuple[str, int | None]]) -> None:
    cache: SizedCache[str, bytes] = SizedCache(MAX_BYTES, lambda key, value: len(key) + len(value))
    for key, size in steps:
        before = dict(cache.entries)
        if size is None:
            assert cache.remove(key) == before.pop(key, None)
            assert cache.entries == before
            continue
        value = b"x" * size
        was_cleared = cache.put(key, value)
        before.pop(key, None)
        added = {key: value} if size + 1 <= MAX_BYTES // MIN_CAPACITY else {}
        assert cache.entries == (added if was_cleared else before | added)
        assert cache.total_bytes == sum(1 + len(value) for value in cache.entries.values()) <= MAX_BYTES


def test_encoded_attributes_use_no_more_memory_than_their_content() -> None:
    attributes = {f"attribute_{number}": "x" * 30 for number in range(30)}
    size = len(encode_attributes(attributes))
    tracemalloc.start()
    encoded = [encode_attributes(attributes) for _ in range(100)]
    used_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(encoded) * size <= used_bytes < len(encoded) * (size + 100)


def test_caches_of_large_records_are_limited_by_bytes(api: Api) -> None:
    thread = api.data("createThread", body={"name": "T"})["uuid"]
    for _ in range(50):
        key = api.data("createMessage", body={"thread_uuid": thread, "role": "user", "content": "x" * 100_000})["uuid"]
        api.data("retrieveMessage", key)
    sandbox = api.sandbox
    caches = (sandbox.store.reader.record_cache, sandbox.encoder.segment_cache, sandbox.encoder.embedded_cache)
    for cache in caches:
        sizes = [cache.measure(key, value) for key, value in cache.entries.items()]  # type: ignore[arg-type]
        assert cache.total_bytes == sum(sizes) <= cache.max_bytes
