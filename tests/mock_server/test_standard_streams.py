"""Standard streams that are unread, closed or full do not affect the server."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from mock_server.cli.standard_streams import MAX_CHUNK_BYTES, NonBlockingStream
from tests.mock_process import MODULE, ROOT, build_environment
from tests.mock_server.library_contract import API, LIBRARY

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes cannot be polled there")
LINE = "x" * 99 + "\n"


# The stream ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read_end, write_end = os.pipe()
    yield read_end, write_end
    for descriptor in (read_end, write_end):
        try:
            os.close(descriptor)
        except OSError:
            continue


def fill(stream: NonBlockingStream) -> int:
    """Write lines until one is dropped; return how many were written."""
    for count in range(10_000):
        stream.write(LINE)
        if stream.dropped_count:
            return count
    raise AssertionError("the pipe is not full")


def test_lines_are_written(pipe: tuple[int, int]) -> None:
    stream = NonBlockingStream(pipe[1])
    assert stream.write("Grüße\n") == 6
    assert os.read(pipe[0], 100) == "Grüße\n".encode()


def test_characters_that_the_encoding_lacks_are_escaped(pipe: tuple[int, int]) -> None:
    NonBlockingStream(pipe[1], "latin-1").write("ü \u20ac \udcff\n")
    assert os.read(pipe[0], 100) == b"\xfc \\u20ac \\udcff\n"


def test_lines_for_a_full_pipe_are_dropped_and_counted(pipe: tuple[int, int]) -> None:
    stream = NonBlockingStream(pipe[1])
    written = fill(stream)
    stream.write("two\nlines\n")
    assert os.read(pipe[0], 1_000_000) == LINE.encode() * written
    stream.write("again\n")
    assert os.read(pipe[0], 1_000_000) == b"athena-mock: 3 log lines dropped\nagain\n"
    stream.write("and again\n")
    assert os.read(pipe[0], 1_000_000) == b"and again\n"


def test_text_longer_than_the_space_ends_with_its_line(pipe: tuple[int, int]) -> None:
    stream = NonBlockingStream(pipe[1])
    stream.write("y" * 1_000_000 + "\n")
    written = os.read(pipe[0], 1_000_000)
    assert set(written) == {ord("y")}
    assert len(written) % MAX_CHUNK_BYTES == 0
    stream.write("again\n")
    assert os.read(pipe[0], 1_000_000) == b"\nathena-mock: 1 log lines dropped\nagain\n"


def test_timeout_is_the_longest_time_of_a_write(pipe: tuple[int, int]) -> None:
    fill(NonBlockingStream(pipe[1]))
    stream, started_at = NonBlockingStream(pipe[1], timeout=0.2), time.monotonic()
    stream.write(LINE)
    assert (stream.dropped_count, time.monotonic() - started_at >= 0.2) == (1, True)


@pytest.mark.parametrize("form", ["no reader", "closed", "full disk"])
def test_failing_writes_are_counted(pipe: tuple[int, int], form: str) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY) if form == "full disk" else pipe[1]
    if form == "no reader":
        os.close(pipe[0])
    elif form == "closed":
        os.close(descriptor := os.dup(pipe[1]))
    stream = NonBlockingStream(descriptor)
    stream.write("one\n")
    stream.write("two\n")
    assert stream.dropped_count == 2


# The server ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return build_environment(tmp_path_factory.mktemp("cache"))


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def get_status(port: int, path: str) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path, headers={"Authorization": "Bearer demo-token"})
        response = connection.getresponse()
        response.read()
        return response.status


def wait_until_ready(port: int, mock: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert mock.poll() is None
        try:
            if get_status(port, "/__mock/health") == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the mock does not respond")


@contextmanager
def run_library(
    environment: dict[str, str], port: int, *options: str, redirection: str = "", prefix: str = "", stderr: int = -3
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a mock of the library in a shell; `redirection`: of its standard streams."""
    arguments = ("--contract", str(LIBRARY), "--dataset", "plain", "--port", str(port), *options)
    script = f'exec {prefix} "$@" {redirection}'
    command = ("sh", "-c", script, "sh", *MODULE, *arguments)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr, cwd=ROOT, env=environment) as mock:
        try:
            wait_until_ready(port, mock)
            yield mock
        finally:
            mock.kill()


