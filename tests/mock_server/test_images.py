"""The key of an image covers everything that it is built from; an image contains all records."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.cli.dataset_image import list_image_sources
from mock_server.images import (
    DatasetParameters,
    build_image_file,
    compute_image_key,
    create_sandbox,
    find_newest_after_epoch,
    get_epoch,
    list_source_files,
    open_clock,
)
from mock_server.store import Store
from mock_server.store.search_index import MAX_UNINDEXED_RECORDS
from spec.record import Record
from spec.validators import SchemaValidators
from tests.mock_server.athena import SettableClock
from tests.mock_server.museum_contract import datasets, museum
from tests.mock_server.museum_images import EPOCH, PARAMETERS, ROOT, build, room, run_script
from tests.spec.contract_edits import load_edited_contract


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    for name, text in (("a.py", "x = 1"), ("b.yaml", "a: 1"), ("c.txt", "words")):
        (tmp_path / name).write_text(text)
    return sorted(list_source_files(tmp_path))


def test_key_is_deterministic(files: list[Path]) -> None:
    assert compute_image_key(museum(), PARAMETERS, files) == compute_image_key(museum(), PARAMETERS, reversed(files))


def test_key_depends_on_code_and_data_files_only(files: list[Path]) -> None:
    assert [path.name for path in files] == ["a.py", "b.yaml"]


@pytest.mark.parametrize(
    "other_parameters",
    [
        replace(PARAMETERS, dataset="empty"),
        replace(PARAMETERS, seed=8),
        replace(PARAMETERS, epoch=EPOCH.replace(microsecond=1)),
        replace(PARAMETERS, size=2.0),
        replace(PARAMETERS, size=1.0000001),
    ],
)
def test_key_depends_on_each_dataset_parameter(files: list[Path], other_parameters: DatasetParameters) -> None:
    assert compute_image_key(museum(), PARAMETERS, files) != compute_image_key(museum(), other_parameters, files)


@given(
    st.lists(
        st.builds(
            DatasetParameters,
            st.sampled_from(("demo", "heavy")),
            st.integers(0, 99),
            st.datetimes(timezones=st.just(UTC)),
            st.floats(0.001, 10**9),
        ),
        min_size=2,
        max_size=4,
        unique=True,
    )
)
def test_keys_of_different_parameters_differ(parameter_sets: list[DatasetParameters]) -> None:
    assert len({compute_image_key(museum(), parameters, ()) for parameters in parameter_sets}) == len(parameter_sets)


def test_key_depends_on_the_contract() -> None:
    other_contract = load_edited_contract("museum", ("#/info/title", "Another"))
    assert compute_image_key(museum(), PARAMETERS, ()) != compute_image_key(other_contract, PARAMETERS, ())


@pytest.mark.parametrize("name", ["a.py", "b.yaml"])
def test_key_depends_on_the_content_of_each_file(files: list[Path], name: str) -> None:
    before = compute_image_key(museum(), PARAMETERS, files)
    next(path for path in files if path.name == name).write_text("changed")
    assert compute_image_key(museum(), PARAMETERS, files) != before


def test_key_depends_on_added_files(files: list[Path]) -> None:
    before = compute_image_key(museum(), PARAMETERS, files)
    (files[0].parent / "d.py").write_text("")
    assert compute_image_key(museum(), PARAMETERS, list_source_files(files[0].parent)) != before


def test_key_depends_on_the_version_of_faker(monkeypatch: pytest.MonkeyPatch) -> None:
    before = compute_image_key(museum(), PARAMETERS, ())
    monkeypatch.setattr("mock_server.images.metadata.version", lambda name: f"another {name}")
    assert compute_image_key(museum(), PARAMETERS, ()) != before


@pytest.mark.parametrize(
    "name",
    [
        "spec/loader.py",
        "fixtures/generator.py",
        "fixtures/personas/agent.yaml",
        "fixtures/datasets/demo.yaml",
        "mock_server/store/schema.py",
        "mock_server/images.py",
        "mock_server/cli/dataset_image.py",
    ],
)
def test_source_file_of_images_is_listed(name: str) -> None:
    assert ROOT / name in list_image_sources(PARAMETERS)


def test_key_is_the_same_in_another_process(files: list[Path]) -> None:
    code = f"""
