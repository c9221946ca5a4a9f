"""The key of an image covers everything that it is built from; a file store outlives its process."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_server.cli.dataset_image import list_image_sources
from mock_server.images import (
    MAX_CACHED_IMAGES,
    DatasetParameters,
    ImageError,
    build_image,
    build_image_file,
    compute_image_key,
    create_sandbox,
    find_cache_folder,
    find_newest_after_epoch,
    get_epoch,
    get_or_build_image,
    list_source_files,
    open_clock,
    open_store,
)
from mock_server.store import Store, StoreError
from mock_server.store.search_index import MAX_UNINDEXED_RECORDS
from spec.record import Record
from spec.validators import SchemaValidators
from tests.mock_server.athena import SettableClock
from tests.mock_server.museum_contract import datasets, museum
from tests.spec.contract_edits import load_edited_contract

EPOCH = datetime(2024, 5, 1, 12, tzinfo=UTC)
PARAMETERS = DatasetParameters("demo", 7, EPOCH, 1.0)
ROOT = Path(__file__).parents[2]


def room(key: str = "r1") -> Record:
    return Record("Room", key, {"uuid": key, "name": "a", "floor": 0, "open": True}, {})


def build(*records: Record, parameters: DatasetParameters = PARAMETERS) -> bytes:
    return build_image(museum(), parameters, records, {"greeting": "hello"})


# Keys ---------------------------------------------------------------------------------------------------------------


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


def run_script(code: str) -> str:
    """Return the output of a script in another process."""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


# Cache folder -------------------------------------------------------------------------------------------------------


@pytest.fixture
def temporary_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The private folder in a shared one; the user has no cache folder."""
    if not hasattr(os, "getuid"):
        pytest.skip("folders have no owners here")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"athena-mock-{os.getuid()}"


def test_cache_folder_falls_back_to_a_temporary_folder(temporary_cache: Path) -> None:
    assert [find_cache_folder(), find_cache_folder()] == [temporary_cache, temporary_cache]
    assert stat.S_IMODE(temporary_cache.stat().st_mode) == 0o700


