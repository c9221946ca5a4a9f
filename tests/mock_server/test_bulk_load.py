"""A bulk load creates the same store as single adds."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fixtures import dataset, generator
from mock_server.store import Store, StoreError
from mock_server.store import bulk_load as bulk_load_module
from mock_server.store.bulk_load import bulk_load
from spec.loader import load_contract
from spec.model import Contract
from spec.record import Record, Reference
from tests.mock_server.athena import EPOCH, athena_contract
from tests.mock_server.museum_contract import datasets, museum

FOREIGN = {path.stem: path for path in sorted((Path(__file__).parents[1] / "foreign").glob("*.yaml"))}


def load_singly(contract: Contract, records: Iterable[Record]) -> Store:
    store = Store.create(contract)
    with store.transaction():
        for record in records:
            store.add(record)
    return store


def load_in_bulk(contract: Contract, records: Iterable[Record]) -> Store:
    store = Store.create(contract)
    bulk_load(store, records)
    return store


def dump_rows(store: Store) -> list[str]:
    """Return the content of a store, tables and indexes, as SQL."""
    with closing(store):
        return sorted(store.connection.iterdump())


def generate_dataset(contract: Contract, name: str, size: float = 1) -> list[Record]:
    return list(generator.generate_records(contract, dataset.load(name), seed=3, epoch=EPOCH, size=size))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit batches and cached parents to a few records."""
    monkeypatch.setattr(bulk_load_module, "BATCH_SIZE", 7)
    monkeypatch.setattr(bulk_load_module, "MAX_CACHED_PARENTS", 2)


@pytest.mark.parametrize("name", ["demo", "plain", "empty", "hostile"])
def test_bulk_load_of_a_dataset_equals_single_adds(name: str) -> None:
    records = generate_dataset(athena_contract(), name, 2)
    assert dump_rows(load_in_bulk(athena_contract(), records)) == dump_rows(load_singly(athena_contract(), records))


@pytest.mark.usefixtures("small_batches")
def test_bulk_load_in_small_batches_equals_single_adds() -> None:
    records = generate_dataset(athena_contract(), "demo")
    assert dump_rows(load_in_bulk(athena_contract(), records)) == dump_rows(load_singly(athena_contract(), records))


@pytest.mark.parametrize("name", FOREIGN)
def test_bulk_load_with_other_contracts_equals_single_adds(name: str) -> None:
    contract = load_contract(FOREIGN[name])
    records = generate_dataset(contract, "plain")
    assert dump_rows(load_in_bulk(contract, records)) == dump_rows(load_singly(contract, records))


@given(datasets(3), st.integers(1, 9), st.integers(1, 3))
def test_bulk_load_in_any_order_equals_single_adds(records: list[Record], batch: int, parents: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk_load_module, "BATCH_SIZE", batch)
        patch.setattr(bulk_load_module, "MAX_CACHED_PARENTS", parents)
        for ordered_records in (records, records[::-1]):  # reversed: references to records that do not exist yet
            assert dump_rows(load_in_bulk(museum(), ordered_records)) == dump_rows(
                load_singly(museum(), ordered_records)
            )


def test_numbers_continue_after_loaded_records() -> None:
    records = generate_dataset(athena_contract(), "demo")
    with (
        closing(load_in_bulk(athena_contract(), records)) as bulk_store,
        closing(load_singly(athena_contract(), records)) as single_store,
    ):
        assert bulk_store.reader.last_numbers == single_store.reader.last_numbers
        assert {name: bulk_store.next_number(name) for name in bulk_store.tables} == {
            name: single_store.next_number(name) for name in single_store.tables
        }


def test_caches_of_empty_store_are_invalidated() -> None:
    [room, *_] = records = generate_dataset(museum(), "plain")
    with closing(Store.create(museum())) as store:
        assert store.get(room.resource, room.key) is None
        assert store.count(room.resource) == 0
        bulk_load(store, records)
        assert store.get(room.resource, room.key) is not None
        assert store.count(room.resource) == sum(r.resource == room.resource for r in records)


def test_list_of_references_for_to_one_relation_is_rejected() -> None:
    contract = athena_contract()
    resource, relation = next(
        (r, x) for r in contract.resources.values() for x in r.relations.values() if x.is_stored and not x.to_many
    )
    record = next(r for r in generate_dataset(contract, "demo") if r.resource == resource.name)
    record = Record(
        record.resource, record.key, record.attributes, {relation.name: (Reference(relation.targets[0], "x"),)}
    )
    with closing(Store.create(contract)) as store, pytest.raises(StoreError, match=f"{record.key}: {relation.name}"):
        bulk_load(store, [record])


def test_failed_load_leaves_empty_store_with_indexes() -> None:
    records = generate_dataset(museum(), "plain")

    def failing_records() -> Iterator[Record]:
        yield from records
        raise KeyError

    with closing(Store.create(museum())) as store:
        before = sorted(store.connection.iterdump())
        with pytest.raises(KeyError):
            bulk_load(store, failing_records())
        assert sorted(store.connection.iterdump()) == before
        assert not any(store.reader.last_numbers.values())
