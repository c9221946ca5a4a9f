"""Tests stores in files: creation, reopening, and the files that are rejected."""

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mock_server import store_files
from mock_server.image_cache import get_or_build_image
from mock_server.images import (
    DatasetParameters,
    ImageError,
    build_image_file,
    get_epoch,
    open_clock,
)
from mock_server.store import Store, StoreError
from mock_server.store.connection import Durability
from mock_server.store.errors import StoreDamaged
from mock_server.store.file_format import (
    APPLICATION_ID,
    FORMAT_VERSION,
    count_records,
    open_for_reading,
)
from mock_server.store_files import open_store
from spec.record import Record
from tests.mock_server.athena import SettableClock
from tests.mock_server.museum_contract import museum
from tests.mock_server.museum_images import EPOCH, PARAMETERS, ROOT, build, room, run_script
from tests.spec.contract_edits import load_edited_contract

ROOM = "#/components/schemas/Room"


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


@pytest.mark.slow
@pytest.mark.parametrize(("indent", "count"), [("", 2), ("    ", 1)], ids=["committed", "uncommitted"])
def test_only_committed_writes_survive_their_process(target: Path, indent: str, count: int) -> None:
    open_target(target).close()
    code = f"""
import os
from pathlib import Path
from tests.mock_server.museum_images import room
from tests.mock_server.test_store_files import open_target
store = open_target(Path({str(target)!r}))
with store.transaction():
    store.add(room("r2"))
{indent}os._exit(0)
"""
    run_script(code)
    reopened = open_target(target)
    assert reopened.count_by_resource()["Room"] == count
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
    with pytest.raises(StoreError, match=r"was created with another contract .*store export"):
        open_target(target, another_contract=load_edited_contract("museum", (f"{ROOM}/properties/name/maxLength", 9)))


def test_file_is_opened_with_a_contract_of_the_same_meaning(target: Path) -> None:
    open_target(target).close()
    changes = (("#/info/title", "Another"), (f"{ROOM}/properties/name/description", "The name."))
    reopened = open_target(target, another_contract=load_edited_contract("museum", *changes))
    assert reopened.count_by_resource()["Room"] == 1
    reopened.close()


# Format -------------------------------------------------------------------------------------------------------------


def execute(target: Path, *statements: str) -> None:
    with closing(sqlite3.connect(target)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_file_has_application_id_and_format_version(target: Path) -> None:
    open_target(target).close()
    content = target.read_bytes()
    assert int.from_bytes(content[68:72], "big") == APPLICATION_ID
    assert int.from_bytes(content[60:64], "big") == FORMAT_VERSION


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (("PRAGMA application_id = 0", "PRAGMA user_version = 0"), "created by an earlier version .*expected 1"),
        (("PRAGMA application_id = 7",), r"is not a store of this mock \(SQLite application id 7, .*use another file"),
        (("PRAGMA user_version = 2",), r"has store format 2 \(expected 1\): run `athena-mock store export`"),
        (("DROP TABLE Room",), "table Room is missing: move the data"),
        (("ALTER TABLE Room DROP COLUMN own",), "table Room lacks column own: move the data"),
        (("ALTER TABLE Room ADD COLUMN more",), "table Room has the unknown column more: move the data"),
        (('DROP INDEX "Room tenant newest"',), "index Room tenant newest is missing: move the data"),
        (("DROP TABLE _tokens", "CREATE TABLE _tokens (token, user, expires)"), "table _tokens was altered"),
    ],
)
def test_file_with_another_format_is_rejected_unchanged(
    target: Path, statements: tuple[str, ...], message: str
) -> None:
    open_target(target).close()
    execute(target, *statements)
    before = target.read_bytes()
    with pytest.raises(StoreError, match=message):
        open_target(target)
    assert target.read_bytes() == before


def damage_page(target: Path) -> None:
    """Overwrite a page that contains records."""
    content = bytearray(target.read_bytes())
    position = content.index(b'{"uuid":"r1"')
    page = position // 4096 * 4096
    content[page : page + 100] = b"\xa5" * 100
    target.write_bytes(content)


