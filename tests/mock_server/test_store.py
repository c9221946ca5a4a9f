"""Compares the store with plain dictionaries under random adds, updates, deletes, rollbacks and reopening."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mock_server.store import DeleteRestricted, Store, StoredRecord, StoreError, Tag
from mock_server.store.schema import normalize_datetime, to_comparable
from spec.record import Record, Reference
from tests.mock_server.museum_contract import (
    INSTANTS,
    MuseumModel,
    attribute_values,
    datasets,
    museum,
    records,
    relation_values,
    to_instant,
)

RESOURCES = tuple(museum().resources)
STEPS = ("add_record", "update_record", "delete_record")


class RollbackError(Exception):
    """Raised inside a transaction to roll it back."""


class StoreMachine(RuleBasedStateMachine):
    """Applies the same operations to a store and its model."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store.create(museum())
        self.model = MuseumModel()
        self.last_numbers: dict[str, int] = {}
        self.notifications: list[set[Tag] | None] = []
        self.register_listener()

    def register_listener(self) -> None:
        self.store.listeners.append(
            lambda changed_tags: self.notifications.append(None if changed_tags is None else set(changed_tags))
        )

    # Steps

    def add_record(self, data: st.DataObject, model: MuseumModel) -> None:
        resource = data.draw(st.sampled_from(RESOURCES), label="resource")
        number = self.store.next_number(resource)
        record = data.draw(records(resource, number, list(model.entries)), label="record")
        if Reference(record.resource, record.key) in model.entries:
            return
        # Unlike in a dataset, no record refers to a missing record here.
        self.store.add(record, has_new_key=data.draw(st.booleans(), label="has new key"))
        model.numbers[resource] = number - 1
        model.add(record)

    def update_record(self, data: st.DataObject, model: MuseumModel) -> None:
        reference = data.draw(st.sampled_from(list(model.entries)), label="updated record")
        definition = museum().resources[reference.resource]
        changes = data.draw(attribute_values(reference.resource), label="attributes")
        attributes = model.entries[reference].attributes | changes
        stored_relations = [r for r in definition.relations.values() if r.is_stored]
        relation_names = (
            data.draw(st.sets(st.sampled_from([r.name for r in stored_relations])), label="relations")
            if stored_relations
            else ()
        )
        existing = list(model.entries)
        references = {
            r.name: data.draw(relation_values(r, existing), label=r.name)
            for r in stored_relations
            if r.name in relation_names
        }
        self.store.update(reference.resource, reference.key, attributes, references)
        model.update(reference, attributes, references)

    def delete_record(self, data: st.DataObject, model: MuseumModel) -> None:
        reference = data.draw(st.sampled_from(list(model.entries)), label="deleted record")
        if model.delete(reference):
            self.store.delete(*reference)
        else:
            with pytest.raises(DeleteRestricted):
                self.store.delete(*reference)

    @rule(data=st.data())
    def add(self, data: st.DataObject) -> None:
        with self.store.transaction():
            self.add_record(data, self.model)

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        with self.store.transaction():
            self.update_record(data, self.model)

    @precondition(lambda self: self.model.entries)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        with self.store.transaction():
            self.delete_record(data, self.model)

    @rule(data=st.data(), steps=st.lists(st.sampled_from(STEPS), max_size=4))
    def roll_back(self, data: st.DataObject, steps: list[str]) -> None:
        before, notifications = self.store.generation, len(self.notifications)
        model_copy = self.model.copy()
        with suppress(RollbackError), self.store.transaction():
            for step in steps:
                if step == "add_record" or model_copy.entries:
                    act: Callable[[st.DataObject, MuseumModel], None] = getattr(self, step)
                    act(data, model_copy)
            has_written = self.store.generation > before
            raise RollbackError
        # A rollback notifies the listeners; if nothing was written, the caches stay valid.
        assert (self.notifications[notifications:][-1:] == [None]) is has_written
        assert (self.store.generation > before) is has_written

    @rule(data=st.data(), steps=st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), min_size=2, max_size=5))
    def write_without_reads(self, data: st.DataObject, steps: list[tuple[str, bool]]) -> None:
        """Write several records without reads in between, some of them rolled back."""
        for step, is_committed in steps:
            model = self.model if is_committed else self.model.copy()
            if step == "add_record" or model.entries:
                with suppress(RollbackError), self.store.transaction():
                    getattr(self, step)(data, model)
                    if not is_committed:
                        raise RollbackError

    @rule()
    def reopen(self) -> None:
        image = self.store.serialize()
        self.store.close()
        self.store = Store.from_image(museum(), image)
        self.register_listener()

    # Invariants

    @invariant()
    def every_record_equals_the_model(self) -> None:
        for reference, model_record in self.model.entries.items():
            stored = self.store.resolve(reference)
            assert stored is not None
            assert (stored.number, stored.key, stored.attributes) == (
                model_record.number,
                reference.key,
                model_record.attributes,
            )
            assert stored.references == {name: model_record.references.get(name) for name in stored.references}

    @invariant()
    def no_other_record_is_stored(self) -> None:
        assert self.store.count_by_resource() == {name: len(self.model.list_references(name)) for name in RESOURCES}

    @invariant()
    def inverse_relations_are_consistent(self) -> None:
        for reference in self.model.entries:
            for relation in museum().resources[reference.resource].relations.values():
                expected = self.model.find_related(reference, relation.name)
                if relation.inverse is not None:
                    assert list(self.store.find_inverse(relation, reference)) == expected
                elif relation.to_many:
                    linked = self.store.get_linked_references(reference.resource, relation, reference.key)
                    assert list(linked) == expected

    @invariant()
    def derived_values_equal_the_model(self) -> None:
        for reference in self.model.entries:
            for derived in museum().resources[reference.resource].derived_properties.values():
                if derived.kind in ("count", "sum", "max"):
                    stored = self.store.compute_derived(reference.resource, derived, reference.key)
                    assert to_instant(stored) == to_instant(self.model.compute_derived(reference, derived, None))

    @invariant()
    def every_record_has_the_tenant_of_its_path(self) -> None:
        for reference in self.model.entries:
            stored = self.store.resolve(reference)
            assert stored is not None
            assert stored.tenant_key == self.model.find_tenant_key(reference)

    @invariant()
    def numbers_are_not_reused(self) -> None:
        for resource in RESOURCES:
            highest = max((self.model.entries[r].number for r in self.model.list_references(resource)), default=0)
            assert self.store.next_number(resource) > max(highest, self.last_numbers.get(resource, 0))
            self.last_numbers[resource] = max(highest, self.last_numbers.get(resource, 0))

    def teardown(self) -> None:
        self.store.close()


