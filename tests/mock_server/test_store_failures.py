"""A store file that cannot be written: requests get a response with the reason, reads work, writes work again later.

The disk is full in four ways: SQLite's page limit (in process), a limit of the file size (a real process), a small
tmpfs, and a read-only tmpfs, where the tests run as root.
"""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from mock_server.store.errors import StoreFailure, to_open_error, to_store_failure
from tests.mock_process import MODULE, ROOT, build_environment, run_mock
from tests.mock_server.file_api import FileApi

WORKFLOW = "550e8400-e29b-41d4-a716-446655440000"
BEARER = {"Authorization": "Bearer demo-token"}


@pytest.fixture
def file_api(tmp_path: Path) -> Iterator[FileApi]:
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        api = FileApi(tmp_path / "mock.db", log)
        yield api
        api.store.close()


def count_threads(api: FileApi) -> int:
    total: int = api.get("/threads?per_page=1").json["meta"]["total"]
    return total


def test_full_store_returns_507_with_the_reason(file_api: FileApi, tmp_path: Path) -> None:
    file_api.set_page_limit(0)
    _, reply = file_api.create_until_full()
    assert (reply.status, reply.headers["x-mock-reason"]) == (507, "store-full")
    message = "The store has no space for the write: database or disk is full (SQLITE_FULL)."
    assert reply.json == {"message": message}
    assert (tmp_path / "log").read_text().startswith("507 POST /api/v1/threads - store-full: The store has no space")


def test_reads_of_a_full_store_show_acknowledged_writes_only(file_api: FileApi) -> None:
    before = count_threads(file_api)
    file_api.set_page_limit(0)
    created, _ = file_api.create_until_full()
    assert count_threads(file_api) == before + created
    file_api.sandbox.store.invalidate_caches()
    assert count_threads(file_api) == before + created


def test_writes_work_again_when_there_is_space(file_api: FileApi) -> None:
    file_api.set_page_limit(0)
    file_api.create_until_full()
    number = file_api.store.scalar("SELECT seq FROM sqlite_sequence WHERE name = 'Thread'")
    file_api.set_page_limit(1_000_000)
    reply = file_api.post("/threads", {"name": "Again"})
    assert reply.status == 201
    assert file_api.get(f"/threads/{reply.json['data']['uuid']}").status == 200
    assert file_api.store.scalar("SELECT seq FROM sqlite_sequence WHERE name = 'Thread'") == number + 1


def test_scheduled_changes_of_a_full_store_are_applied_later(file_api: FileApi) -> None:
    body = {"workflow_uuid": WORKFLOW, "input": {}}
    execution = file_api.post("/workflow-executions", body).json["data"]
    path = f"/workflow-executions/{execution['uuid']}"
    assert execution["status"] == "pending"
    file_api.store.connection.execute("PRAGMA query_only = ON")
    file_api.clock.advance(hours=1)
    reply = file_api.get(path)
    assert (reply.status, reply.json["data"]["status"]) == (200, "pending")
    file_api.store.connection.execute("PRAGMA query_only = OFF")
    assert file_api.get(path).json["data"]["status"] not in ("pending", "running")


def test_search_of_a_full_store_works_without_the_index(file_api: FileApi) -> None:
    index = file_api.store.search_indexes["Thread"]
    index.max_unindexed = 0
    file_api.post("/threads", {"name": "Quetzalcoatl"})
    indexed = index.last_indexed
    file_api.store.connection.execute("PRAGMA query_only = ON")
    reply = file_api.get("/threads?search=quetzal")
    assert (reply.status, [row["name"] for row in reply.json["data"]]) == (200, ["Quetzalcoatl"])
    assert index.last_indexed == indexed


def test_read_only_store_returns_503_with_the_reason(file_api: FileApi) -> None:
    file_api.store.connection.execute("PRAGMA query_only = ON")
    reply = file_api.post("/threads", {"name": "New"})
    assert (reply.status, reply.headers["x-mock-reason"]) == (503, "store-read-only")
    assert reply.json["message"].startswith("The store is read-only: attempt to write a readonly database")
    assert file_api.get("/threads").status == 200
    file_api.store.connection.execute("PRAGMA query_only = OFF")
    assert file_api.post("/threads", {"name": "New"}).status == 201


def test_damage_found_while_running_is_not_a_defect_of_the_mock(file_api: FileApi) -> None:
    root_page = file_api.store.scalar("SELECT rootpage FROM sqlite_master WHERE name = 'Thread'")
    file_api.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    file_api.store.connection.execute("PRAGMA cache_size = 0")
    path = Path(file_api.store.scalar("SELECT file FROM pragma_database_list"))
    with path.open("r+b") as file:
        file.seek((root_page - 1) * 4096)
        file.write(b"\xa5" * 4096)
    file_api.store.connection.execute("PRAGMA shrink_memory")
    file_api.store.invalidate_caches()
    reply = file_api.get("/threads")
    assert (reply.status, reply.headers["x-mock-reason"]) == (500, "store-failed")
    assert "malformed (SQLITE_CORRUPT" in reply.json["message"]


@pytest.mark.parametrize(
    "path", ["/threads/{key}", "/threads?per_page=100", "/threads?sort=name", "/messages?thread_uuid={key}"]
)
def test_unreadable_record_is_named(file_api: FileApi, path: str) -> None:
    key = file_api.post("/threads", {"name": "Damaged"}).json["data"]["uuid"]
    file_api.post("/messages", {"thread_uuid": key, "role": "user", "content": "Hello"})
    sql = "UPDATE Thread SET own = CAST(replace(CAST(own AS TEXT), '\"name\"', '\"name') AS BLOB) WHERE key = ?"
    file_api.store.connection.execute(sql, (key,))
    file_api.store.invalidate_caches()
    reply = file_api.get(path.format(key=key))
    assert (reply.status, reply.headers["x-mock-reason"]) == (500, "store-failed")
    assert f"Thread {key} is not valid JSON" in reply.json["message"]


