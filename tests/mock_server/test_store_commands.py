"""The commands `athena-mock store check`, `export` and `import`."""

import contextlib
import io
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from mock_server import images, store_files
from mock_server.cli.main import main
from mock_server.store.errors import StoreDamaged
from tests.mock_process import MODULE, ROOT
from tests.mock_server.museum_contract import MUSEUM, museum
from tests.mock_server.museum_images import PARAMETERS, room
from tests.spec.contract_edits import edit_document

SCHEMA = "#/components/schemas/Room/properties/name"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a store of a museum that has one room with a valid key."""
    key = "0d0c9b0e-2f44-4c1e-9f7a-3a0a52c0a1d2"
    record = room(key)
    record = type(record)("Room", key, {**record.attributes, "created_at": CREATED, "updated_at": CREATED}, {})
    image = images.build_image(museum(), PARAMETERS, [record], {})
    store_files.open_store(museum(), PARAMETERS, tmp_path / "mock.db", lambda: image).close()
    return tmp_path


CREATED = "2024-05-01T12:00:00.000000Z"


def run(folder: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Run a command in this process; return exit status, output and errors."""
    out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
    with (
        contextlib.chdir(folder),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin))),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        status = main(("store", *arguments))
    return status, out.buffer.getvalue(), err.buffer.getvalue().decode()


def run_process(folder: Path, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Run a command in a child process, as tests of locks need; return exit status, output and errors."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command: Sequence[str] = (*MODULE, "store", *arguments)
    ended = subprocess.run(command, input=stdin, capture_output=True, cwd=folder, env=environment, check=False)
    return ended.returncode, ended.stdout, ended.stderr.decode()


def test_store_is_exported_and_imported_through_a_pipe(folder: Path) -> None:
    status, exported, errors = run_process(folder, "export", "mock.db")
    assert (status, errors, exported.count(b"\n")) == (0, "", 2)
    arguments = ("import", "-", "--store", "sqlite:///new.db", "--contract", str(MUSEUM))
    assert run_process(folder, *arguments, stdin=exported) == (0, b"new.db: 1 records imported\n", "")
    with closing(store_files.open_store(museum(), PARAMETERS, folder / "new.db", lambda: b"")) as store:
        assert store.count_by_resource()["Room"] == 1
    assert sorted(path.name for path in folder.iterdir()) == ["mock.db", "new.db"]


def test_problems_of_an_import_are_listed(folder: Path) -> None:
    (folder / "changed.json").write_bytes(edit_document("museum", (f"{SCHEMA}/minLength", 2)).content)
    (folder / "mock.jsonl").write_bytes(run(folder, "export", "sqlite:///mock.db")[1])
    arguments = ("import", "mock.jsonl", "--store", "new.db", "--contract", "changed.json")
    status, output, errors = run(folder, *arguments)
    key = json.loads((folder / "mock.jsonl").read_bytes().splitlines()[1])["key"]
    assert (status, output) == (1, b"")
    assert errors.splitlines() == [
        f'athena-mock: Room {key}.name: "a" is shorter than 2 characters',
        "athena-mock: 1 problems, new.db was not created: edit the export, or use --force to leave these out",
    ]
    assert not (folder / "new.db").exists()
    status, output, errors = run(folder, *arguments, "--force")
    assert (status, output, errors.count("\n")) == (0, b"new.db: 0 records imported\n", 1)


def test_intact_store_is_ok(folder: Path) -> None:
    before = (folder / "mock.db").read_bytes()
    assert run(folder, "check", "mock.db") == (0, b"mock.db: ok (store format 1, 1 records)\n", "")
    assert [path.name for path in folder.iterdir()] == ["mock.db"]
    assert (folder / "mock.db").read_bytes() == before


@pytest.mark.parametrize("command", ["check", "export"])
def test_reading_what_a_killed_mock_left_changes_nothing(folder: Path, command: str) -> None:
    with closing(store_files.open_store(museum(), PARAMETERS, folder / "mock.db", lambda: b"")) as store:
        store.add(room("9d0c9b0e-2f44-4c1e-9f7a-3a0a52c0a1d2"))
        left = {name: (folder / name).read_bytes() for name in ("mock.db", "mock.db-wal")}
    for name, content in left.items():
        (folder / name).write_bytes(content)
    status, output, errors = run(folder, command, "mock.db")
    assert (status, errors) == (0, "")
    assert b"2 records" in output or output.count(b"\n") == 3
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == left


def test_index_of_the_log_is_kept_while_a_connection_uses_it(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "mock.db")) as connection:
        connection.execute("UPDATE _meta SET value = value")
        connection.commit()
        assert run_process(folder, "check", "mock.db")[0] == 0
        assert (folder / "mock.db-shm").exists()
        script = "from mock_server.store.file_format import lock_file; lock_file(open('mock.db', 'r+b'))"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run((sys.executable, "-c", script), env=environment, cwd=folder, capture_output=True)
        assert b"BlockingIOError" in ended.stderr


