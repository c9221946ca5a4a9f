"""Raw requests to a running mock: which are served and which rejected, and what becomes of the connection."""

import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest

from mock_server.server.http_connection import KEEP_ALIVE_SECONDS, MAX_HEAD_BYTES, MAX_TARGET_BYTES
from mock_server.web.body import DEFAULT_MAX_BODY_BYTES
from tests.mock_server.library_contract import API
from tests.mock_server.test_command import environment, run_library_mock, without_notes

__all__ = ["environment"]

AUTHORS = f"{API}/authors".encode()
TOKEN = b"Authorization: Bearer demo-token\r\n"
HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
BODY = b'{"name":"Poe"}'
CHUNK = b"e\r\n" + BODY + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
JSON_TYPE = b"Content-Type: application/json\r\n"
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [A-Za-z -]*\r\n")
HALF_CLOSES = 20


@dataclass(frozen=True, slots=True)
class RunningMock:
    """A mock in a child process."""

    process: "subprocess.Popen[str]"
    port: int


@pytest.fixture(scope="module")
def mock(environment: dict[str, str]) -> Iterator[RunningMock]:
    with run_library_mock(environment, "--quiet") as (process, banner):
        yield RunningMock(process, int(re.findall(r":([0-9]+)/", banner)[0]))
        process.terminate()
        assert without_notes(process.communicate(timeout=20)[1]) == ""  # no traceback


def connect(mock: RunningMock, timeout: float = 5) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", mock.port), timeout=timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def receive_all(sock: socket.socket) -> bytes:
    """Receive until the mock closes the connection. Raises TimeoutError if it does not."""
    content = b""
    while chunk := sock.recv(65536):
        content += chunk
    return content


def exchange(mock: RunningMock, *packets: bytes, half_close: bool = False) -> bytes:
    """Send packets and receive until the mock closes the connection; `half_close`: as `nc -N`."""
    with closing(connect(mock)) as sock:
        for index, packet in enumerate(packets):
            if index:
                time.sleep(0.02)
            sock.sendall(packet)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        return receive_all(sock)


def find_statuses(content: bytes) -> list[int]:
    return [int(status) for status in _STATUS_LINE.findall(content)]


def get(
    target: bytes = AUTHORS,
    headers: bytes = b"",
    *,
    method: bytes = b"GET",
    version: bytes = b"1.1",
    host: bytes = HOST,
) -> bytes:
    """A request after which the mock closes the connection."""
    return method + b" " + target + b" HTTP/" + version + b"\r\n" + host + TOKEN + headers + CLOSE + b"\r\n"


def keep_alive(target: bytes = AUTHORS, headers: bytes = b"") -> bytes:
    """A request after which the mock keeps the connection open."""
    return b"GET " + target + b" HTTP/1.1\r\n" + HOST + TOKEN + headers + b"\r\n"


def post(headers: bytes = b"", body: bytes = BODY, *, version: bytes = b"1.1", connection: bytes = CLOSE) -> bytes:
    """A create, by default without framing of its body."""
    line = b"POST " + AUTHORS + b" HTTP/" + version + b"\r\n"
    return line + HOST + TOKEN + JSON_TYPE + headers + connection + b"\r\n" + body


def post_chunks(body: bytes, headers: bytes = b"") -> bytes:
    return post(CHUNKED + headers, body)


LENGTH = b"Content-Length: %d\r\n" % len(BODY)
LAST_CHUNK = b"0\r\n\r\n"

