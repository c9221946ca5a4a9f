"""The search index finds what a scan of all texts finds, after any writes, rollbacks and reopening."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mock_server.query import Query, collect_query_arguments
from mock_server.store import Store
from mock_server.store.search_index import MAX_UNINDEXED_RECORDS, TrigramIndex
from spec.record import Record, Reference
from tests.mock_server.museum_contract import fetch_page, museum

ROOM = museum().resources["Room"]
SEARCHED = museum().operations["listRooms"].parameters
# Few characters, so that terms match: FTS5 quotes, NUL, which ends FTS5 texts, and characters that grow when folded.
texts = st.text("ab\"' \0\1ßİΣ\U0001d4b3\U0010ffff", max_size=8)
terms = st.text("abB\"'\0\1ßsİΣς\U0001d4b3\U0010ffff", min_size=1, max_size=5)
PAGE = 3


def create_room_attributes(number: int, name: str) -> dict[str, Any]:
    """Return the attributes of the room with a number."""
    return {"uuid": f"r{number}", "name": name, "floor": number % 3, "open": False, "created_at": None}


def search(store: Store, term: str, **values: Any) -> tuple[int, list[Any]]:
    """Return (total, keys of the first page) of a search for rooms."""
    page = fetch_page(
        Query(store, None), ROOM, collect_query_arguments(SEARCHED, {"search": term, "size": PAGE, **values})
    )
    return page.total, [row.key for row in page.rows]


class ForcedRollbackError(Exception):
    """Raised inside a transaction to roll it back."""


class SearchMachine(RuleBasedStateMachine):
    """A store of rooms that indexes all texts at each search, and a dictionary of their names."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.create(museum())
        self.names: dict[int, str] = {}
        self.index_immediately()

    def index_immediately(self) -> None:
        for trigrams in self.store.search_indexes.values():
            trigrams.max_unindexed = 0

    def write(self, names: dict[int, str], number: int, name: str) -> None:
        if number in names:
            self.store.update("Room", f"r{number}", create_room_attributes(number, name))
        else:
            self.store.add(Record("Room", f"r{number}", create_room_attributes(number, name), {}))
        names[number] = name

    def remove(self, names: dict[int, str], number: int) -> None:
        self.store.delete("Room", f"r{number}")
        names.pop(number, None)

    @rule(number=st.integers(1, 12), name=texts)
    def write_name(self, number: int, name: str) -> None:
        self.write(self.names, number, name)

    @rule(number=st.integers(1, 12))
    def delete_room(self, number: int) -> None:
        self.remove(self.names, number)

    @rule(number=st.integers(1, 12), other=st.integers(1, 12), name=texts, term=terms)
    def roll_back(self, number: int, other: int, name: str, term: str) -> None:
        expected_names = dict(self.names)
        with suppress(ForcedRollbackError), self.store.transaction():
            self.remove(expected_names, other)
            self.write(expected_names, number, name)
            assert search(self.store, term)[0] == len(self.find_numbers(expected_names, term))
            raise ForcedRollbackError

    @rule()
    def reopen(self) -> None:
        image = self.store.serialize()
        self.store.close()
        self.store = Store.from_image(museum(), image)
        self.index_immediately()

    @rule(term=terms, direction=st.sampled_from(("asc", "desc")))
    def search_by_term(self, term: str, direction: str) -> None:
        expected = self.find_numbers(self.names, term)
        sorted_numbers = sorted(expected, key=lambda number: (self.names[number], f"r{number}"))
        if direction == "desc":
            sorted_numbers = sorted(
                sorted(expected, key=lambda number: f"r{number}"), key=self.names.__getitem__, reverse=True
            )
        keys = [f"r{number}" for number in sorted_numbers[:PAGE]]
        assert search(self.store, term, sort="name", direction=direction) == (len(expected), keys)

    @staticmethod
    def find_numbers(names: Mapping[int, str], term: str) -> list[int]:
        """Return the numbers of the rooms whose name or key contains a term, case-insensitively."""
        searched_texts = term.casefold()
        return [
            number
            for number, name in names.items()
            if searched_texts in name.casefold() or searched_texts in f"r{number}"
        ]

    @invariant()
    def candidates_contain_every_match(self) -> None:
        for number, *texts_of_row in self.store.connection.execute(
            'SELECT n, "s_name", "s_uuid" FROM "Room"'
        ).fetchall():
            for part in {
                text[start : start + length]
                for text in texts_of_row
                for start in range(len(text))
                for length in (1, 2, 3, 4)
            }:
                candidates = self.store.find_search_candidates("Room", part, 100)
                assert candidates is not None
                assert number in candidates[0]

    def teardown(self) -> None:
        self.store.close()


TestSearch = SearchMachine.TestCase


