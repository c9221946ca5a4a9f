"""Limits of a response: its time, its size, and what counts as JSON."""

import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from conformance.errors import BudgetExhausted, NoResponse
from conformance.transport.body import read_body
from conformance.transport.client import Budget, HttpTarget
from conformance.transport.json_body import parse_json
from conformance.transport.messages import Request, Response

REQUEST = Request("createThing", "post", "/things", body={})
# Without "Connection: close" a client may send its next request while the server closes the connection.
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
TOO_MANY_REQUESTS = b"HTTP/1.1 429 Slow\r\nRetry-After: 60\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def receive_request(connection: socket.socket) -> None:
    """Read a request with its body: closing a connection with unread data resets it, and the response may be lost."""
    with connection.makefile("rb") as stream:
        length = 0
        while line := stream.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        stream.read(length)


@contextmanager
def serve(respond: Callable[[socket.socket], None]) -> Iterator[str]:
    """Accept connections on loopback and write to each after its request; yield the base URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        receive_request(connection)
                        respond(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def drip(start: bytes, chunk: bytes) -> Callable[[socket.socket], None]:
    """Send a chunk ten times per second, for at most 5 s."""

    def respond(connection: socket.socket) -> None:
        connection.sendall(start)
        for _ in range(50):
            connection.sendall(chunk)
            time.sleep(0.1)

    return respond


SLOW = {
    "headers": drip(HEAD, b"X"),
    "body": drip(HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    "chunks": drip(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "informational": drip(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
}


@pytest.mark.parametrize("name", SLOW)
def test_timeout_bounds_the_whole_exchange(name: str) -> None:
    with serve(SLOW[name]) as base:
        target = HttpTarget(base, {}, Budget(None, None), timeout=0.5)
        start = time.monotonic()
        with pytest.raises(NoResponse, match=r"timeout after 0\.5 s"):
            target.send(REQUEST)
        assert time.monotonic() - start < 2
        target.close()


def test_max_time_bounds_a_running_exchange() -> None:
    with serve(SLOW["body"]) as base:
        target = HttpTarget(base, {}, Budget(None, time.monotonic() + 0.5), timeout=10)
        start = time.monotonic()
        with pytest.raises(BudgetExhausted, match="--max-time"):
            target.send(REQUEST)
        assert time.monotonic() - start < 2
        target.close()


def test_body_whose_declared_length_is_too_large_is_not_awaited() -> None:
    with serve(SLOW["body"]) as base:
        target = HttpTarget(base, {}, Budget(None, None), timeout=0.5, max_bytes=1000)
        for _ in range(4):  # more than the requests without a response that make a target unreachable
            assert "is larger than" in target.send(REQUEST).json_problem
        target.close()


def test_slow_response_within_the_timeout_is_complete() -> None:
    def respond(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Content-Length: 5\r\n\r\n")
        for _ in range(5):
            connection.sendall(b"1")
            time.sleep(0.1)

    with serve(respond) as base:
        target = HttpTarget(base, {}, Budget(None, None), timeout=5)
        assert target.send(REQUEST).json == 11111
        target.close()


def test_max_time_bounds_the_pause_after_429() -> None:
    pauses: list[float] = []
    with serve(lambda connection: connection.sendall(TOO_MANY_REQUESTS)) as base:
        target = HttpTarget(base, {}, Budget(None, time.monotonic() + 3), timeout=10, sleep=pauses.append)
        target.send(REQUEST)
        target.close()
    assert pauses
    assert max(pauses) <= 3


def test_cleanup_may_take_twice_the_duration_of_the_run() -> None:
    now = [0.0]
    budget = Budget(5, 100.0, lambda: now[0])
    now[0] = 100.0
    budget.start_cleanup()
    assert (budget.requests, budget.deadline) == (None, 300.0)
    unlimited = Budget(5, None)
    unlimited.start_cleanup()
    assert (unlimited.requests, unlimited.deadline) == (None, None)


# Size and encoding

BODY = json.dumps({"data": ["text"] * 100}).encode()
LIMIT = 10_000


def show_text(value: object) -> str:
    """Test id of a parameter: bodies have none."""
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (BODY, ""),
        (BODY, "identity"),
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), "X-GZIP"),
        (zlib.compress(BODY), "deflate"),
        (zlib.compress(BODY)[2:-4], "deflate"),
        (gzip.compress(zlib.compress(BODY)), "deflate, gzip"),
        (b"", "gzip"),
    ],
    ids=show_text,
)
def test_body_is_decompressed(content: bytes, encoding: str) -> None:
    assert read_body([content[:10], content[10:]], encoding, LIMIT) == (BODY if content else b"", "")


@pytest.mark.parametrize(
    ("chunks", "encoding", "problem"),
    [
        ([b" " * 6000] * 10**6, "", "is larger than 0.00953674 MiB (--max-response-size)"),
        ([gzip.compress(b" " * 10**7)], "gzip", "is larger than 0.00953674 MiB (--max-response-size)"),
        ([gzip.compress(gzip.compress(b" " * 10**7))], "gzip, gzip", "is larger than 0.00953674 MiB"),
        ([gzip.compress(BODY)[:-9]], "gzip", "is not gzip, the encoding in its header"),
        ([BODY], "gzip", "is not gzip, the encoding in its header"),
        ([b"\x1b\x00"], "br", "has the encoding 'br' (expected gzip, deflate)"),
    ],
    ids=show_text,
)
def test_body_that_cannot_be_read_has_a_problem(chunks: list[bytes], encoding: str, problem: str) -> None:
    content, found = read_body(chunks, encoding, LIMIT)
    assert len(content) <= LIMIT
    assert found.startswith(problem)


# JSON


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty, not JSON"),
        (b" \n", "is empty, not JSON"),
        (b'{"data": [', "is not JSON (Expecting value at character 10)"),
        (b"[NaN]", "contains NaN, which is not JSON"),
        (b"[-Infinity]", "contains -Infinity, which is not JSON"),
        (b"[1e999]", "contains the number 1e999, which is out of range"),
        (b"[" + b"1" * 400 + b"]", "contains a number of 400 characters (at most 300)"),
        (b"[" + b"1" * 10**6 + b"]", "contains a number of 1000000 characters (at most 300)"),
        (b'{"a": 1, "b": 2, "a": 3}', "contains the key 'a' twice"),
        (b'["\\ud800"]', "contains a lone surrogate, which is not Unicode text"),
        (b'{"\\uDC00": 1}', "contains a lone surrogate, which is not Unicode text"),
        (b'["\xff"]', "is not UTF-8 (byte 2)"),
        ('["ä"]'.encode("utf-16"), "is not UTF-8 (byte 0)"),
        (b"[" * 102 + b"]" * 102, "is nested more than 100 levels deep"),
        (b"[" * 10**5, "is nested more than 100 levels deep"),
        (b'{"a":' * 10**5, "is nested more than 100 levels deep"),
        (b"[" + b"{}," * 600_000 + b"{}]", "has more than 1000000 values"),
    ],
    ids=show_text,
)
def test_invalid_or_unbounded_json_is_a_problem(content: bytes, problem: str) -> None:
    response = Response(200, {}, content, 0.0)
    assert (response.json, response.json_problem) == (None, problem)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"null", None),
        (b"\xef\xbb\xbf[1]", [1]),
        (b'["\\ud83d\\ude00"]', ["\U0001f600"]),
        (b"[" + b"1" * 300 + b"]", [int("1" * 300)]),
        (b"[" * 100 + b"]" * 100, None),
        (b'{"a": {"a": 1}, "b": -1.5e3}', {"a": {"a": 1}, "b": -1500.0}),
    ],
    ids=show_text,
)
def test_valid_json_is_parsed(content: bytes, value: object) -> None:
    response = Response(200, {}, content, 0.0)
    assert response.json_problem == ""
    assert response.json == parse_json(content)
    if value is not None:
        assert response.json == value