# What is sent, in one packet or in several -> the statuses of all responses until the mock closes the connection.
SERVED: Mapping[str, tuple[bytes | tuple[bytes, ...], list[int]]] = {
    "request": (get(), [200]),
    "head in three packets": (tuple(get(b"/__mock/health")[start : start + 40] for start in (0, 40, 80)), [200]),
    "pipelined requests": (keep_alive() * 2 + get(), [200, 200, 200]),
    "pipelined requests after Connection: close": (get() + get(), [200]),
    "empty lines before a request": (b"\r\n\r\n" + get(), [200]),
    "empty lines between requests": (keep_alive() + b"\r\n\r\n" + get(), [200, 200]),
    "two spaces in the request line": (get(b" " + AUTHORS), [200]),
    "HEAD": (get(method=b"HEAD"), [200]),
    "OPTIONS": (get(method=b"OPTIONS"), [204]),
    "OPTIONS *": (get(b"*", method=b"OPTIONS"), [404]),
    "TRACE": (get(method=b"TRACE"), [405]),
    "unknown method": (get(method=b"BREW"), [405]),
    "HTTP/1.0": (get(version=b"1.0"), [200]),
    "HTTP/1.0 without Host": (get(version=b"1.0", host=b""), [200]),
    "HTTP/1.0 with keep-alive": (
        b"GET " + AUTHORS + b" HTTP/1.0\r\n" + TOKEN + b"Connection: keep-alive\r\n\r\n",
        [200],
    ),
    "thousand headers": (get(headers=b"X-A: b\r\n" * 1000), [200]),
    "long header": (get(headers=b"X-A: " + b"a" * 100_000 + b"\r\n"), [200]),
    "header without a value": (get(headers=b"X-A:\r\n"), [200]),
    "tab and spaces around a value": (get(headers=b"X-A:\t  b \t\r\n"), [200]),
    "bytes beyond ASCII in a value": (get(headers=b"X-A: \xc3\xa9\xff\r\n"), [200]),
    "TE": (get(headers=b"TE: gzip, trailers\r\n"), [200]),
    "long target": (get(AUTHORS + b"?nothing=" + b"a" * 60_000), [200]),
    "fragment": (get(AUTHORS + b"#name"), [200]),
    "escape of a null byte": (get(AUTHORS + b"/%00"), [404]),
    "escape of invalid UTF-8": (get(AUTHORS + b"/%ff%fe"), [404]),
    "invalid escape": (get(AUTHORS + b"/%zz"), [404]),
    "invalid escape in the query": (get(AUTHORS + b"?search=%u1234%"), [200]),
    "escaped slash": (get(API.encode() + b"%2fauthors"), [404]),
    "two slashes": (get(b"/" + AUTHORS), [404]),
    "network path": (get(b"//example.com" + AUTHORS), [404]),
    "dot segments": (get(API.encode() + b"/books/../authors"), [404]),
    "escaped dot segments to a file": (get(b"/storage/..%2f..%2fetc/passwd"), [404]),
    "absolute form": (get(b"http://localhost" + AUTHORS), [200]),
    "absolute form with a port": (get(b"HTTP://127.0.0.1:80" + AUTHORS), [200]),
    "absolute form instead of Host": (get(b"http://localhost" + AUTHORS, host=b"Host: example.com\r\n"), [200]),
    "content of a GET": (get(headers=b"Content-Length: 5\r\n") + b"hello", [200]),
    "content": (post(LENGTH), [201]),
    "content in a separate packet": ((post(LENGTH, b""), BODY), [201]),
    "chunks": (post_chunks(CHUNK + LAST_CHUNK), [201]),
    "chunks in separate packets": ((post_chunks(b""), CHUNK[:4], CHUNK[4:], LAST_CHUNK), [201]),
    "Chunked": (post(b"Transfer-Encoding: Chunked\r\n", CHUNK + LAST_CHUNK), [201]),
    "chunk extension": (post_chunks(b'e;a=b;c="d e"\r\n' + BODY + b"\r\n" + LAST_CHUNK), [201]),
    "chunk size with zeros": (post_chunks(b"0" * 40 + CHUNK + LAST_CHUNK), [201]),
    "trailer": (post_chunks(CHUNK + b"0\r\nX-Digest: abc\r\n\r\n"), [201]),
    "trailer Authorization": (post_chunks(CHUNK + b"0\r\nAuthorization: Bearer expired-token\r\n\r\n"), [201]),
    "trailer Host": (post_chunks(CHUNK + b"0\r\nHost: example.com\r\n\r\n"), [201]),
    "trailer Content-Type": (post_chunks(CHUNK + b"0\r\nContent-Type: text/plain\r\n\r\n"), [201]),
    "trailer Expect": (post_chunks(CHUNK + b"0\r\nExpect: nothing\r\n\r\n"), [201]),
    "long trailers": ((post_chunks(CHUNK + b"0\r\n"), b"X-A: " + b"a" * 60_000 + b"\r\n\r\n"), [201]),
    "long head with content": (
        (post(b"X-A: " + b"a" * 100_000 + b"\r\n" + CHUNKED, b""), CHUNK + b"0\r\n", b"X-A: b\r\n\r\n"),
        [201],
    ),
    "request after a trailer": (
        post(CHUNKED, CHUNK + b"0\r\nAuthorization: Bearer x\r\n\r\n", connection=b"") + get(),
        [201, 200],
    ),
    "Expect: 100-continue": (post(LENGTH + b"Expect: 100-continue\r\n"), [100, 201]),
    "Expect: 100-Continue": (post(LENGTH + b"Expect: 100-Continue\r\n"), [100, 201]),
    "Expect of HTTP/1.0": (post(LENGTH + b"Expect: 100-continue\r\n", version=b"1.0"), [201]),
    "Expect with an invalid body": ((post(b"Content-Length: 2\r\nExpect: 100-continue\r\n", b""), b"{}"), [100, 422]),
    "Upgrade": (keep_alive(headers=UPGRADE) + get(), [200, 200]),
    "Upgrade with content": (post(LENGTH + UPGRADE, connection=b"") + get(), [201, 200]),
    "Upgrade with content in a separate packet": (
        (post(LENGTH + UPGRADE, b"", connection=b""), BODY, get()),
        [201, 200],
    ),
    "Upgrade with chunks": (post(CHUNKED + UPGRADE, CHUNK + LAST_CHUNK, connection=b"") + get(), [201, 200]),
    "Upgrade with an unknown method": (get(headers=b"Upgrade: a\r\nConnection: upgrade\r\n", method=b"BREW"), [405]),
    "pipelined upgrades": (keep_alive(headers=UPGRADE) * 40 + get(), [200] * 41),
}

