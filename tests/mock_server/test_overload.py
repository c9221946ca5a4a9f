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
from tests.mock_process import ROOT, build_environment
from tests.mock_server.athena import EPOCH
from tests.mock_server.library_contract import create_sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc"),
]

MIB = 1024 * 1024
HEAD = b"GET /api/v1/messages?per_page=100 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer demo-token\r\n"
# The command with a low limit of open files, so that a few hundred connections exceed it.
PROGRAM_WITH_FILE_LIMIT = (
    "import resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))\n"
    "from mock_server.cli.main import main\n"
    "sys.exit(main(['--port', '0', '--quiet']))\n"
)


@pytest.fixture(scope="module")
def process_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of all processes, with the dataset already built, so that no banner mentions a build."""
    variables = build_environment(tmp_path_factory.mktemp("cache"))
    with run_mock_with_file_limit(variables, 264):
        return variables


@contextmanager
def run_mock_with_file_limit(
    process_environment: dict[str, str], files: int
) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Yield (process, port) of a mock with a limit of open files."""
    command = (sys.executable, "-c", PROGRAM_WITH_FILE_LIMIT.format(files=files))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=process_environment) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline().split("/")[2].rpartition(":")[2])
        finally:
            process.kill()


def read_resident_mib(pid: int) -> float:
    """Read the resident memory of a process, in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def connect(port: int, receive_buffer: int = 0) -> socket.socket:
    """Open a connection; `receive_buffer` limits its receive buffer."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(20)
    sock.connect(("127.0.0.1", port))
    return sock


def receive_all(sock: socket.socket) -> bytes:
    """Receive until the peer closes the connection."""
    content = b""
    while chunk := sock.recv(65536):
        content += chunk
    return content


def has_response(port: int) -> bool:
    """Return whether another client gets a response."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/api/v1/user", headers={"Authorization": "Bearer demo-token"})
        is_first_user: bool = json.load(connection.getresponse())["data"]["id"] == 123
    return is_first_user


def test_connections_beyond_capacity_get_503_immediately(process_environment: dict[str, str]) -> None:
    with run_mock_with_file_limit(process_environment, 464) as (process, port), ExitStack() as stack:
        assert has_response(port)
        before = read_resident_mib(process.pid)
        for _ in range(200):  # half of 464 files
            stack.enter_context(connect(port)).sendall(HEAD)
        start_time = time.monotonic()
        for _ in range(100):
            extra_connection = stack.enter_context(connect(port))
            extra_connection.sendall(HEAD + b"\r\n")
            response = receive_all(extra_connection)
            head, _, content = response.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"x-mock-reason: overloaded" in head
            assert json.loads(content) == {"message": "Service Unavailable"}
        assert time.monotonic() - start_time < 10
        assert read_resident_mib(process.pid) - before < 20
    assert "Traceback" not in process.communicate()[1]


def test_many_connections_leave_no_traceback_and_are_freed(process_environment: dict[str, str]) -> None:
    with run_mock_with_file_limit(process_environment, 264) as (process, port):
        with ExitStack() as stack:
            for _ in range(600):
                stack.enter_context(connect(port))
            time.sleep(1)
        time.sleep(1)
        assert has_response(port)
        process.terminate()
        assert process.communicate(timeout=20)[1] == ""


def test_incomplete_request_returns_408_and_silent_connection_is_closed(process_environment: dict[str, str]) -> None:
    post = b"POST /api/v1/threads HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer demo-token\r\n"
    post += b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    with (
        run_mock_with_file_limit(process_environment, 464) as (_, port),
        connect(port) as head,
        connect(port) as rest,
        connect(port) as silent_connection,
    ):
        for sock, data in ((head, HEAD), (rest, post)):
            sock.settimeout(REQUEST_TIMEOUT + 10)
            sock.sendall(data)
        silent_connection.settimeout(REQUEST_TIMEOUT + 10)
        start_time = time.monotonic()
        for sock in (head, rest):
            response = receive_all(sock)
            assert response.startswith(b"HTTP/1.1 408 ")
            assert b"x-mock-reason: timeout" in response
        assert receive_all(silent_connection) == b""
        assert REQUEST_TIMEOUT - 1 < time.monotonic() - start_time < REQUEST_TIMEOUT + 5


def test_unread_responses_are_limited(process_environment: dict[str, str]) -> None:
    with run_mock_with_file_limit(process_environment, 2064) as (process, port):
        assert has_response(port)
        before = read_resident_mib(process.pid)
        with ExitStack() as stack:
            for _ in range(300):
                stack.enter_context(connect(port, 2048)).sendall((HEAD + b"\r\n") * 4)
            assert has_response(port)
            time.sleep(2)
            growth = read_resident_mib(process.pid) - before
            assert has_response(port)
        time.sleep(0.5)
        process.terminate()
        assert "Traceback" not in process.communicate(timeout=20)[1]
    assert growth < 1.5 * MAX_UNSENT_BYTES / MIB + 40, f"{growth:.0f} MiB"


def test_memory_of_concurrent_bodies_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "MAX_BUFFERED_BYTES", 100)
    memory_limit = BodyMemoryLimit(buffered_bytes=50)
    context = RequestContext("1", "POST", b"/", b"", {}, [], "", EPOCH, create_sandbox(), EPOCH)

    def read_chunks(*sizes: int) -> bytes:
        parts = [{"type": "http.request", "body": b"x" * size, "more_body": True} for size in sizes]
        parts[-1]["more_body"] = False

        async def receive() -> dict[str, object]:
            return parts.pop(0)

        return asyncio.run(body.read_body(context, receive, memory_limit))

    assert len(read_chunks(20, 20)) == 40
    assert memory_limit.buffered_bytes == 50
    with pytest.raises(ApiError, match="incomplete request bodies use 110 bytes of memory") as error:
        read_chunks(30, 30)
    assert (error.value.status, error.value.headers["Connection"]) == (503, "close")
    assert memory_limit.buffered_bytes == 50
