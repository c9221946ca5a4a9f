"""Faults of a connection: responses that are incomplete, malformed or missing."""

import hashlib
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.rules import Fault, RuleResponse
from mock_server.web.context import Header, RequestContext

TRANSPORT_KEY = "mock.transport"  # in the scope: the transport of the connection
HALF_CLOSED_KEY = "mock.half_closed"  # in the scope: the client sends nothing more
_CHUNKED_HEADERS: tuple[Header, ...] = ((b"content-type", b"application/json"), (b"transfer-encoding", b"chunked"))
_KEEP_ALIVE_HEADERS = (b"connection", b"keep-alive")
_RANDOM_BYTES = 512
# Faults of a response that is otherwise sent as usual.
BODY_FAULTS = (Fault.TRUNCATE, Fault.DRIBBLE)


async def inject_fault(context: RequestContext, fault: Fault, seed: str, scope: Scope, receive: Receive) -> None:
    """Break the connection instead of a response, and wait until it is closed. Raises ApiError without a connection.

    The context gets the status of a response whose body is broken.
    """
    transport = scope.get(TRANSPORT_KEY)
    if transport is None:
        raise ApiError(ErrorKind.BAD_REQUEST, message=f"The fault {fault.value} needs a network connection.")
    if fault is Fault.MALFORMED_CHUNK:
        _send_malformed_chunk(context, transport)
    else:
        _break_connection(fault, seed, transport, is_half_closed=HALF_CLOSED_KEY in scope)
    while (await receive())["type"] != "http.disconnect":
        pass


def _break_connection(fault: Fault, seed: str, transport: Any, *, is_half_closed: bool) -> None:
    """Apply a fault to a connection. The one without a response stays open until the client closes it."""
    if fault is Fault.CONNECTION_RESET:
        connection = transport.get_extra_info("socket")
        if connection is not None:  # the system then sends RST instead of FIN
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    elif fault is Fault.EMPTY_RESPONSE:
        transport.close()
    elif fault is Fault.RANDOM_THEN_CLOSE:
        transport.write(hashlib.shake_128(seed.encode()).digest(_RANDOM_BYTES))
        transport.close()
    elif is_half_closed:
        transport.close()


def _send_malformed_chunk(context: RequestContext, transport: Any) -> None:
    """Send the head of a success and a body that cannot be decoded; close the connection."""
    headers = [(n, v) for n, v in context.response_headers if n not in _KEEP_ALIVE_HEADERS]
    context.status, context.response_headers = HTTPStatus.OK, [*headers, *_CHUNKED_HEADERS]
    lines = (b"%s: %s\r\n" % header for header in context.response_headers)
    transport.write(b"HTTP/1.1 200 OK\r\n" + b"".join(lines) + b"\r\nnot a chunk size\r\n")
    transport.close()


async def send_with_fault(
    context: RequestContext, response: RuleResponse, body: bytes, scope: Scope, send: Send
) -> None:
    """Send a response in small parts, or only its first half, after which the connection is closed."""
    await send({"type": "http.response.start", "status": context.status, "headers": context.response_headers})
    if response.fault is Fault.TRUNCATE:
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        transport = scope.get(TRANSPORT_KEY)
        if transport is not None:
            transport.close()
        return
    size = max(1, -(-len(body) // response.chunks))
    for start in range(0, len(body), size):
        await context.pause(response.duration_ms / 1000 / response.chunks)
        await send({"type": "http.response.body", "body": body[start : start + size], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class CapturedResponse:
    """Collects a response instead of sending it."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, list[Header](), b""

    async def send(self, message: Message) -> None:
        """Called instead of the server's `send`."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")


async def capture_response(call: Callable[[Send], Awaitable[None]]) -> CapturedResponse:
    """Call an application that gets a `send`, and return its response."""
    captured = CapturedResponse()
    await call(captured.send)
    return captured