@pytest.mark.parametrize("column", ["r_entity", "r_subject"])
@pytest.mark.parametrize("value", ["Nope/1", "User/x", "", 17, b"\xff"])
def test_damaged_reference_is_a_failure_of_the_store(file_api: FileApi, column: str, value: object) -> None:
    file_api.store.connection.execute(f"UPDATE Share SET {column} = ?", (value,))
    file_api.store.invalidate_caches()
    with pytest.raises(
        StoreFailure, match=rf"^relation {column[2:]}: got the reference .*, expected (User|Agent)/KEY or "
    ):
        file_api.store.select("Share")


def test_record_that_sqlite_cannot_parse_is_a_failure_of_the_store() -> None:
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.OperationalError) as error:
        connection.execute("SELECT json_extract('{', '$.a')").fetchone()
    assert "`athena-mock store check` names it" in str(to_store_failure(error.value))


# Real processes -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def process_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return build_environment(tmp_path_factory.mktemp("cache"))


def send(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        data = None if body is None else json.dumps(body)
        connection.request(method, f"/api/v1{path}", data, {**BEARER, "Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def create_until_full(port: int) -> tuple[list[str], Any]:
    """Create threads until one fails with 507; return (keys of the created threads, body of the 507)."""
    keys: list[str] = []
    for number in range(20_000):
        status, body = send(port, "POST", "/threads", {"name": f"Thread {number} " + "x" * 200})
        if status != 201:
            assert status == 507, body
            return keys, body
        keys.append(body["data"]["uuid"])
    raise AssertionError("the store is not full")


def start(path: Path, environment: dict[str, str]) -> Any:
    return run_mock((*MODULE, "--port", "0", "--store", f"sqlite:///{path}"), environment)


def get_port(banner: str) -> int:
    return int(banner.split("/")[2].rpartition(":")[2])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs prlimit")
def test_writes_beyond_the_file_size_limit_return_507(tmp_path: Path, process_environment: dict[str, str]) -> None:
    import resource

    path = tmp_path / "mock.db"
    with start(path, process_environment) as (mock, banner):
        port, unlimited = get_port(banner), resource.RLIM_INFINITY
        resource.prlimit(mock.pid, resource.RLIMIT_FSIZE, (path.stat().st_size + 500_000, unlimited))
        keys, body = create_until_full(port)
        assert "no space" in body["message"]
        assert send(port, "GET", f"/threads/{keys[-1]}")[0] == 200
        resource.prlimit(mock.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
        status, body = send(port, "POST", "/threads", {"name": "Again"})
        assert status == 201
        keys.append(body["data"]["uuid"])
        mock.send_signal(signal.SIGKILL)
    with start(path, process_environment) as (_, banner):
        assert [key for key in keys if send(get_port(banner), "GET", f"/threads/{key}")[0] != 200] == []


@contextmanager
def mount_tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small file system, where this is permitted."""
    folder.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    with suppress(FileNotFoundError):
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            try:
                yield folder
            finally:
                subprocess.run(("umount", str(folder)), check=True)
            return
    pytest.skip("a file system cannot be mounted here")


@pytest.mark.slow
def test_writes_to_a_full_disk_return_507(tmp_path: Path, process_environment: dict[str, str]) -> None:
    with mount_tmpfs(tmp_path / "disk", "12m") as disk, start(disk / "mock.db", process_environment) as (_, banner):
        port = get_port(banner)
        ballast = disk / "ballast"
        status = os.statvfs(disk)
        ballast.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - 300_000)))
        keys, body = create_until_full(port)
        assert body == {"message": "The store has no space for the write: database or disk is full (SQLITE_FULL)."}
        assert send(port, "GET", f"/threads/{keys[-1]}")[0] == 200
        assert send(port, "GET", "/threads?search=Thread")[0] == 200
        ballast.unlink()
        assert send(port, "POST", "/threads", {"name": "Again"})[0] == 201


def run_until_exit(path: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Return exit status and last line of the errors of a mock that does not start."""
    command = (*MODULE, "--port", "0", "--store", f"sqlite:///{path}")
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr.splitlines()[-1]


@pytest.mark.slow
def test_new_store_on_a_full_disk_is_an_error(tmp_path: Path, process_environment: dict[str, str]) -> None:
    with mount_tmpfs(tmp_path / "disk", "1m") as disk:
        status, error = run_until_exit(disk / "mock.db", process_environment)
        assert status == 2
        assert "mock.db cannot be written (database or disk is full): free some space" in error
        assert list(disk.iterdir()) == []


def test_file_that_cannot_be_opened_is_not_reported_as_read_only(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError) as error:
        sqlite3.connect(tmp_path)
    message = f"{tmp_path} cannot be opened or created (unable to open database file): use another file"
    assert str(to_open_error(tmp_path, error.value)) == message


@pytest.mark.slow
def test_store_on_a_read_only_file_system_is_an_error(tmp_path: Path, process_environment: dict[str, str]) -> None:
    with mount_tmpfs(tmp_path / "disk", "12m") as disk:
        with start(disk / "mock.db", process_environment) as (mock, _):
            mock.send_signal(signal.SIGTERM)
            mock.communicate(timeout=20)
        subprocess.run(("mount", "-o", "remount,ro", str(disk)), check=True)
        for name in ("mock.db", "new.db"):
            status, error = run_until_exit(disk / name, process_environment)
            assert status == 2
            assert "is read-only: make file and folder writable, or use another file" in error