@pytest.fixture
def large_store() -> Iterator[Store]:
    store = Store.create(museum())
    with store.transaction():
        for number in range(1, MAX_UNINDEXED_RECORDS + 2):
            store.add(Record("Room", f"r{number}", create_room_attributes(number, f"Hall {number}"), {}))
    yield store
    store.close()


def get_index(store: Store) -> TrigramIndex:
    """Return the index of the rooms."""
    return store.search_indexes["Room"]


def test_few_records_are_not_indexed(large_store: Store) -> None:
    large_store.delete("Room", "r1")
    assert search(large_store, "hall")[0] == MAX_UNINDEXED_RECORDS
    assert large_store.find_search_candidates("Room", "hall", 2 * MAX_UNINDEXED_RECORDS) is None


def test_many_records_are_indexed(large_store: Store) -> None:
    assert search(large_store, "hall 77")[0] == 11
    candidates = large_store.find_search_candidates("Room", "hall 77", 100)
    assert candidates is not None
    assert (len(candidates[0]), candidates[1]) == (11, MAX_UNINDEXED_RECORDS + 1)


def test_common_term_is_looked_up_once(large_store: Store) -> None:
    assert large_store.find_search_candidates("Room", "hall", 100) is None
    before: list[str] = []
    large_store.connection.set_trace_callback(before.append)
    assert large_store.find_search_candidates("Room", "hall", 100) is None
    assert not [sql for sql in before if "MATCH" in sql]


def test_long_term_is_found_by_some_trigrams(large_store: Store) -> None:
    long = "".join(chr(0x4E00 + n) for n in range(300))
    large_store.add(Record("Room", "long", create_room_attributes(0, f"x{long}x") | {"uuid": "long"}, {}))
    assert search(large_store, long) == (1, ["long"])
    assert search(large_store, long[:-1] + "y") == (0, [])


def test_smallest_character_is_found(large_store: Store) -> None:
    with large_store.transaction():
        for number in range(MAX_UNINDEXED_RECORDS):
            key = f"k{number}"
            name = f"Z{chr(0x4E00 + number)}"
            large_store.add(Record("Room", key, create_room_attributes(0, name) | {"uuid": key}, {}))
    assert search(large_store, "z", sort="name") == (MAX_UNINDEXED_RECORDS, ["k0", "k1", "k2"])
    candidates = large_store.find_search_candidates("Room", "z", 2 * MAX_UNINDEXED_RECORDS)
    assert candidates is not None
    assert len(candidates[0]) + (large_store.next_number("Room") - 1 - candidates[1]) >= MAX_UNINDEXED_RECORDS


def test_index_is_built_in_steps_and_used_when_complete(large_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mock_server.store.search_index.MAX_BATCH_CHARS", 500)
    get_index(large_store).max_unindexed = 10
    results, steps = set(), 0
    while large_store.find_search_candidates("Room", "hall 77", 100) is None:
        results.add(search(large_store, "hall 77")[0])
        steps += 1
        assert steps < MAX_UNINDEXED_RECORDS
    assert steps > 3
    assert results == {11} == {search(large_store, "hall 77")[0]}


def test_search_works_without_fts5(large_store: Store) -> None:
    expected = search(large_store, "hall 77")
    large_store.search_indexes.clear()
    large_store.changes.memo.clear()
    assert search(large_store, "hall 77") == expected


def test_records_written_without_fts5_are_found_with_fts5_later(
    large_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert search(large_store, "hall 77")[0] == 11
    with monkeypatch.context() as patch:
        patch.setattr("mock_server.store.search_index._has_trigram_support", lambda connection: False)
        store_without_index = Store.from_image(museum(), large_store.serialize())
    store_without_index.update("Room", "r1", create_room_attributes(1, "Quire"))
    reopened_store = Store.from_image(museum(), store_without_index.serialize())
    assert search(reopened_store, "quire") == (1, ["r1"])
    for store in (store_without_index, reopened_store):
        store.close()


@given(st.lists(texts, max_size=4), terms)
def test_search_through_relation_finds_every_record(names: list[str], term: str) -> None:
    pairs = []
    for index_immediately in (True, False):
        store = Store.create(museum())
        for trigrams in store.search_indexes.values():
            trigrams.max_unindexed = 0 if index_immediately else MAX_UNINDEXED_RECORDS
        for number, name in enumerate(names, 1):
            store.add(Record("Room", f"r{number}", create_room_attributes(number, name), {}))
            attributes = {"id": number, "title": "t", "kind": "statue", "lit": True, "tags": []}
            store.add(Record("Exhibit", number, attributes, {"room": Reference("Room", f"r{number}")}))
        operation = museum().operations["listExhibits"]
        words = collect_query_arguments(operation.parameters, {"search": term})
        page = fetch_page(Query(store, None), museum().resources["Exhibit"], words)
        pairs.append((page.total, [row.key for row in page.rows]))
        store.close()
    assert pairs[0] == pairs[1]