def test_damaged_store_is_reported(folder: Path) -> None:
    content = bytearray((folder / "mock.db").read_bytes())
    page = content.index(b'{"uuid":"0d0c9b0e') // 4096 * 4096
    content[page : page + 100] = b"\xa5" * 100
    (folder / "mock.db").write_bytes(content)
    status, output, errors = run(folder, "check", "mock.db")
    assert (status, output, errors.count("\n")) == (1, b"", 1)
    assert errors.startswith("athena-mock: mock.db is damaged (")


def flip_byte(path: Path, text: bytes, offset: int = 0) -> None:
    """Change one bit of the first byte of a text in a file."""
    content = bytearray(path.read_bytes())
    content[content.index(text) + offset] ^= 0x40
    path.write_bytes(content)


def test_record_with_a_changed_byte_is_named_and_left_out(folder: Path) -> None:
    key = "0d0c9b0e-2f44-4c1e-9f7a-3a0a52c0a1d2"
    flip_byte(folder / "mock.db", b'{"uuid":"0d0c9b0e')
    status, output, errors = run(folder, "check", "mock.db")
    assert (status, output) == (1, b"")
    assert errors.startswith(f"athena-mock: mock.db is damaged (Room {key} is not valid JSON (")
    assert errors.endswith("): restore a backup, or delete it to start over\n")
    status, exported, errors = run(folder, "export", "mock.db")
    assert (status, exported.count(b"\n")) == (1, 1)
    first, second = errors.splitlines()
    assert first.startswith(f"athena-mock: Room {key} is not valid JSON (")
    assert first.endswith("): left out")
    assert second == "athena-mock: mock.db is damaged: 1 unreadable records were left out"
    arguments = ("import", "-", "--store", "new.db", "--contract", str(MUSEUM))
    assert run(folder, *arguments, stdin=exported) == (0, b"new.db: 0 records imported\n", "")


def test_unreadable_line_is_listed_and_left_out(folder: Path) -> None:
    header, record = run(folder, "export", "mock.db")[1].splitlines(keepends=True)
    changed = header.replace(b'"records":1', b'"records":2') + b"{" + record + record
    arguments = ("import", "-", "--store", "new.db", "--contract", str(MUSEUM))
    status, output, errors = run(folder, *arguments, stdin=changed)
    assert (status, output, errors.count("\n")) == (1, b"", 2)
    assert errors.startswith("athena-mock: line 2: not valid JSON: ")
    status, output, errors = run(folder, *arguments, "--force", stdin=changed)
    assert (status, output, errors.count("\n")) == (0, b"new.db: 1 records imported\n", 1)


