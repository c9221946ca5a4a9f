"""Malformed and oversized requests get an error from the application, and then the connection is closed."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from mock_server.server import http_connection
from mock_server.server.http_connection import (
    KEEP_ALIVE_SECONDS,
    LINGER_TIMEOUT,
    MAX_HEAD_BYTES,
    MAX_TARGET_BYTES,
    MAX_UNSENT_BYTES,
    REQUEST_TIMEOUT,
    WRITE_TIMEOUT,
    HttpConnection,
)
from tests.mock_server.controlled_mock import ControlledMock
from tests.mock_server.library_contract import API, POE, LogCapture, app, create_sandbox, recording_client

AUTHORS = f"{API}/authors".encode()
HOST = b"Host: localhost\r\n"
TOKEN = b"Authorization: Bearer demo-token\r\n"
HEALTH_REQUEST = b"GET /__mock/health HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response as received from the socket."""

    status: int
    headers: dict[str, str]
    body: bytes
    json: Any = field(default=None)


async def _send_packets(application: Any, packets: tuple[bytes, ...]) -> bytes:
    config = uvicorn.Config(application, log_config=None, ws="none", server_header=False, proxy_headers=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: HttpConnection(config=config, server_state=state, app_state={}), "127.0.0.1"
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for packet in packets:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0.02 if len(packets) > 1 else 0)
        content = await asyncio.wait_for(reader.read(), 5)  # until the end: a connection that stays open fails the test
        writer.close()
    return content


def send_packets(application: Any, *packets: bytes) -> list[RawResponse]:
    """Send packets and return the responses until the mock closes the connection."""
    rest = asyncio.run(_send_packets(application, packets))
    responses = []
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(text.split(": ", 1) for text in lines)
        length = int(headers.get("content-length", "0"))
        body, rest = rest[:length], rest[length:]
        kind = headers.get("content-type", "")
        responses.append(RawResponse(int(line.split()[1]), headers, body, json.loads(body) if "json" in kind else None))
    return responses


def assert_error(response: RawResponse, status: int, reason: str = "validation") -> str:
    """Check the parts common to all errors of the mock and return the message."""
    assert (response.status, response.headers["x-mock-reason"]) == (status, reason)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    assert set(response.json) == {"message"}
    message: str = response.json["message"]
    return message