from datetime import UTC, datetime
from pathlib import Path
from mock_server.images import DatasetParameters, compute_image_key, list_source_files
from tests.mock_server.museum_contract import museum
recipe = DatasetParameters("demo", 7, datetime(2024, 5, 1, 12, tzinfo=UTC), 1.0)
print(compute_image_key(museum(), recipe, list_source_files(Path({str(files[0].parent)!r}))))
"""
    assert run_script(code) == compute_image_key(museum(), PARAMETERS, files)


@given(datasets(2))
def test_store_from_image_contains_its_records(records: list[Record]) -> None:
    store = Store.from_image(museum(), build(*records))
    assert [store.get(r.resource, r.key) is not None for r in records] == [True] * len(records)
    store.close()


def dump_rows(store: Store) -> list[str]:
    """Dump the tables of a store as SQL, without SQLite's statistics."""
    return [line for line in store.connection.iterdump() if "sqlite_stat" not in line]


@pytest.mark.slow
@given(datasets(2))
def test_image_file_equals_image_in_memory(records: list[Record]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a #?%20.image"
        build_image_file(path, museum(), PARAMETERS, records, {"greeting": "hello"})
        assert [result.name for result in Path(folder).iterdir()] == [path.name]
        stores = [Store.from_image(museum(), image) for image in (build(*records), path)]
    assert dump_rows(stores[0]) == dump_rows(stores[1])
    for store in stores:
        store.close()


def test_texts_of_a_large_dataset_are_indexed_in_its_image() -> None:
    rooms = [room(f"r{number}") for number in range(MAX_UNINDEXED_RECORDS + 1)]
    store = Store.from_image(museum(), build(*rooms))
    assert store.find_search_candidates("Room", "r77", 100) is not None
    store.close()


@pytest.mark.slow
def test_store_from_image_may_exceed_a_gibibyte() -> None:
    store, mebibytes = Store.from_image(museum(), build(room())), 16
    for number in range(2**30 // (mebibytes * 2**20) + 2):
        store.write_metadata({f"text {number}": "x" * mebibytes * 2**20})
    assert store.scalar("PRAGMA page_count") * store.scalar("PRAGMA page_size") > 2**30
    store.add(room("r2"))
    assert store.count_by_resource()["Room"] == 2
    store.close()


def test_image_stores_epoch_and_phrases() -> None:
    store = Store.from_image(museum(), build())
    sandbox = create_sandbox(museum(), SchemaValidators.from_document(museum().document), store, lambda: EPOCH)
    assert (get_epoch(store), sandbox.seed, dict(sandbox.phrases)) == (EPOCH, 7, {"greeting": "hello"})
    store.close()


@pytest.mark.parametrize("days", [-400, 0, 400])
def test_clock_starts_at_the_epoch(days: int) -> None:
    store, clock = Store.from_image(museum(), build()), SettableClock(EPOCH - timedelta(days=days))
    result = open_clock(store, clock, from_epoch=True)
    assert result.now() == EPOCH
    clock.advance(days=3)
    assert result.now() == EPOCH + timedelta(days=3)
    store.close()


def test_clock_without_explicit_epoch_is_the_systems() -> None:
    store, clock = Store.from_image(museum(), build()), SettableClock(EPOCH + timedelta(hours=9))
    assert open_clock(store, clock, from_epoch=False).now() == clock()
    store.close()


@pytest.mark.parametrize(
    ("instants", "after"),
    [
        (("2024-05-01T11:59:59Z",), None),
        (("2024-05-01T12:00:00.000000Z",), None),
        (("2024-05-02T10:30:00Z", "2023-01-01T00:00:00.000000Z"), datetime(2024, 5, 2, 10, 30, tzinfo=UTC)),
        ((), None),
    ],
)
def test_records_newer_than_the_epoch_are_detected(instants: tuple[str, ...], after: datetime | None) -> None:
    rooms = [
        replace(room(f"r{n}"), attributes={**room(f"r{n}").attributes, "created_at": instant})
        for n, instant in enumerate(instants)
    ]
    store = Store.from_image(museum(), build(*rooms, room("r9")))
    assert find_newest_after_epoch(store) == after
    store.close()
