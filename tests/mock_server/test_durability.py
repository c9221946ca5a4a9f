"""A mock with a store file that is killed with SIGKILL: every acknowledged write is there after a restart."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from tests.mock_process import MODULE, ROOT, build_environment, run_mock

pytestmark = pytest.mark.slow

WRITERS = 3
ROUNDS = int(os.environ.get("DURABILITY_ROUNDS", "3"))  # `make nightly` runs 20
MAX_WRITING_SECONDS = 0.4  # from the first acknowledged write to the kill
HEADERS = {"Authorization": "Bearer demo-token", "Content-Type": "application/json"}
DISCONNECT_ERRORS = (OSError, http.client.HTTPException)


@dataclass(slots=True)
class Writer:
    """Creates and renames threads until the server is gone. `names`: key -> the names that the thread may have."""

    port: int
    name: str
    names: dict[str, set[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Write until the connection breaks."""
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with suppress(*DISCONNECT_ERRORS), closing(client) as connection:
            number = 0
            while not self.errors:
                number += 1
                self.write(connection, f"{self.name} {number}")

    def write(self, connection: http.client.HTTPConnection, name: str) -> None:
        """Create a thread and rename it."""
        key = self.send(connection, "POST", "/threads", name)
        if key is not None:
            self.names[key] = {name, f"{name} renamed"}  # until the update is acknowledged, either is correct
            if self.send(connection, "PUT", f"/threads/{key}", f"{name} renamed") is not None:
                self.names[key] = {f"{name} renamed"}

    def send(self, connection: http.client.HTTPConnection, method: str, path: str, name: str) -> str | None:
        """Return the key of the thread in the response; None, and an entry in `errors`, for an error response."""
        connection.request(method, f"/api/v1{path}", json.dumps({"name": name}), HEADERS)
        response = connection.getresponse()
        content = response.read()
        if response.status >= 300:
            self.errors.append(f"{method} {path}: got {response.status} {content[:200]!r}")
            return None
        key: str = json.loads(content)["data"]["uuid"]
        return key


@contextmanager
def serve_store(
    file: Path, process_environment: dict[str, str], *options: str
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Yield the process and the port of a mock that serves a store file."""
    command = (*MODULE, "--port", "0", "--quiet", "--store", f"sqlite:///{file}", *options)
    with run_mock(command, process_environment) as (process, banner):
        yield process, int(banner.split("/")[2].rpartition(":")[2])


def read_name(port: int, key: str) -> str | None:
    """Return the name of a thread as the mock serves it; None if there is no such thread."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", f"/api/v1/threads/{key}", headers=HEADERS)
        response = connection.getresponse()
        content = response.read()
    name: str | None = json.loads(content)["data"]["name"] if response.status == 200 else None
    return name


def write_and_kill(
    file: Path, process_environment: dict[str, str], label: str, seconds: float, durability: str
) -> list[Writer]:
    """Start a mock, let several clients write, and kill it while they do."""
    with serve_store(file, process_environment, "--durability", durability) as (process, port):
        writers = [Writer(port, f"{label} writer {index}") for index in range(WRITERS)]
        threads = [threading.Thread(target=writer.run) for writer in writers]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while not any(writer.names for writer in writers) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(seconds)
        process.kill()
        for thread in threads:
            thread.join()
    return writers


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
@pytest.mark.parametrize("durability", ["normal", "full"])
def test_acknowledged_writes_survive_sigkill(tmp_path: Path, durability: str) -> None:
    process_environment, file, random = build_environment(tmp_path / "cache"), tmp_path / "store.db", Random(0)
    expected: dict[str, set[str]] = {}
    for number in range(ROUNDS):
        seconds = MAX_WRITING_SECONDS * random.random()
        writers = write_and_kill(file, process_environment, f"round {number}", seconds, durability)
        assert [error for writer in writers for error in writer.errors] == []
        names_by_key = {key: names for writer in writers for key, names in writer.names.items()}
        assert names_by_key
        expected |= names_by_key
        with closing(sqlite3.connect(file, timeout=10)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            stored_names = dict(connection.execute("SELECT key, json_extract(own, '$.name') FROM \"Thread\""))
        assert {
            key: stored_names.get(key) for key, names in expected.items() if stored_names.get(key) not in names
        } == {}
    with serve_store(file, process_environment) as (_, port):
        for key, names in names_by_key.items():
            assert read_name(port, key) in names


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_next_start_deletes_what_a_killed_start_left(tmp_path: Path) -> None:
    cache, folder = tmp_path / "cache" / "athena-mock", tmp_path / "stores"
    folder.mkdir()
    process_environment, file = build_environment(tmp_path / "cache"), folder / "store.db"
    command = (*MODULE, "--port", "0", "--store", f"sqlite:///{file}", "--size")
    with subprocess.Popen((*command, "20"), cwd=ROOT, env=process_environment, start_new_session=True) as process:
        deadline = time.monotonic() + 60
        while not list(cache.glob("*.new")) and time.monotonic() < deadline:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)  # with the child that builds the image
    assert ".new" in [path.suffix for path in cache.iterdir()]
    with run_mock((*command, "1"), process_environment) as (process_of_next_start, _):
        process_of_next_start.send_signal(signal.SIGTERM)
        process_of_next_start.communicate(timeout=20)
    assert [path.suffix for path in cache.iterdir()] == [".image"]
    assert list(folder.iterdir()) == [file]