def build_request(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return line + b"\r\n" + HOST + TOKEN + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + body


# Malformed requests -------------------------------------------------------------------------------------------------

MALFORMED_REQUESTS = {
    "a path with bytes beyond ASCII": build_request(b"GET /caf\xc3\xa9 HTTP/1.1"),
    "a query with bytes beyond ASCII": build_request(b"GET " + AUTHORS + b"?search=\xff HTTP/1.1"),
    "a path with a space": build_request(b"GET /a b HTTP/1.1"),
    "another protocol": build_request(b"GET / FTP/1.1"),
    "another version": build_request(b"GET / HTTP/3.1"),
    "a header without a colon": build_request(b"GET / HTTP/1.1", b"Nonsense"),
    "a header with a blank in its name": build_request(b"GET / HTTP/1.1", b"Non sense: 1"),
    "a header with a control character": build_request(b"GET / HTTP/1.1", b"X-A: \x01"),
    "a length that is no number": build_request(b"POST " + AUTHORS + b" HTTP/1.1", b"Content-Length: many"),
    "two lengths": build_request(b"POST " + AUTHORS + b" HTTP/1.1", b"Content-Length: 1", b"Content-Length: 2"),
    "a length and chunks": build_request(
        b"POST " + AUTHORS + b" HTTP/1.1", b"Content-Length: 1", b"Transfer-Encoding: chunked"
    ),
    "a bad chunk": build_request(
        b"POST " + AUTHORS + b" HTTP/1.1", b"Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n"
    ),
    "a tunnel": build_request(b"CONNECT localhost:80 HTTP/1.1"),
    "a method that is no token": build_request(b"G(T / HTTP/1.1"),
    "no request at all": b"hello\r\n\r\n",
    "half a method": b"FO",
    "an address without a path": build_request(b"GET http://localhost HTTP/1.1"),
}


@pytest.mark.parametrize("data", MALFORMED_REQUESTS.values(), ids=MALFORMED_REQUESTS)
def test_malformed_request_returns_400_in_the_mocks_format(data: bytes) -> None:
    terminal = LogCapture()
    (response,) = send_packets(app(terminal=terminal), data)
    assert assert_error(response, 400).startswith("The request is not valid HTTP: ")
    assert response.headers["connection"] == "close"
    (line,) = terminal.getvalue().splitlines()
    assert line.startswith("400 ")
    assert "expected METHOD /path HTTP/1.1" in line
    assert line.endswith(f"[req {response.headers['x-request-id']}]")


def test_tls_handshake_returns_advice_to_use_http() -> None:
    (response,) = send_packets(recording_client()[0].app, b"\x16\x03\x01\x02\x00\x01\x00\x01")
    assert assert_error(response, 400) == "This port serves HTTP, not HTTPS."


def test_parsed_part_of_a_malformed_request_is_logged() -> None:
    terminal = LogCapture()
    headers = (b"X-Request-Id: abc", b"Origin: http://localhost:1", b"X-A: 1", b"Non sense: 1")
    (response,) = send_packets(app(terminal=terminal), build_request(b"POST " + AUTHORS + b"?a=b HTTP/1.1", *headers))
    assert response.headers["x-request-id"] == "abc"
    assert response.headers["access-control-allow-origin"] == "http://localhost:1"
    assert terminal.getvalue().startswith(f"400 POST {AUTHORS.decode()} - validation: ")


def test_error_is_sent_after_pending_responses() -> None:
    valid_request = build_request(b"GET " + AUTHORS + b" HTTP/1.1")
    first, second, third = send_packets(
        recording_client()[0].app,
        valid_request + valid_request + MALFORMED_REQUESTS["a path with a space"] + valid_request,
    )
    assert (first.status, second.status) == (200, 200)
    assert_error(third, 400)


def test_body_that_becomes_malformed_is_rejected_once() -> None:
    head = build_request(
        b"POST " + AUTHORS + b" HTTP/1.1", b"Content-Type: application/json", b"Transfer-Encoding: chunked"
    )
    (response,) = send_packets(recording_client()[0].app, head, b"1\r\n{\r\n", b"zz\r\n", b"more\r\n")
    assert_error(response, 400)


def test_request_with_invalid_framing_is_not_executed() -> None:
    sandbox = create_sandbox()
    poe = AUTHORS + b"/" + POE.encode()
    (response,) = send_packets(
        app(sandbox=sandbox), build_request(b"DELETE " + poe + b" HTTP/1.1", b"Transfer-Encoding: gzip")
    )
    assert_error(response, 400)
    assert sandbox.store.get("Author", POE) is not None
    (response,) = send_packets(
        app(sandbox=sandbox), build_request(b"DELETE " + poe + b" HTTP/1.1", b"Connection: close")
    )
    assert (response.status, sandbox.store.get("Author", POE)) == (204, None)


def test_queued_request_with_malformed_body_is_rejected_in_order() -> None:
    good = build_request(b"GET " + AUTHORS + b" HTTP/1.1")
    first, second = send_packets(recording_client()[0].app, good + MALFORMED_REQUESTS["a bad chunk"])
    assert first.status == 200
    assert_error(second, 400)


# Oversized requests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [1, 4])
def test_oversized_query_returns_414(pieces: int) -> None:
    data = build_request(b"GET " + AUTHORS + b"?search=" + b"a" * 100_000 + b" HTTP/1.1")
    size = -(-len(data) // pieces)
    (response,) = send_packets(
        recording_client()[0].app, *(data[start : start + size] for start in range(0, len(data), size))
    )
    assert assert_error(response, 414) == "The request's path and query are too long."


def test_long_query_is_served_up_to_the_limit() -> None:
    query = b"?nothing="
    padding = b"a" * (MAX_TARGET_BYTES - len(AUTHORS + query))
    response, _ = send_packets(
        recording_client()[0].app, build_request(b"GET " + AUTHORS + query + padding + b" HTTP/1.1") + HEALTH_REQUEST
    )
    assert response.status == 200
    (response,) = send_packets(
        recording_client()[0].app, build_request(b"GET " + AUTHORS + query + padding + b"a HTTP/1.1")
    )
    assert_error(response, 414)


def test_oversized_headers_return_431() -> None:
    lines = [b"X-%d: %s\r\n" % (n, b"a" * 1000) for n in range(MAX_HEAD_BYTES // 1000 + 20)]
    request_start = b"GET " + AUTHORS + b" HTTP/1.1\r\n" + HOST
    packets = (request_start, *(b"".join(lines[start : start + 20]) for start in range(0, len(lines), 20)))
    (response,) = send_packets(recording_client()[0].app, *packets)
    assert assert_error(response, 431) == "The request headers are too large."


def test_oversized_unfinished_path_returns_414() -> None:
    (response,) = send_packets(recording_client()[0].app, b"GET /", *[b"a" * 30_000] * 5)
    assert_error(response, 414)


def test_head_in_small_packets_is_parsed() -> None:
    (response,) = send_packets(
        recording_client()[0].app, *(HEALTH_REQUEST[start : start + 30] for start in range(0, len(HEALTH_REQUEST), 30))
    )
    assert response.status == 200


# Methods ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["FOO", "get", "Get", "M-X", "PROPFIND", "GETT"])
def test_unknown_method_returns_405_and_keeps_the_connection(method: str) -> None:
    terminal = LogCapture()
    sent = build_request(method.encode() + b" " + AUTHORS + b" HTTP/1.1", b"Content-Length: 2", body=b"{}")
    response, last = send_packets(app(terminal=terminal), sent + HEALTH_REQUEST)
    message = assert_error(response, 405, "route-not-found")
    assert message.startswith(f"The {method} method is not supported for route {AUTHORS.decode()}.")
    assert response.headers["allow"] == "GET, POST, HEAD, OPTIONS"
    assert terminal.getvalue().startswith(f"405 {method} {AUTHORS.decode()} - route-not-found")
    assert last.status == 200


def test_unknown_method_on_unknown_path_returns_404() -> None:
    (response,) = send_packets(recording_client()[0].app, build_request(b"FOO /nothing HTTP/1.1", b"Connection: close"))
    assert_error(response, 404, "route-not-found")


def test_each_unknown_method_of_a_connection_is_reported() -> None:
    requests = [build_request(method + b" /docs HTTP/1.1") for method in (b"FOO", b"get", b"BAR")]
    for packets in ((*requests, HEALTH_REQUEST), (b"".join(requests) + HEALTH_REQUEST,)):
        responses = send_packets(recording_client()[0].app, *packets)
        assert [response.status for response in responses][:1] == [405]
        assert "The FOO method" in responses[0].json["message"]
    # In one packet only the first method can be parsed; the rest is rejected and closes the connection.
    assert [response.status for response in responses] == [405, 400]


def test_request_after_an_unknown_method_keeps_its_method() -> None:
    first, second = send_packets(recording_client()[0].app, build_request(b"FOO /docs HTTP/1.1") + HEALTH_REQUEST)
    assert (first.status, second.status) == (405, 200)


def test_unsupported_upgrade_is_served_as_http() -> None:
    headers = (b"Connection: Upgrade, close", b"Upgrade: websocket")
    (response,) = send_packets(recording_client()[0].app, build_request(b"GET /__mock/health HTTP/1.1", *headers))
    assert response.status == 200


# Arbitrary bytes ----------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.sampled_from([*MALFORMED_REQUESTS.values(), HEALTH_REQUEST, b"\r\n", b"0\r\n\r\n"]) | st.binary(max_size=60),
        max_size=4,
    )
)
def test_arbitrary_bytes_never_cause_5xx_or_invalid_log_lines(packets: list[bytes]) -> None:
    for response in send_packets(recording_client()[0].app, b"".join(packets) + b"\r\n\r\n" + HEALTH_REQUEST + b"\x00"):
        assert response.status < 500
        assert response.headers["x-request-id"]


def test_expect_100_continue_is_answered_before_the_body() -> None:
    async def exchange() -> tuple[bytes, bytes]:
        config = uvicorn.Config(app(), log_config=None, ws="none", server_header=False, proxy_headers=False)
        config.load()
        loop, state = asyncio.get_running_loop(), ServerState()
        server = await loop.create_server(
            lambda: HttpConnection(config=config, server_state=state, app_state={}), "127.0.0.1"
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            sent = (
                b"Content-Type: application/json",
                b"Content-Length: 2",
                b"Expect: 100-continue",
                b"Connection: close",
            )
            writer.write(build_request(b"POST " + AUTHORS + b" HTTP/1.1", *sent))
            interim = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            writer.write(b"{}")
            final_response = await asyncio.wait_for(reader.read(), 5)
            writer.close()
        return interim, final_response

    interim, final_response = asyncio.run(exchange())
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert final_response.startswith(b"HTTP/1.1 422 ")


# Connections that wait for the client ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OpenConnection:
    """A connection of a server, and the streams of its client."""

    connection: HttpConnection
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def is_closed(self, seconds: float = 0.2) -> bool:
        """Return whether the server removes the connection."""
        for _ in range(20):
            if self.connection not in self.connection.connections:
                return True
            await asyncio.sleep(seconds / 20)
        return False


@asynccontextmanager
async def open_connection(
    *, sent: bytes, application: Any = None, is_answered: bool = True
) -> AsyncIterator[OpenConnection]:
    """Connect and send `sent`. `is_answered`: wait for the head of the response."""
    config = uvicorn.Config(application or app(), log_config=None, ws="none", server_header=False, proxy_headers=False)
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(
        lambda: HttpConnection(config=config, server_state=state, app_state={}), "127.0.0.1"
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n") if is_answered else asyncio.sleep(0.1), 5)
        (connection,) = [c for c in state.connections if isinstance(c, HttpConnection)]
        yield OpenConnection(connection, reader, writer)
        writer.close()


OVERSIZED = build_request(
    b"POST " + AUTHORS + b" HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 9000000", body=b"{"
)


def test_idle_connection_is_closed_one_second_after_the_announced_timeout() -> None:
    async def wait() -> None:
        async with open_connection(sent=build_request(b"GET /__mock/health HTTP/1.1")) as opened:
            check_timeouts, now = opened.connection.check_timeouts, time.monotonic()
            check_timeouts(now)
            opened.writer.write(b"\r\n")  # does not start a request
            assert not await opened.is_closed()
            check_timeouts(now + KEEP_ALIVE_SECONDS + 0.9)
            assert not await opened.is_closed()
            check_timeouts(now + KEEP_ALIVE_SECONDS + 1.1)
            assert await opened.is_closed()

    asyncio.run(wait())


def test_request_restarts_the_timeout_of_a_connection() -> None:
    request = build_request(b"GET /__mock/health HTTP/1.1")

    async def wait() -> None:
        async with open_connection(sent=request) as opened:
            check_timeouts, now = opened.connection.check_timeouts, time.monotonic()
            check_timeouts(now)
            opened.writer.write(request)
            await asyncio.wait_for(opened.reader.readuntil(b"\r\n\r\n"), 5)
            check_timeouts(now + KEEP_ALIVE_SECONDS)
            check_timeouts(now + 2 * KEEP_ALIVE_SECONDS)
            assert not await opened.is_closed()

    asyncio.run(wait())


def test_client_has_limited_time_for_the_rest_of_a_rejected_request() -> None:
    async def wait() -> None:
        async with open_connection(sent=OVERSIZED) as opened:
            opened.writer.write(b"x" * 100_000)
            assert not await opened.is_closed()
            opened.connection.check_timeouts(time.monotonic() + LINGER_TIMEOUT - 1)
            assert not await opened.is_closed()
            opened.connection.check_timeouts(time.monotonic() + LINGER_TIMEOUT)
            assert await opened.is_closed()

    asyncio.run(wait())


def test_discarded_part_of_a_rejected_request_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "MAX_DISCARDED_BYTES", 50_000)

    async def send() -> None:
        async with open_connection(sent=OVERSIZED) as opened:
            opened.writer.write(b"x" * 40_000)
            assert not await opened.is_closed()
            opened.writer.write(b"x" * 20_000)
            assert await opened.is_closed(5)

    asyncio.run(send())


def test_rejected_request_does_not_delay_the_shutdown() -> None:
    async def stop() -> None:
        async with open_connection(sent=OVERSIZED) as opened:
            opened.connection.shutdown()
            assert await opened.is_closed(5)

    asyncio.run(stop())


# Delayed responses ----------------------------------------------------------------------------------------------------

DELAY = b"X-Mock-Delay: 400"


def build_delayed_create(body: bytes) -> bytes:
    headers = (b"Content-Type: application/json", b"Transfer-Encoding: chunked", DELAY)
    return build_request(b"POST /api/v1/messages HTTP/1.1", *headers, body=b"%x\r\n%s\r\n" % (len(body), body))


@pytest.mark.parametrize(("size", "status"), [(200_000, 422), (2_000_000, 413)])
def test_body_that_the_mock_does_not_read_yet_is_not_late(size: int, status: int) -> None:
    sent = build_delayed_create(b'{"content":"' + b"x" * size + b'"}') + b"0\r\n\r\n"

    async def wait() -> bytes:
        application = ControlledMock.create().app
        async with open_connection(sent=sent, application=application, is_answered=False) as opened:
            now = time.monotonic()
            for seconds in (0.0, REQUEST_TIMEOUT + 1):
                opened.connection.check_timeouts(now + seconds)
            return await asyncio.wait_for(opened.reader.readuntil(b"\r\n"), 5)

    assert asyncio.run(wait()).startswith(b"HTTP/1.1 %d " % status)


def test_request_that_fails_while_it_is_delayed_logs_no_error(caplog: pytest.LogCaptureFixture) -> None:
    async def send_and_wait() -> bytes:
        application = ControlledMock.create().app
        async with open_connection(
            sent=build_delayed_create(b"{}"), application=application, is_answered=False
        ) as opened:
            opened.writer.write(b"no chunk\r\n")
            response = await asyncio.wait_for(opened.reader.readuntil(b"\r\n"), 5)
            await asyncio.sleep(0.5)  # the delay ends
            return response

    assert asyncio.run(send_and_wait()).startswith(b"HTTP/1.1 400 ")
    assert caplog.records == []


# Responses that are not read ------------------------------------------------------------------------------------------


def connect_reader(connections: set[Any], unsent_bytes: int) -> tuple[HttpConnection, list[str]]:
    """Return a connection with a write buffer of this size, and a list of its aborts."""
    config = uvicorn.Config(app(), log_config=None, ws="none")
    config.load()
    state = ServerState()
    state.connections = connections
    aborts: list[str] = []
    transport = SimpleNamespace(
        get_extra_info=lambda name: None,
        get_write_buffer_size=lambda: unsent_bytes,
        abort=lambda: aborts.append("aborted"),
        is_closing=lambda: bool(aborts),
    )
    connection = HttpConnection(config=config, server_state=state, app_state={}, _loop=SimpleNamespace())  # type: ignore[arg-type]
    connection.connection_made(transport)  # type: ignore[arg-type]
    return connection, aborts


def test_only_reader_of_a_large_response_is_not_disconnected() -> None:
    connection, aborts = connect_reader(set(), MAX_UNSENT_BYTES + 1)
    connection.pause_writing()
    assert aborts == []


def test_slowest_of_several_readers_is_disconnected(caplog: pytest.LogCaptureFixture) -> None:
    connections: set[Any] = set()
    readers = [connect_reader(connections, MAX_UNSENT_BYTES // 3) for _ in range(4)]
    for connection, _ in readers:
        connection.pause_writing()
    assert [aborts for _, aborts in readers] == [["aborted"], [], [], []]
    (record,) = caplog.records
    assert f"with {MAX_UNSENT_BYTES // 3} unread bytes: the unread responses of all clients" in record.getMessage()


def test_client_that_reads_nothing_is_disconnected(caplog: pytest.LogCaptureFixture) -> None:
    connection, aborts = connect_reader(set(), 1000)
    connection.pause_writing()
    connection.check_timeouts(time.monotonic() + WRITE_TIMEOUT - 1)
    assert aborts == []
    connection.check_timeouts(time.monotonic() + WRITE_TIMEOUT + 1)
    assert aborts == ["aborted"]
    assert "nothing was read for 30 seconds" in caplog.text