def test_damaged_file_is_rejected(target: Path) -> None:
    open_target(target).close()
    damage_page(target)
    with pytest.raises(StoreDamaged, match=r"is damaged \(.*\): restore a backup, or delete it to start over"):
        open_target(target)


def test_damaged_index_is_rejected(target: Path) -> None:
    open_target(target).close()
    content = bytearray(target.read_bytes())
    position = content.index(b'r1{"uuid":"r1"')  # the key in the record, not in the index of keys
    content[position : position + 2] = b"q1"
    target.write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"row \d missing from index"):
        open_target(target)


def test_large_file_is_not_checked_when_it_is_opened(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_target(target).close()
    damage_page(target)
    monkeypatch.setattr(store_files, "MAX_CHECKED_BYTES", target.stat().st_size - 1)
    open_target(target).close()


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


@pytest.mark.parametrize("content", [b"", b"no image" * 1000])
def test_corrupt_image_is_rebuilt(tmp_path: Path, content: bytes) -> None:
    contents = [content]

    def build_file(path: Path) -> None:
        if contents:
            path.write_bytes(contents.pop())
        else:
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


# Creation -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_interrupted_creation_leaves_no_store(target: Path) -> None:
    code = f"""
import os
from pathlib import Path
from mock_server import store_files
from tests.mock_server.test_store_files import open_target
store_files._publish_file = lambda *paths: os._exit(9)
open_target(Path({str(target)!r}))
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT)
    assert ended.returncode == 9
    assert not target.exists()
    assert len(list(target.parent.iterdir())) == 1
    open_target(target).close()
    assert list(target.parent.iterdir()) == [target]


def test_log_of_a_deleted_file_is_not_written_to_a_new_one(target: Path) -> None:
    store = open_target(target)
    with store.transaction():
        store.add(room("r2"))
    log = target.with_name(f"{target.name}-wal")
    content = log.read_bytes()
    store.close()
    target.unlink()
    log.write_bytes(content)  # a killed process left it
    store = open_target(target)
    assert store.count_by_resource()["Room"] == 1
    store.close()


def test_file_created_by_another_process_is_not_replaced(target: Path) -> None:
    def get_image() -> bytes:
        open_target(target).close()
        return build()

    with pytest.raises(StoreError, match=r"store\.db exists: use another file"):
        open_store(museum(), PARAMETERS, target, get_image)
    open_target(target).close()


@pytest.mark.parametrize(("durability", "synchronous"), [(Durability.NORMAL, 1), (Durability.FULL, 2)])
def test_durability_is_the_synchronous_mode(target: Path, durability: Durability, synchronous: int) -> None:
    for _ in range(2):  # a new file and a reopened one
        store = open_store(museum(), PARAMETERS, target, lambda: build(room()), durability=durability)
        assert [store.scalar(f"PRAGMA {name}") for name in ("journal_mode", "synchronous")] == ["wal", synchronous]
        store.close()


@pytest.mark.slow
def test_link_to_a_file_is_followed(target: Path) -> None:
    folder = target.parent / "elsewhere"
    folder.mkdir()
    target.symlink_to(folder / "real.db")
    code = f"""
import os
from pathlib import Path
from tests.mock_server.museum_images import room
from tests.mock_server.test_store_files import open_target
store = open_target(Path({str(target)!r}))
with store.transaction():
    store.add(room("r2"))
os._exit(0)
"""
    run_script(code)
    assert target.is_symlink()
    with open_for_reading(target) as connection:  # reads the log of the ended process
        assert count_records(connection) == 2
    reopened = open_target(target)
    assert reopened.count_by_resource()["Room"] == 2
    with pytest.raises(StoreError, match="in use by another mock"):
        open_target(folder / "real.db")
    reopened.close()
    assert [path.name for path in folder.iterdir()] == ["real.db"]