@pytest.mark.parametrize("size", [600, 4096, 5000, 20_480])
@pytest.mark.parametrize("command", ["check", "export"])
def test_truncated_store_is_damaged(folder: Path, command: str, size: int) -> None:
    content = (folder / "mock.db").read_bytes()
    assert size < len(content)
    (folder / "mock.db").write_bytes(content[:size])
    status, _, errors = run(folder, command, "mock.db")
    assert (status, errors.count("\n")) == (1, 1)
    assert errors.startswith("athena-mock: mock.db is damaged (")
    assert errors.endswith("): restore a backup, or delete it to start over\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "nowhere.db"), "nowhere.db: No such file or directory: use another file"),
        (("check", "text"), "text is not a store of this mock (not an SQLite database): use another file"),
        (("export", "."), ". is not a store of this mock (not a regular file): use another file"),
        (("export", "memory"), "Invalid value for 'STORE': 'memory' is not a file."),
        (("import", "text"), "Missing option '--store'."),
        (("import", "nowhere", "--store", "new.db"), "'nowhere': No such file or directory"),
        (("import", "text", "--store", "new.db"), "line 1: got 'text', expected the header of an export"),
        (("import", "text", "--store", "mock.db"), "mock.db exists: use another file"),
        (("import", "text", "--store", "no/new.db"), "no/new.db: folder no does not exist"),
        (("import", "text", "--store", "new.db", "--contract", "text"), "text: invalid type str"),
        (("repair", "mock.db"), "No such command 'repair'"),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # click leaves the argument open
def test_invalid_argument_is_one_line(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    (folder / "text").write_text("text")
    status, output, errors = run(folder, *arguments)
    assert (status, output, errors.count("\n")) == (2, b"", 1)
    assert errors.startswith("athena-mock: ")
    assert message in errors


def test_store_in_use_is_not_exported(folder: Path) -> None:
    with closing(store_files.open_store(museum(), PARAMETERS, folder / "mock.db", lambda: b"")):
        status, output, errors = run_process(folder, "export", "mock.db")
    assert (status, output) == (2, b"")
    assert "mock.db is in use by another mock" in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["check", "export"])
@pytest.mark.parametrize(
    ("redirection", "reason"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
def test_output_that_cannot_be_written_is_an_error(folder: Path, command: str, redirection: str, reason: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    script = f'"$@" store {command} mock.db {redirection}'
    ended = subprocess.run(
        ("sh", "-c", script, "sh", *MODULE), capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert (ended.returncode, ended.stderr) == (1, f"athena-mock: stdout: {reason}\n")


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE _meta SET value = 'abc' WHERE name = 'epoch'", "the metadata have an invalid epoch: 'abc'"),
        ("DELETE FROM _meta WHERE name = 'dataset'", "the metadata have no dataset"),
        (
            "INSERT INTO _scheduled_changes VALUES (1, 'soon', 'Room', 'k', '{}')",
            "scheduled change 1: got the time 'soon', expected an ISO 8601 timestamp",
        ),
        (
            f"INSERT INTO _scheduled_changes VALUES (1, '{CREATED}', 'Hall', 'k', '{{}}')",
            "scheduled change 1: the store has no resource 'Hall'",
        ),
    ],
)
def test_damaged_state_is_reported_by_check_and_when_the_store_is_opened(
    folder: Path, statement: str, problem: str
) -> None:
    with closing(sqlite3.connect(folder / "mock.db")) as connection, connection:
        connection.execute(statement)
    message = f"mock.db is damaged ({problem}): restore a backup, or delete it to start over"
    assert run(folder, "check", "mock.db") == (1, b"", f"athena-mock: {message}\n")
    with pytest.raises(StoreDamaged) as error:
        store_files.open_store(museum(), PARAMETERS, folder / "mock.db", lambda: b"", required_fields=())
    assert str(error.value) == f"{folder}/{message}"


def test_import_rejects_metadata_with_which_a_mock_cannot_start(folder: Path) -> None:
    exported = run(folder, "export", "mock.db")[1]
    changed = exported.replace(b'"seed":"', b'"seed":"x', 1)
    assert changed != exported
    arguments = ("import", "-", "--store", "new.db", "--contract", str(MUSEUM))
    status, output, errors = run(folder, *arguments, stdin=changed)
    assert (status, output) == (2, b"")
    assert errors.startswith("athena-mock: line 1: the metadata have an invalid seed: 'x")
    assert not (folder / "new.db").exists()


@pytest.mark.parametrize("content", ["{bad", '[1, "a"]', "{}"])
def test_damaged_pool_is_named_and_left_out(folder: Path, content: str) -> None:
    with closing(sqlite3.connect(folder / "mock.db")) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS _pools (resource TEXT PRIMARY KEY, records TEXT) WITHOUT ROWID")
        connection.execute("INSERT OR REPLACE INTO _pools VALUES ('Room', ?)", (content,))
    status, output, errors = run(folder, "check", "mock.db")
    assert (status, output) == (1, b"")
    assert errors.startswith("athena-mock: mock.db is damaged (the pool of Room is not ")
    status, exported, errors = run(folder, "export", "mock.db")
    assert (status, exported.count(b"\n")) == (1, 2)
    assert errors.startswith("athena-mock: the pool of Room is not ")
    arguments = ("import", "-", "--store", "new.db", "--contract", str(MUSEUM))
    assert run(folder, *arguments, stdin=exported) == (0, b"new.db: 1 records imported\n", "")