@pytest.mark.parametrize("form", ["open to others", "another's", "a link"])
def test_folder_writable_by_others_is_not_used(
    temporary_cache: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    if form == "a link":
        (temporary_cache.parent / "elsewhere").mkdir(mode=0o700)
        temporary_cache.symlink_to(temporary_cache.parent / "elsewhere")
    else:
        temporary_cache.mkdir()
        temporary_cache.chmod(0o777 if form == "open to others" else 0o700)
    if form == "another's":
        temporary_cache.rename(temporary_cache.with_name("athena-mock-4711"))
        monkeypatch.setattr(os, "getuid", lambda: 4711)
    result = find_cache_folder()
    assert result.name.startswith("athena-mock-")
    assert result not in (temporary_cache, temporary_cache.with_name("athena-mock-4711"))
    assert stat.S_IMODE(result.stat().st_mode) == 0o700


# Cached images ------------------------------------------------------------------------------------------------------


def test_image_is_built_once(tmp_path: Path) -> None:
    built_paths: list[Path] = []

    def build_file(path: Path) -> None:
        built_paths.append(path)
        path.write_bytes(b"image")

    assert [get_or_build_image(tmp_path, "k", build_file).read_bytes() for _ in range(2)] == [b"image", b"image"]
    assert len(built_paths) == 1


def test_failed_build_leaves_no_file(tmp_path: Path) -> None:
    def build_file(path: Path) -> None:
        path.write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        get_or_build_image(tmp_path, "k", build_file)
    assert list(tmp_path.iterdir()) == []


def test_old_images_are_deleted(tmp_path: Path) -> None:
    for number in range(MAX_CACHED_IMAGES + 3):
        get_or_build_image(tmp_path, f"k{number}", Path.touch)
    assert len(list(tmp_path.glob("*.image"))) == MAX_CACHED_IMAGES


def test_concurrent_builds_return_complete_images(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from mock_server.images import get_or_build_image
def make(path):
    with path.open("wb") as file:
        for _ in range(20):
            file.write(b"x" * 1000)
            file.flush()
            time.sleep(0.005)
for number in range(12):
    found = get_or_build_image(Path({str(tmp_path)!r}), f"k{{number}}", make).read_bytes()
    assert found == b"x" * 20_000, len(found)
"""
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 4


@given(datasets(2))
def test_store_from_image_contains_its_records(records: list[Record]) -> None:
    store = Store.from_image(museum(), build(*records))
    assert [store.get(r.resource, r.key) is not None for r in records] == [True] * len(records)
    store.close()


def dump_rows(store: Store) -> list[str]:
    """Dump the tables of a store as SQL, without SQLite's statistics."""
    return [line for line in store.connection.iterdump() if "sqlite_stat" not in line]


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


@pytest.mark.parametrize("content", [b"", b"no image" * 1000])
def test_corrupt_image_is_rebuilt(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k.image").write_bytes(content)

    def build_file(path: Path) -> None:
        build_image_file(path, museum(), PARAMETERS, [Record("Room", "r1", {"uuid": "r1"}, {})], {})

    store = open_store(museum(), PARAMETERS, None, lambda: get_or_build_image(tmp_path, "k", build_file))
    assert store.get("Room", "r1") is not None
    store.close()


@pytest.mark.parametrize("content", [None, b"", b"no image" * 1000])
def test_error_names_an_image_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "demo.image"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=re.escape(str(path))):
        open_store(museum(), PARAMETERS, None, lambda: path)


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


# Clocks -------------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("reopened", [True, False])
@pytest.mark.parametrize("days", [-400, 400])
def test_clock_never_goes_back_when_a_store_is_reopened(target: Path, days: int, reopened: bool) -> None:
    store, clock = open_target(target), SettableClock(EPOCH - timedelta(days=days))
    before = open_clock(store, clock, from_epoch=True)
    clock.advance(days=3)
    written = before.now()
    store.close()
    clock.advance(hours=1)
    store = open_target(target)
    assert open_clock(store, clock, from_epoch=reopened).now() == written + timedelta(hours=1)
    store.close()


# File stores --------------------------------------------------------------------------------------------------------


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def open_target(target: Path, *, parameters: DatasetParameters = PARAMETERS, another_contract: Any = None) -> Store:
    return open_store(another_contract or museum(), parameters, target, lambda: build(room(), parameters=parameters))


def test_file_store_in_use_cannot_be_opened_twice(target: Path) -> None:
    first = open_target(target)
    with pytest.raises(StoreError, match="in use by another mock"):
        open_target(target)
    first.close()
    open_target(target).close()


def test_file_store_survives_reopening(target: Path) -> None:
    store = open_target(target)
    with store.transaction():
        store.add(room("r2"))
    store.close()
    reopened = open_target(target)
    assert (reopened.get("Room", "r2") is not None, reopened.next_number("Room")) == (True, 3)
    reopened.close()


def test_file_store_survives_its_process(target: Path) -> None:
    open_target(target).close()
    code = f"""
import os
from pathlib import Path
from tests.mock_server.test_images import open_target, room
store = open_target(Path({str(target)!r}))
with store.transaction():
    store.add(room("r2"))
os._exit(0)
"""
    run_script(code)
    reopened = open_target(target)
    assert reopened.count_by_resource()["Room"] == 2
    reopened.close()


def test_uncommitted_writes_of_a_killed_process_are_lost(target: Path) -> None:
    open_target(target).close()
    code = f"""
import os
from pathlib import Path
from tests.mock_server.test_images import open_target, room
store = open_target(Path({str(target)!r}))
with store.transaction():
    store.add(room("r2"))
    os._exit(0)
"""
    run_script(code)
    reopened = open_target(target)
    assert reopened.count_by_resource()["Room"] == 1
    reopened.close()


def test_file_store_is_not_rebuilt(target: Path) -> None:
    open_target(target).close()
    reopened = open_store(museum(), PARAMETERS, target, lambda: pytest.fail("built again"))
    reopened.close()


def test_empty_file_becomes_a_new_store(target: Path) -> None:
    target.touch()
    store = open_target(target)
    assert store.count_by_resource()["Room"] == 1
    store.close()


@pytest.mark.parametrize(
    ("other_parameters", "name"),
    [
        (replace(PARAMETERS, dataset="empty"), "dataset"),
        (replace(PARAMETERS, seed=8), "seed"),
        (replace(PARAMETERS, size=2.0), "size"),
        (replace(PARAMETERS, documented_urls=True), "documented-urls"),
    ],
)
def test_file_with_other_parameters_is_rejected_with_advice(
    target: Path, other_parameters: DatasetParameters, name: str
) -> None:
    open_target(target).close()
    with pytest.raises(StoreError) as error:
        open_target(target, parameters=other_parameters)
    assert f"was created with another {name}" in str(error.value)
    assert f"start with that {name}, use another file, or delete this one to start over" in str(error.value)


def test_file_with_another_contract_is_rejected(target: Path) -> None:
    open_target(target).close()
    with pytest.raises(StoreError, match="was created with another contract"):
        open_target(target, another_contract=load_edited_contract("museum", ("#/info/title", "Another")))


def test_file_with_another_epoch_is_opened(target: Path) -> None:
    open_target(target).close()
    reopened = open_target(target, parameters=replace(PARAMETERS, epoch=EPOCH.replace(year=2025)))
    assert get_epoch(reopened) == EPOCH
    reopened.close()


def test_file_with_other_parameters_is_opened_if_not_required(target: Path) -> None:
    open_target(target).close()
    other_parameters = DatasetParameters("empty", 8, EPOCH, 2.0)
    with pytest.raises(StoreError, match="was created with another size"):
        open_store(museum(), other_parameters, target, lambda: pytest.fail("built again"), {"size"})
    reopened = open_store(museum(), other_parameters, target, lambda: pytest.fail("built again"), {"epoch", "store"})
    assert reopened.read_metadata()["seed"] == "7"
    reopened.close()


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


@pytest.mark.parametrize("content", [b"no database at all, but long enough to look at" * 40, "another mock's"])
def test_file_that_is_not_a_store_is_rejected(target: Path, content: bytes | str) -> None:
    if isinstance(content, bytes):
        target.write_bytes(content)
    else:
        connection = sqlite3.connect(target)
        connection.execute("CREATE TABLE people (name)")
        connection.close()
    with pytest.raises(StoreError, match=r"is not a store of this mock .*: use another file"):
        open_target(target)


def test_file_that_is_not_a_store_is_unchanged(target: Path) -> None:
    target.write_bytes(b"precious" * 100)
    with pytest.raises(StoreError):
        open_target(target)
    assert target.read_bytes() == b"precious" * 100


@pytest.mark.parametrize("table", ["people (name)", "_meta (name, value)"])
def test_database_of_another_program_is_unchanged(target: Path, table: str) -> None:
    with closing(sqlite3.connect(target)) as connection:
        connection.execute(f"CREATE TABLE {table}")
    before = target.read_bytes()
    with pytest.raises(StoreError):
        open_target(target)
    assert target.read_bytes() == before
    assert list(target.parent.iterdir()) == [target]


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"folder .*/nowhere does not exist$"):
        open_target(tmp_path / "nowhere" / "store.db")