TestStore = StoreMachine.TestCase


@pytest.fixture
def store() -> Iterator[Store]:
    empty_store = Store.create(museum())
    yield empty_store
    empty_store.close()


def room(number: int, *, parent: str | None = None, museum: str | None = None, **attributes: Any) -> Record:
    key = f"r{number}"
    references = {
        "parent": Reference("Room", parent) if parent else None,
        "museum": Reference("Museum", museum) if museum else None,
    }
    return Record("Room", key, {"uuid": key, "name": key, "floor": 0, "open": False, **attributes}, references)


def test_number_of_deleted_record_is_not_reused_after_reopening(store: Store) -> None:
    store.add(room(1))
    store.add(room(2))
    store.delete("Room", "r2")
    with OpenedStore(store.serialize()) as reopened_store:
        assert reopened_store.next_number("Room") == 3


def test_references_to_new_record_are_found_after_first_lookup(store: Store) -> None:
    relation = museum().resources["Room"].relations["children"]
    hall = store.add(room(1), has_new_key=True).reference
    store.add(Record("Person", 1, {"id": 1}, {}))
    assert store.find_inverse(relation, hall) == ()
    child = store.add(room(2, parent="r1"), has_new_key=True)
    assert store.find_inverse(relation, hall) == (child.reference,)
    store.delete("Room", "r2")
    assert store.find_inverse(relation, hall) == ()


def test_references_stored_before_their_target_are_found(store: Store) -> None:
    store.add(room(2, parent="r1"))
    hall = store.add(room(1)).reference
    assert store.find_inverse(museum().resources["Room"].relations["children"], hall) == (Reference("Room", "r2"),)


def test_duplicate_key_is_rejected_immediately_without_has_new_key(store: Store) -> None:
    store.add(Record("Person", 1, {"id": 1}, {}))
    with pytest.raises(sqlite3.IntegrityError), store.transaction():
        store.add(Record("Person", 1, {"id": 1}, {}))
    assert store.count_by_resource()["Person"] == 1


def test_nested_transaction_is_rolled_back_alone(store: Store) -> None:
    store.add(room(1))
    with store.transaction():
        store.write_metadata({"outer": "1"})
        with suppress(RollbackError), store.transaction():
            store.delete("Room", "r1")
            raise RollbackError
        assert store.get("Room", "r1") is not None
    assert store.read_metadata()["outer"] == "1"
    assert store.count_by_resource()["Room"] == 1


def test_update_of_missing_record_raises_store_error(store: Store) -> None:
    with pytest.raises(StoreError, match="no Room r9"):
        store.update("Room", "r9", {})


def test_delete_of_missing_record_does_nothing(store: Store) -> None:
    store.delete("Room", "r9")
    assert store.generation == 0


def test_list_of_references_for_to_one_relation_is_rejected(store: Store) -> None:
    record = Record("Room", "r1", {"uuid": "r1"}, {"parent": (Reference("Room", "r2"),)})
    with pytest.raises(StoreError, match="got a list of references, expected one"):
        store.add(record)


