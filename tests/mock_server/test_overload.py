"""Too many connections, incomplete requests and unread responses are limited."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from mock_server.errors import ApiError
from mock_server.server.http_connection import MAX_UNSENT_BYTES, REQUEST_TIMEOUT
from mock_server.web import body
from mock_server.web.body import BodyMemoryLimit
from mock_server.web.context import RequestContext
from tests.mock_server.athena import EPOCH
from tests.running import ROOT, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]

MIB = 1024 * 1024
HEAD = b"GET /api/v1/messages?per_page=100 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer demo-token\r\n"
# The command with a low limit of open files, so that a few hundred connections exceed it.
LIMITED = (
    "import resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n"
    "from mock_server.cli.main import main\n"
    "sys.exit(main(['--port', '0', '--quiet']))\n"
)


@pytest.fixture(scope="module")
def process_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of all processes, with the dataset already built, so that no banner mentions a build."""
    found = environment(tmp_path_factory.mktemp("cache"))
    with limited(found, 264):
        return found


@contextmanager
def limited(process_environment: dict[str, str], files: int) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Yield (process, port) of a mock with a limit of open files."""
    command = (sys.executable, "-c", LIMITED.format(files=files))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=process_environment) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline().split("/")[2].rpartition(":")[2])
        finally:
            process.kill()


def resident_bytes(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def connect_and_send(port: int, room: int = 0) -> socket.socket:
    """Open a connection; `room` limits its receive buffer."""
    sock = socket.socket()
    if room:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", port))
    return sock


def receive_all(sock: socket.socket) -> bytes:
    """Receive until the peer closes the connection."""
    found = b""
    while part := sock.recv(65536):
        found += part
    return found


def is_served(port: int) -> bool:
    """Return whether another client gets a response."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/api/v1/user", headers={"Authorization": "Bearer demo-token"})
        found: bool = json.load(connection.getresponse())["data"]["id"] == 123
    return found


def test_connections_beyond_capacity_get_503_immediately(process_environment: dict[str, str]) -> None:
    with limited(process_environment, 464) as (process, port), ExitStack() as stack:
        assert is_served(port)
        before = resident_bytes(process.pid)
        for _ in range(200):  # half of 464 files
            stack.enter_context(connect_and_send(port)).sendall(HEAD)
        began = time.monotonic()
        for _ in range(100):
            extra_connection = stack.enter_context(connect_and_send(port))
            extra_connection.sendall(HEAD + b"\r\n")
            response = receive_all(extra_connection)
            head, _, content = response.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"x-mock-reason: overloaded" in head
            assert json.loads(content) == {"message": "Service Unavailable"}
        assert time.monotonic() - began < 10
        assert resident_bytes(process.pid) - before < 20
    assert "Traceback" not in process.communicate()[1]


def test_many_connections_leave_no_traceback_and_are_freed(process_environment: dict[str, str]) -> None:
    with limited(process_environment, 264) as (process, port):
        with ExitStack() as stack:
            for _ in range(600):
                stack.enter_context(connect_and_send(port))
            time.sleep(1)
        time.sleep(1)
        assert is_served(port)
        process.terminate()
        assert process.communicate(timeout=20)[1] == ""


def test_incomplete_request_returns_408_and_silent_connection_is_closed(process_environment: dict[str, str]) -> None:
    post = b"POST /api/v1/threads HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer demo-token\r\n"
    post += b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with (
        limited(process_environment, 464) as (_, port),
        connect_and_send(port) as head,
        connect_and_send(port) as rest,
        connect_and_send(port) as silent_connection,
    ):
        for sock, sent in ((head, HEAD), (rest, post)):
            sock.settimeout(REQUEST_TIMEOUT + 10)
            sock.sendall(sent)
        silent_connection.settimeout(REQUEST_TIMEOUT + 10)
        began = time.monotonic()
        for sock in (head, rest):
            response = receive_all(sock)
            assert response.startswith(b"HTTP/1.1 408 ")
            assert b"x-mock-reason: timeout" in response
        assert receive_all(silent_connection) == b""
        assert REQUEST_TIMEOUT - 1 < time.monotonic() - began < REQUEST_TIMEOUT + 5


def test_unread_responses_are_limited(process_environment: dict[str, str]) -> None:
    with limited(process_environment, 2064) as (process, port):
        assert is_served(port)
        before = resident_bytes(process.pid)
        with ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(connect_and_send(port, 2048)).sendall((HEAD + b"\r\n") * 4)
            assert is_served(port)
            time.sleep(2)
            grown = resident_bytes(process.pid) - before
            assert is_served(port)
        time.sleep(0.5)
        process.terminate()
        assert "Traceback" not in process.communicate(timeout=20)[1]
    assert grown < 1.5 * MAX_UNSENT_BYTES / MIB + 40, f"{grown:.0f} MiB"


def test_memory_of_concurrent_bodies_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_BUFFERED_BYTES", 100)
    arriving = BodyMemoryLimit(buffered_bytes=50)
    exchange = RequestContext("1", "POST", b"/", b"", {}, [], "", EPOCH)

    def received(*sizes: int) -> bytes:
        parts = [{"type": "http.request", "body": b"x" * size, "more_body": True} for size in sizes]
        parts[-1]["more_body"] = False

        async def receive() -> dict[str, object]:
            return parts.pop(0)

        return asyncio.run(body.read_body(exchange, receive, arriving))

    assert len(received(20, 20)) == 40
    assert arriving.buffered_bytes == 50
    with pytest.raises(ApiError, match="incomplete request bodies use 110 bytes of memory") as refused:
        received(30, 30)
    assert (refused.value.status, refused.value.headers["Connection"]) == (503, "close")
    assert arriving.buffered_bytes == 50
