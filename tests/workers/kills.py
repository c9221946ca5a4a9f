"""Processes that are killed while they write: what was acknowledged must be there afterwards, and the file sound."""

import http.client
import json
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.running import MODULE, ROOT
from tests.workers.crowd import HEADERS

WRITERS = 3
LONGEST = 0.4  # seconds that are written for before the kill, at most
_GONE = (OSError, http.client.HTTPException)


@dataclass(slots=True)
class Writer:
    """Creates and renames threads for as long as it may. `acknowledged`: key -> the names that it may have now."""

    port: int
    name: str
    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    over: bool = False
    wrong: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Write until told to stop; a connection that breaks is made anew, what it carried is not counted."""
        number = 0
        while not self.over:
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
                    while not self.over:
                        number += 1
                        self.write(connection, f"{self.name} {number}")
            except _GONE:
                time.sleep(0.01)

    def write(self, connection: http.client.HTTPConnection, name: str) -> None:
        """One thread, and its new name."""
        key = self.sent(connection, "POST", "/threads", name)
        if key is not None:
            self.acknowledged[key] = {name, f"{name} again"}  # while it is renamed either may be there
            if self.sent(connection, "PUT", f"/threads/{key}", f"{name} again") is not None:
                self.acknowledged[key] = {f"{name} again"}

    def sent(self, connection: http.client.HTTPConnection, method: str, path: str, name: str) -> str | None:
        """The key of the thread that was answered."""
        connection.request(method, f"/api/v1{path}", json.dumps({"name": name}), HEADERS)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status >= 300:
            self.wrong.append(f"{method} {path} answered {answer.status} {content[:200]!r}")
            return None
        key: str = json.loads(content)["data"]["uuid"]
        return key


@contextmanager
def mock(file: Path | None, workers: int, around: dict[str, str]) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """(the process, its port) of a mock on a file (None: of its own), whose workers are there; ended afterwards."""
    store = () if file is None else ("--store", f"sqlite:///{file}")
    command = [*MODULE, "--port", "0", "--quiet", "--workers", str(workers), *store]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=around) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first.startswith("http"), f"the mock did not begin on {file}"
            while len(children(process.pid)) < workers:
                time.sleep(0.02)
            yield process, int(first.split("/")[2].rpartition(":")[2])
        finally:
            process.terminate()


def children(pid: int) -> list[int]:
    """The workers of a mock that are alive."""
    said = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in said.splitlines()]
    return [int(child) for child, parent, state in rows if int(parent) == pid and not state.startswith("Z")]


def begun(writers: Sequence[Writer]) -> None:
    """Wait for the first acknowledged write: on a busy machine it may take its time."""
    last = time.monotonic() + 20
    while not any(writer.acknowledged for writer in writers) and time.monotonic() < last:
        time.sleep(0.01)


def killed(file: Path, around: dict[str, str], rounds: int, seed: int = 0) -> list[str]:
    """Kill one worker, or all with the process that began them, in each of so many rounds; what was wrong."""
    random = Random(seed)
    wrong: list[str] = []
    for number in range(1, rounds + 1):
        with mock(file, 2, around) as (process, port):
            writers = [Writer(port, f"round {number} writer {index}") for index in range(WRITERS)]
            threads = [threading.Thread(target=writer.run) for writer in writers]
            for thread in threads:
                thread.start()
            begun(writers)
            time.sleep(LONGEST * random.random())
            alive = children(process.pid)
            if number % 2:
                os.kill(random.choice(alive), signal.SIGKILL)
                time.sleep(LONGEST)  # the other one goes on, and a new one begins
            else:
                for pid in (process.pid, *alive):
                    os.kill(pid, signal.SIGKILL)
            for writer in writers:
                writer.over = True
            for thread in threads:
                thread.join()
        wrong += [f"round {number}: {said}" for writer in writers for said in (*writer.wrong, *lost(file, writer))]
        if not any(writer.acknowledged for writer in writers):
            wrong.append(f"round {number}: nothing was written")
    return wrong


def lost(file: Path, writer: Writer) -> list[str]:
    """What of a writer's acknowledged writes is not in the file, and what SQLite finds wrong with it."""
    with closing(sqlite3.connect(file, timeout=10)) as connection:
        stored = dict(connection.execute("SELECT key, json_extract(own, '$.name') FROM \"Thread\""))
        sound = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    gone = [
        f"thread {key} was acknowledged as {names} and is {stored.get(key)!r}"
        for key, names in writer.acknowledged.items()
        if stored.get(key) not in names
    ]
    return gone + ([] if sound == ["ok"] else [f"the file is not sound: {sound[:3]}"])