@pytest.mark.slow
def test_unread_stderr_does_not_block_the_server(environment: dict[str, str]) -> None:
    port, count = find_free_port(), 1500
    with run_library(environment, port, stderr=subprocess.PIPE) as mock:
        assert {get_status(port, f"{API}/unknown-{'x' * 100}") for _ in range(count)} == {404}
        assert mock.stderr is not None
        unread = os.read(mock.stderr.fileno(), 10_000_000)
        assert get_status(port, f"{API}/last") == 404
        mock.send_signal(signal.SIGTERM)
        rest = mock.stderr.read().decode()
    lines = [line for line in unread.decode().splitlines() if "unknown-x" in line]
    match = re.match(r"(?:[^\n]*\n)*?athena-mock: (\d+) log lines dropped\n404 GET \S+/last ", rest)
    assert match is not None, rest
    assert int(match[1]) > 100
    assert len(lines) + rest.count("unknown-x") + int(match[1]) in (count, count + 1)  # one is written in part


@pytest.mark.slow
@pytest.mark.parametrize("redirection", [">&- 2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_closed_or_full_streams_do_not_affect_the_server(
    environment: dict[str, str], tmp_path: Path, redirection: str
) -> None:
    port, store = find_free_port(), f"sqlite:///{tmp_path}/mock.db"
    with run_library(environment, port, "--store", store, "--log-level", "info", redirection=redirection) as mock:
        assert get_status(port, f"{API}/unknown") == 404
        assert get_status(port, f"{API}/authors") == 200
        if sys.platform.startswith("linux"):
            targets = {os.readlink(f"/proc/{mock.pid}/fd/{descriptor}") for descriptor in (1, 2)}
            assert targets <= {"/dev/null", "/dev/full"}
        mock.send_signal(signal.SIGTERM)
        assert mock.wait(timeout=20) == 0


@pytest.mark.slow
def test_full_stdout_pipe_does_not_block_the_start(environment: dict[str, str], pipe: tuple[int, int]) -> None:
    fill(NonBlockingStream(pipe[1]))
    port = find_free_port()
    arguments = ("--contract", str(LIBRARY), "--dataset", "plain", "--port", str(port))
    with subprocess.Popen((*MODULE, *arguments), stdout=pipe[1], cwd=ROOT, env=environment) as mock:
        try:
            wait_until_ready(port, mock)
        finally:
            mock.kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('"$@" --help >/dev/full', (1, "athena-mock: stdout: No space left on device\n")),
        ('"$@" --version >/dev/full', (1, "athena-mock: stdout: No space left on device\n")),
        ('"$@" --version >&-', (1, "athena-mock: stdout: Bad file descriptor\n")),  # as GNU commands do
        ('"$@" --help >&-', (1, "athena-mock: stdout: Bad file descriptor\n")),
        ('"$@" --help >&- 2>&-', (1, "")),
        ('"$@" --port x 2>/dev/full', (2, "")),
        ('"$@" --port x 2>&-', (2, "")),
    ],
)
def test_commands_report_streams_that_cannot_be_written(
    environment: dict[str, str], script: str, expected: tuple[int, str]
) -> None:
    command = ("sh", "-c", script, "sh", *MODULE)
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60, check=False)
    assert (ended.returncode, ended.stderr, ended.stdout) == (*expected, "")


# Signals ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_sighup_stops_the_server(environment: dict[str, str], tmp_path: Path) -> None:
    port, path = find_free_port(), tmp_path / "mock.db"
    with run_library(environment, port, "--store", f"sqlite:///{path}") as mock:
        assert path.with_name("mock.db-wal").exists()
        mock.send_signal(signal.SIGHUP)
        assert mock.wait(timeout=20) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["mock.db"]  # closed properly


@pytest.mark.slow
def test_ignored_sighup_does_not_stop_the_server(environment: dict[str, str]) -> None:
    port = find_free_port()
    with run_library(environment, port, prefix="nohup", redirection="</dev/null") as mock:
        mock.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert get_status(port, "/__mock/health") == 200
