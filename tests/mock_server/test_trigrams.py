"""An index of the searched texts finds what reading them all finds, whatever was written, undone or reopened before."""

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
from tests.mock_server.museum import museum, paged

ROOM = museum().resources["Room"]
SEARCHED = museum().operations["listRooms"].parameters
# Few characters, so that terms are found: quotes that FTS5 reads, NUL that ends its texts, and what grows when folded.
texts = st.text("ab\"' \0\1ßİΣ\U0001d4b3\U0010ffff", max_size=8)
terms = st.text("abB\"'\0\1ßsİΣς\U0001d4b3\U0010ffff", min_size=1, max_size=5)
PAGE = 3


def own_of(number: int, name: str) -> dict[str, Any]:
    """Own properties of the room with a number."""
    return {"uuid": f"r{number}", "name": name, "floor": number % 3, "open": False, "created_at": None}


def found(store: Store, term: str, **values: Any) -> tuple[int, list[Any]]:
    """(total, keys of the first page) of the rooms that a search finds."""
    page = paged(Query(store, None), ROOM, collect_query_arguments(SEARCHED, {"search": term, "size": PAGE, **values}))
    return page.total, [row.key for row in page.rows]


class Undone(Exception):
    """Leaves a transaction, so that it is rolled back."""


class Library(RuleBasedStateMachine):
    """A store of rooms whose texts are all indexed at each search, and a dictionary of their names."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.create(museum())
        self.names: dict[int, str] = {}
        self.eager()

    def eager(self) -> None:
        for trigrams in self.store.search_indexes.values():
            trigrams.max_unindexed = 0

    def write(self, names: dict[int, str], number: int, name: str) -> None:
        if number in names:
            self.store.update("Room", f"r{number}", own_of(number, name))
        else:
            self.store.add(Record("Room", f"r{number}", own_of(number, name), {}))
        names[number] = name

    def remove(self, names: dict[int, str], number: int) -> None:
        self.store.delete("Room", f"r{number}")
        names.pop(number, None)

    @rule(number=st.integers(1, 12), name=texts)
    def named(self, number: int, name: str) -> None:
        self.write(self.names, number, name)

    @rule(number=st.integers(1, 12))
    def removed(self, number: int) -> None:
        self.remove(self.names, number)

    @rule(number=st.integers(1, 12), other=st.integers(1, 12), name=texts, term=terms)
    def undone(self, number: int, other: int, name: str, term: str) -> None:
        apart = dict(self.names)
        with suppress(Undone), self.store.transaction():
            self.remove(apart, other)
            self.write(apart, number, name)
            assert found(self.store, term)[0] == len(self.holding(apart, term))
            raise Undone

    @rule()
    def reopened(self) -> None:
        image = self.store.serialize()
        self.store.close()
        self.store = Store.from_image(museum(), image)
        self.eager()

    @rule(term=terms, direction=st.sampled_from(("asc", "desc")))
    def searched(self, term: str, direction: str) -> None:
        due = self.holding(self.names, term)
        ordered = sorted(due, key=lambda number: (self.names[number], f"r{number}"))
        if direction == "desc":
            ordered = sorted(sorted(due, key=lambda number: f"r{number}"), key=self.names.__getitem__, reverse=True)
        keys = [f"r{number}" for number in ordered[:PAGE]]
        assert found(self.store, term, sort="name", direction=direction) == (len(due), keys)

    @staticmethod
    def holding(names: Mapping[int, str], term: str) -> list[int]:
        """Numbers of the rooms whose name, or key, holds a term, whatever the case."""
        sought = term.casefold()
        return [number for number, name in names.items() if sought in name.casefold() or sought in f"r{number}"]

    @invariant()
    def every_record_is_among_those_that_may_hold_its_parts(self) -> None:
        for number, *own in self.store.connection.execute('SELECT n, "s_name", "s_uuid" FROM "Room"').fetchall():
            for part in {text[at : at + length] for text in own for at in range(len(text)) for length in (1, 2, 3, 4)}:
                said = self.store.find_search_candidates("Room", part, 100)
                assert said is not None
                assert number in said[0]

    def teardown(self) -> None:
        self.store.close()


TestLibrary = Library.TestCase


@pytest.fixture
def many() -> Iterator[Store]:
    store = Store.create(museum())
    with store.transaction():
        for number in range(1, MAX_UNINDEXED_RECORDS + 2):
            store.add(Record("Room", f"r{number}", own_of(number, f"Hall {number}"), {}))
    yield store
    store.close()


def index(store: Store) -> TrigramIndex:
    """The index of the rooms."""
    return store.search_indexes["Room"]


def test_few_records_are_not_indexed(many: Store) -> None:
    many.delete("Room", "r1")
    assert found(many, "hall")[0] == MAX_UNINDEXED_RECORDS
    assert many.find_search_candidates("Room", "hall", 2 * MAX_UNINDEXED_RECORDS) is None


def test_many_records_are_indexed(many: Store) -> None:
    assert found(many, "hall 77")[0] == 11
    said = many.find_search_candidates("Room", "hall 77", 100)
    assert said is not None
    assert (len(said[0]), said[1]) == (11, MAX_UNINDEXED_RECORDS + 1)


def test_common_term_is_looked_up_once(many: Store) -> None:
    assert many.find_search_candidates("Room", "hall", 100) is None
    before: list[str] = []
    many.connection.set_trace_callback(before.append)
    assert many.find_search_candidates("Room", "hall", 100) is None
    assert not [sql for sql in before if "MATCH" in sql]


def test_long_term_is_found_by_some_trigrams(many: Store) -> None:
    long = "".join(chr(0x4E00 + n) for n in range(300))
    many.add(Record("Room", "long", own_of(0, f"x{long}x") | {"uuid": "long"}, {}))
    assert found(many, long) == (1, ["long"])
    assert found(many, long[:-1] + "y") == (0, [])


def test_smallest_character_is_found(many: Store) -> None:
    with many.transaction():
        for number in range(MAX_UNINDEXED_RECORDS):
            key = f"k{number}"
            name = f"Z{chr(0x4E00 + number)}"
            many.add(Record("Room", key, own_of(0, name) | {"uuid": key}, {}))
    assert found(many, "z", sort="name") == (MAX_UNINDEXED_RECORDS, ["k0", "k1", "k2"])
    said = many.find_search_candidates("Room", "z", 2 * MAX_UNINDEXED_RECORDS)
    assert said is not None
    assert len(said[0]) + (many.next_number("Room") - 1 - said[1]) >= MAX_UNINDEXED_RECORDS


def test_index_is_built_in_steps_and_used_when_complete(many: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mock_server.store.search_index.MAX_BATCH_CHARS", 500)
    index(many).max_unindexed = 10
    answers, steps = set(), 0
    while many.find_search_candidates("Room", "hall 77", 100) is None:
        answers.add(found(many, "hall 77")[0])
        steps += 1
        assert steps < MAX_UNINDEXED_RECORDS
    assert steps > 3
    assert answers == {11} == {found(many, "hall 77")[0]}


def test_search_works_without_fts5(many: Store) -> None:
    with_index = found(many, "hall 77")
    many.search_indexes.clear()
    many.changes.memo.clear()
    assert found(many, "hall 77") == with_index


def test_records_written_without_fts5_are_found_with_fts5_later(many: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(many, "hall 77")[0] == 11
    with monkeypatch.context() as patched:
        patched.setattr("mock_server.store.search_index._has_trigram_support", lambda connection: False)
        without = Store.from_image(museum(), many.serialize())
    without.update("Room", "r1", own_of(1, "Quire"))
    again = Store.from_image(museum(), without.serialize())
    assert found(again, "quire") == (1, ["r1"])
    for store in (without, again):
        store.close()


@given(st.lists(texts, max_size=4), terms)
def test_search_through_relation_finds_every_record(names: list[str], term: str) -> None:
    pairs = []
    for eager in (True, False):
        store = Store.create(museum())
        for trigrams in store.search_indexes.values():
            trigrams.max_unindexed = 0 if eager else MAX_UNINDEXED_RECORDS
        for number, name in enumerate(names, 1):
            store.add(Record("Room", f"r{number}", own_of(number, name), {}))
            own = {"id": number, "title": "t", "kind": "statue", "lit": True, "tags": []}
            store.add(Record("Exhibit", number, own, {"room": Reference("Room", f"r{number}")}))
        operation = museum().operations["listExhibits"]
        words = collect_query_arguments(operation.parameters, {"search": term})
        page = paged(Query(store, None), museum().resources["Exhibit"], words)
        pairs.append((page.total, [row.key for row in page.rows]))
        store.close()
    assert pairs[0] == pairs[1]