REJECTED: Mapping[str, tuple[bytes | tuple[bytes, ...], list[int]]] = {
    "two Host headers": (get(headers=b"Host: example.com\r\n"), [400]),
    "two equal Host headers": (get(headers=HOST), [400]),
    "two Authorization headers": (get(headers=b"Authorization: Bearer other-token\r\n"), [400]),
    "two equal Authorization headers": (get(headers=TOKEN), [400]),
    "two Content-Type headers": (post(LENGTH + b"Content-Type: text/plain\r\n"), [400]),
    "no Host header": (get(host=b""), [400]),
    "empty Host header": (get(host=b"Host:\r\n"), [400]),
    "foreign Host": (get(host=b"Host: example.com\r\n"), [421]),
    "list of hosts": (get(host=b"Host: localhost, example.com\r\n"), [421]),
    "user in Host": (get(host=b"Host: a@localhost\r\n"), [421]),
    "foreign absolute form": (get(b"http://example.com" + AUTHORS), [421]),
    "foreign absolute form of HTTP/1.0": (get(b"http://example.com" + AUTHORS, version=b"1.0", host=b""), [421]),
    "absolute form without Host": (get(b"http://localhost" + AUTHORS, host=b""), [400]),
    "user in the absolute form": (get(b"http://localhost@example.com" + AUTHORS), [400]),
    "absolute form of another scheme": (get(b"ftp://localhost" + AUTHORS), [400]),
    "absolute form without a host": (get(b"http://" + AUTHORS), [400]),
    "absolute form and two Host headers": (get(b"http://localhost" + AUTHORS, HOST), [400]),
    "second of two pipelined requests": (keep_alive() + get(headers=HOST) + get(), [200, 400]),
    "CONNECT": (get(b"localhost:80", method=b"CONNECT"), [400]),
    "gzip, chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNK + LAST_CHUNK), [400]),
    "chunked, gzip": (post(b"Transfer-Encoding: chunked, gzip\r\n", CHUNK + LAST_CHUNK), [400]),
    "gzip and chunked in two headers": (post(b"Transfer-Encoding: gzip\r\n" + CHUNKED, CHUNK + LAST_CHUNK), [400]),
    "chunked twice": (post(CHUNKED * 2, CHUNK + LAST_CHUNK), [400]),
    "chunked, chunked": (post(b"Transfer-Encoding: chunked, chunked\r\n", CHUNK + LAST_CHUNK), [400]),
    "gzip": (post(b"Transfer-Encoding: gzip\r\n"), [400]),
    "identity": (post(b"Transfer-Encoding: identity\r\n"), [400]),
    "xchunked": (post(b"Transfer-Encoding: xchunked\r\n", CHUNK + LAST_CHUNK), [400]),
    "chunked with a parameter": (post(b"Transfer-Encoding: chunked;q=1\r\n", CHUNK + LAST_CHUNK), [400]),
    "chunked after a vertical tab": (post(b"Transfer-Encoding: \x0bchunked\r\n", CHUNK + LAST_CHUNK), [400]),
    "no transfer coding": (post(b"Transfer-Encoding:\r\n"), [400]),
    "chunked in HTTP/1.0": (post(CHUNKED, CHUNK + LAST_CHUNK, version=b"1.0"), [400]),
    "space before the colon": (post(b"Transfer-Encoding : chunked\r\n", CHUNK + LAST_CHUNK), [400]),
    "Content-Length and chunks": (post(LENGTH + CHUNKED, CHUNK + LAST_CHUNK), [400]),
    "chunks and Content-Length": (post(CHUNKED + LENGTH, CHUNK + LAST_CHUNK), [400]),
    "a smuggled request": (post(b"Content-Length: 5\r\n" + CHUNKED, LAST_CHUNK + get(method=b"DELETE")), [400]),
    "two different lengths": (post(LENGTH + b"Content-Length: 1\r\n"), [400]),
    "two equal lengths": (post(LENGTH * 2), [400]),
    "list of lengths": (post(b"Content-Length: 14, 14\r\n"), [400]),
    "length with a sign": (post(b"Content-Length: +14\r\n"), [400]),
    "negative length": (post(b"Content-Length: -1\r\n"), [400]),
    "hexadecimal length": (post(b"Content-Length: 0xe\r\n"), [400]),
    "length beyond 64 bits": (post(b"Content-Length: 99999999999999999999999\r\n"), [400]),
    "empty length": (post(b"Content-Length:\r\n"), [400]),
    "length with a null byte": (post(b"Content-Length: 1\x004\r\n"), [400]),
    "chunk size beyond 64 bits": (post_chunks(b"FFFFFFFFFFFFFFFFF\r\n"), [400]),
    "chunk size with a prefix": (post_chunks(b"0xe\r\n" + BODY + b"\r\n" + LAST_CHUNK), [400]),
    "negative chunk size": (post_chunks(b"-e\r\n" + BODY + b"\r\n" + LAST_CHUNK), [400]),
    "empty chunk size": (post_chunks(b"\r\n" + BODY + b"\r\n" + LAST_CHUNK), [400]),
    "chunk size with a space": (post_chunks(b"e \r\n" + BODY + b"\r\n" + LAST_CHUNK), [400]),
    "chunk longer than its size": (post_chunks(b"2\r\n" + BODY + b"\r\n" + LAST_CHUNK), [400]),
    "chunk without CRLF": (post_chunks(b"e\r\n" + BODY + LAST_CHUNK), [400]),
    "chunks with bare LF": (post_chunks(b"e\n" + BODY + b"\n0\n\n"), [400]),
    "bare LF in a chunk extension": (post_chunks(b"e;a\n" + BODY + b"\r\n" + LAST_CHUNK), [400]),
    "LF in a quoted chunk extension": (post_chunks(b'e;a="\n"\r\n' + BODY + b"\r\n" + LAST_CHUNK), [400]),
    "trailer Content-Length": (post_chunks(CHUNK + b"0\r\nContent-Length: 5\r\n\r\n"), [400]),
    "trailer Transfer-Encoding": (post_chunks(CHUNK + b"0\r\nTransfer-Encoding: gzip\r\n\r\n"), [400]),
    "unknown expectation": (post(LENGTH + b"Expect: a-miracle\r\n"), [417]),
    "unknown expectation without content": (get(headers=b"Expect: 200-ok\r\n"), [417]),
    "unknown and known expectations": (post(LENGTH + b"Expect: 100-continue, a=b\r\n"), [417]),
    "unknown expectation with an unknown method": (get(headers=b"Expect: foo\r\n", method=b"BREW"), [417]),
    "two Host headers with an unknown method": (get(headers=HOST, method=b"BREW"), [400]),
    "gzip with an unknown method": (get(headers=b"Transfer-Encoding: gzip\r\n", method=b"BREW"), [400]),
    "folded header": (get(headers=b"X-A: b\r\n c\r\n"), [400]),
    "folded header after the request line": (b"GET " + AUTHORS + b" HTTP/1.1\r\n X-A: b\r\n" + HOST + b"\r\n", [400]),
    "bare LF in all lines": (get().replace(b"\r\n", b"\n"), [400]),
    "bare LF in one line": (get(headers=b"X-A: b\n"), [400]),
    "bare CR in a value": (get(headers=b"X-A: b\rX-B: c\r\n"), [400]),
    "null byte in a value": (get(headers=b"X-A: b\x00c\r\n"), [400]),
    "null byte in a name": (get(headers=b"X\x00A: b\r\n"), [400]),
    "null byte in the target": (get(AUTHORS + b"\x00"), [400]),
    "empty header name": (get(headers=b": b\r\n"), [400]),
    "header without a colon": (get(headers=b"X-A\r\n"), [400]),
    "space in a header name": (get(headers=b"X A: b\r\n"), [400]),
    "bytes beyond ASCII in the target": (get(b"/caf\xc3\xa9"), [400]),
    "space in the target": (get(b"/a b"), [400]),
    "HTTP/1.2": (get(version=b"1.2"), [400]),
    "HTTP/01.1": (get(version=b"01.1"), [400]),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "http in lower case": (b"GET " + AUTHORS + b" http/1.1\r\n\r\n", [400]),
    "no version": (b"GET " + AUTHORS + b"\r\n\r\n", [400]),
    "tab in the request line": (b"GET\t" + AUTHORS + b" HTTP/1.1\r\n\r\n", [400]),
    "space before the request line": (b" " + get(), [400]),
    "space after the request line": (b"GET " + AUTHORS + b" HTTP/1.1 \r\n\r\n", [400]),
    "brackets in the method": (get(method=b"G(T"), [400]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", [400]),
    "null bytes": (b"\x00" * 100, [400]),
    "long target": (get(b"/" + b"a" * MAX_TARGET_BYTES), [414]),
    "endless target": (b"GET /" + b"a" * 1_000_000, [414]),
    "long headers": ((get()[:-2], *[b"X-A: " + b"a" * 30_000 + b"\r\n"] * (MAX_HEAD_BYTES // 30_000 + 2)), [431]),
    "endless header": ((get()[:-2] + b"X-A: ", *[b"a" * 60_000] * 4), [431]),
    "endless trailers": ((post_chunks(CHUNK + b"0\r\n"), *[b"X-A: " + b"a" * 20_000 + b"\r\n"] * 4), [431]),
    "endless trailer": ((post_chunks(CHUNK + b"0\r\nX-A: "), *[b"a" * 20_000] * 4), [431]),
    "endless chunk extension": ((post_chunks(CHUNK + b"1;a="), *[b"a" * 20_000] * 4), [431]),
    "Content-Length above the limit": (post(b"Content-Length: 1048577\r\n", b""), [413]),
    "Content-Length above the limit, with Expect": (
        post(b"Content-Length: 1048577\r\nExpect: 100-continue\r\n", b""),
        [413],
    ),
}


@pytest.mark.parametrize(("sent", "statuses"), SERVED.values(), ids=SERVED)
def test_request_is_served(mock: RunningMock, sent: bytes | tuple[bytes, ...], statuses: list[int]) -> None:
    content = exchange(mock, *([sent] if isinstance(sent, bytes) else sent))
    assert find_statuses(content) == statuses


@pytest.mark.parametrize(("sent", "statuses"), REJECTED.values(), ids=REJECTED)
def test_request_is_rejected(mock: RunningMock, sent: bytes | tuple[bytes, ...], statuses: list[int]) -> None:
    content = exchange(mock, *([sent] if isinstance(sent, bytes) else sent))
    assert find_statuses(content) == statuses
    head, _, body = content[content.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    assert b"\r\nx-mock-reason: validation" in head
    assert b"\r\nconnection: close" in head
    assert b"\r\nkeep-alive:" not in head
    assert json.loads(body)["message"]


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (HOST, "The request has more than one Host header."),
        (b"Expect: foo\r\n", "The expectation is not supported."),
        (b"Transfer-Encoding: gzip, chunked\r\n", "The transfer coding is not supported."),
        (TOKEN, "The request has more than one Authorization header."),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"BREW"])
def test_rejection_states_the_cause(mock: RunningMock, method: bytes, headers: bytes, message: str) -> None:
    content = exchange(mock, get(headers=headers, method=method))
    assert json.loads(content.partition(b"\r\n\r\n")[2])["message"] == message


# Half-closed connections ----------------------------------------------------------------------------------------------

HALF_CLOSED = {
    "request": (keep_alive(), [200]),
    "create": (post(LENGTH, connection=b""), [201]),
    "pipelined requests": (keep_alive() * 3, [200] * 3),
    "request and a part of the next one": (keep_alive() + b"GET /", [200]),
    "malformed request": (get(headers=HOST), [400]),
    "incomplete body": (post(b"Content-Length: 20\r\n"), []),
    "incomplete head": (b"GET /", []),
    "nothing": (b"", []),
}


@pytest.mark.parametrize(("sent", "statuses"), HALF_CLOSED.values(), ids=HALF_CLOSED)
def test_half_closed_connection_gets_its_responses(mock: RunningMock, sent: bytes, statuses: list[int]) -> None:
    for _ in range(HALF_CLOSES):
        assert find_statuses(exchange(mock, sent, half_close=True)) == statuses


# Bodies over the limit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [DEFAULT_MAX_BODY_BYTES + 1, 20_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_response_to_an_oversized_body_is_readable(mock: RunningMock, size: int, chunked: bool) -> None:
    pieces = [b"x" * 100_000] * (size // 100_000) + [b"x" * (size % 100_000)]
    headers = {"Authorization": "Bearer demo-token", "Content-Type": "application/json"}
    with closing(http.client.HTTPConnection("127.0.0.1", mock.port, timeout=10)) as connection:
        body = iter(filter(None, pieces)) if chunked else b"".join(pieces)
        connection.request("POST", AUTHORS.decode(), body, headers, encode_chunked=chunked)
        response = connection.getresponse()
        assert (response.status, response.getheader("Connection")) == (413, "close")
        assert "must not be greater than" in json.load(response)["message"]


def test_request_after_an_oversized_body_is_not_executed(mock: RunningMock) -> None:
    sent = post(b"Content-Length: 1048577\r\n", b"x" * 1_048_577, connection=b"") + get(b"/__mock/health")
    assert find_statuses(exchange(mock, sent)) == [413]


# Persistent connections -----------------------------------------------------------------------------------------------


def test_connection_that_stays_open_announces_its_timeout(mock: RunningMock) -> None:
    content = exchange(mock, keep_alive() + get(b"/nothing"), half_close=True)
    first, second = content.split(b"HTTP/1.1 ")[1:]
    assert b"\r\nconnection: keep-alive\r\nkeep-alive: timeout=%d\r\n" % KEEP_ALIVE_SECONDS in first
    assert b"\r\nkeep-alive:" not in second


@pytest.mark.slow
@pytest.mark.parametrize("after", [b"", b"\r\n"], ids=["nothing", "an empty line"])
def test_idle_connection_is_closed_after_the_announced_timeout(mock: RunningMock, after: bytes) -> None:
    with closing(connect(mock, KEEP_ALIVE_SECONDS + 10)) as sock:
        sock.sendall(keep_alive(b"/__mock/health"))
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        start_time = time.monotonic()
        sock.sendall(after)
        assert receive_all(sock) == b""
        assert KEEP_ALIVE_SECONDS + 1 <= time.monotonic() - start_time < KEEP_ALIVE_SECONDS + 5