def test_delete_restricted_names_the_referring_resource(store: Store) -> None:
    store.add(Record("Person", 1, {"id": 1}, {}))
    store.add(Record("Exhibit", "e1", {"uuid": "e1", "number": 1}, {"curator": Reference("Person", 1)}))
    with pytest.raises(DeleteRestricted) as error:
        store.delete("Person", 1)
    assert (error.value.resource, error.value.referring_resource, error.value.relation) == (
        "Person",
        "Exhibit",
        "curator",
    )


def test_descendants_change_tenant_with_their_parent(store: Store) -> None:
    for name in ("m1", "m2"):
        store.add(Record("Museum", name, {"uuid": name}, {}))
    store.add(room(1, museum="m1"))
    store.add(Record("Exhibit", "e1", {"uuid": "e1", "number": 1}, {"room": Reference("Room", "r1")}))
    store.add(Record("Label", "l1", {"uuid": "l1"}, {"exhibit": Reference("Exhibit", "e1")}))
    store.update("Room", "r1", {"uuid": "r1"}, {"museum": Reference("Museum", "m2")})
    label = store.get("Label", "l1")
    assert label is not None
    assert label.tenant_key == "m2"


def test_self_relation_count_counts_only_children_of_the_record(store: Store) -> None:
    store.add(room(1))
    store.add(room(2, parent="r1"))
    sql = store.build_expression("Room", "children_count").sql
    rows = store.connection.execute(f'SELECT key, {sql} FROM "Room" ORDER BY key').fetchall()
    assert rows == [("r1", 1), ("r2", 0)]


def clear(value: Any) -> None:
    """Empty a JSON value and everything in it."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            clear(item)
        value.clear()


def assert_is_immutable(record: StoredRecord) -> None:
    """Check that the fields and references of a record cannot be changed."""
    with pytest.raises(FrozenInstanceError):
        record.tenant_key = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        record.references["other"] = None  # type: ignore[index]


@given(datasets(2), st.booleans())
def test_results_cannot_change_the_store(dataset: list[Record], is_cached: bool) -> None:
    store = Store.create(museum())
    for each in dataset:
        store.add(each)
    if not is_cached:
        store.invalidate_caches()
    expected = {name: store.select(name) for name in RESOURCES}
    attributes = {record.reference: record.attributes for records in expected.values() for record in records}
    for name in RESOURCES:
        results = store.select(name)
        for record in results:
            clear(record.attributes)
            assert_is_immutable(record)
            relations = museum().resources[name].relations.values()
            inverse = [store.find_inverse(r, record.reference) for r in relations if r.inverse is not None]
            linked = [store.get_linked_references(name, r, record.key) for r in relations if r.is_stored and r.to_many]
            assert all(isinstance(references, tuple) for references in (*inverse, *linked))
        results.clear()
    store.count_by_resource().clear()
    store.read_metadata().clear()
    assert {name: store.select(name) for name in RESOURCES} == expected
    assert {reference: store.get_existing(reference).attributes for reference in attributes} == attributes
    reopened = Store.from_image(museum(), store.serialize())
    assert {r: reopened.get_existing(r).attributes for r in attributes} == attributes
    reopened.close()
    store.close()


def test_changed_input_does_not_change_the_stored_record(store: Store) -> None:
    attributes: dict[str, Any] = {"uuid": "r1", "name": "Hall", "tags": ["a"]}
    references: dict[str, Any] = {"parent": None}
    store.add(Record("Room", "r1", attributes, references))
    clear(attributes)
    references["parent"] = Reference("Room", "r1")
    stored = store.get_existing(Reference("Room", "r1"))
    assert (stored.attributes, stored.references["parent"]) == ({"uuid": "r1", "name": "Hall", "tags": ["a"]}, None)
    changes = {"uuid": "r1", "tags": ["b"]}
    store.update("Room", "r1", changes)
    clear(changes)
    assert store.get_existing(stored.reference).attributes == {"uuid": "r1", "tags": ["b"]}


@given(datasets(2))
def test_write_publishes_tags_of_record_and_its_relations(dataset: list[Record]) -> None:
    store = Store.create(museum())
    notifications: list[set[Tag] | None] = []
    store.listeners.append(
        lambda changed_tags: notifications.append(None if changed_tags is None else set(changed_tags))
    )
    for record in dataset:
        store.add(record)
        changed_tags = notifications[-1]
        assert changed_tags is not None
        assert (record.resource, record.key) in changed_tags
    store.close()


@given(st.sampled_from(INSTANTS[1:]), st.sampled_from(INSTANTS[1:]))
def test_normalized_datetimes_compare_like_instants(first: str, second: str) -> None:
    assert (normalize_datetime(first) < normalize_datetime(second)) == (to_instant(first) < to_instant(second))


@given(st.integers(min_value=-(10**400), max_value=10**400))
def test_any_integer_is_comparable(value: int) -> None:
    assert isinstance(to_comparable(value, None), int | float)


class OpenedStore:
    """A store from an image, closed on exit."""

    def __init__(self, image: bytes) -> None:
        self.store = Store.from_image(museum(), image)

    def __enter__(self) -> Store:
        return self.store

    def __exit__(self, *_: object) -> None:
        self.store.close()
