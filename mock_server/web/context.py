"""The context of one request, which all layers share through the ASGI scope. Each layer adds its results."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from mock_server.errors import deleted_sandbox_error
from mock_server.query import Viewer
from mock_server.sandbox.journal import ResponseSource
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Dependencies
from spec.model import Operation

CONTEXT_KEY = "mock.context"
# Scope type of a request that failed before it was complete, and that the HTTP layer responds to.
ABORTED_SCOPE_TYPE = "aborted"
KEEP_ALIVE_KEY = "mock.keep_alive"  # in the scope: the headers of a response after which the connection stays open
READ_METHODS = "GET, HEAD, OPTIONS"
NOTE_HEADER = b"x-mock-note"
_MAX_NOTES = 20
_MAX_BODY_WAIT_SECONDS = 0.1  # for a body that is only recorded
COOKIE, EXPECT = b"cookie", b"expect"
CONTENT_LENGTH, TRANSFER_ENCODING = b"content-length", b"transfer-encoding"
_COOKIE_VALUE_PATTERN = re.compile(r"[!#-+\--:<-\[\]-~]+")  # RFC 6265, section 4.1.1
JSON_CONTENT_TYPE = (b"content-type", b"application/json")

Header = tuple[bytes, bytes]


@dataclass(slots=True)
class RequestContext:
    """A request and the state of its processing.

    Args:
        raw_path: The path as sent, percent-encoded.
        headers: The headers that the mock reads, with lower-case names; the last value of a repeated header.
        response_headers: Headers of every response to this request (request id, keep-alive, CORS).
        received_at: System time at which the request arrived.
        started_at: The same instant in seconds of a monotonic clock.
        names_sandbox: Whether the request selects its sandbox, even if it is the default one.
        token: The token or session that authenticates the request.
        has_invalid_credential: Whether a credential that precedes `token` in the order of the contract is invalid.
        has_csrf_mismatch: Whether the session is valid, but the CSRF token is not.
        content_type: The Content-Type header of a success, if an action creates the body.
        notes: The parts of the request that are ignored.
        status: The status of the response; 0 before it is sent.
        response_body: The body of the response.
        response_parts: The parts of it, before the base URL is inserted; None if it was not made of them.
        dependencies: What the response to a read depends on; None if that is not known.
        outcome: How the asynchronous work that the request starts ends; None: chosen by the mock.
        text: What a model run answers; None: composed by the mock.
        rejection: (X-Mock-Reason, detail, place in the contract) of a rejected request. Not the error itself, whose
            traceback refers to this context: such a cycle is only freed by the garbage collector.
        is_recorded: Whether the request is recorded in the journal.
        source: Where the response comes from.
        fault: The fault that a rule injects.
        server_stop: Set when the server stops; None if nothing waits for that.
        receive: Receives the messages of the body, if it is recorded.
        raw_body: The body as far as it was received; None if it was not received.
    """

    id: str
    method: str
    raw_path: bytes
    raw_query: bytes
    headers: Mapping[bytes, bytes]
    response_headers: list[Header]
    base_url: str
    now: datetime
    sandbox: Sandbox
    received_at: datetime
    started_at: float = 0.0
    names_sandbox: bool = False
    operation: Operation | None = None
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    viewer: Viewer | None = None
    token: str | None = None
    has_invalid_credential: bool = False
    has_csrf_mismatch: bool = False
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    content_type: Header = JSON_CONTENT_TYPE
    notes: tuple[str, ...] = ()
    status: int = 0
    response_body: bytes | None = None
    response_parts: Sequence[bytes] | None = None
    dependencies: Dependencies | None = None
    outcome: str | None = None
    text: str | None = None
    rejection: tuple[str, str, str | None] | None = None
    is_recorded: bool = False
    source: ResponseSource = ResponseSource.PROCESSED
    fault: str = ""
    server_stop: asyncio.Event | None = None
    receive: Receive | None = None
    raw_body: bytes | None = None

    def get_header(self, name: bytes) -> str:
        """Return the stripped value of a header; empty if it was not sent."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    def get_cookie(self, name: str) -> str | None:
        """Return the value of the first cookie with this name; None without one, or if its value is malformed.

        Cookies of other applications on the same host are skipped, whatever their values are.
        """
        for pair in self.get_header(COOKIE).split(";"):
            key, _, value = pair.partition("=")
            if key.strip() == name:
                return value.strip() if _COOKIE_VALUE_PATTERN.fullmatch(value.strip()) else None
        return None

    async def pause(self, seconds: float) -> None:
        """Wait, at most until the server stops."""
        stop = self.server_stop = self.server_stop or asyncio.Event()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)

    async def delay_response(self, seconds: float) -> None:
        """Wait before the request is processed. Raises ApiError (404) if its sandbox does not exist afterwards."""
        await self.pause(seconds)
        self.check_sandbox()
        self.now = self.sandbox.clock.now()

    def check_sandbox(self) -> None:
        """Raise ApiError (404) if the sandbox was deleted or replaced after the request had selected it."""
        if self.sandbox.is_deleted:
            raise deleted_sandbox_error(self.sandbox.name)

    def expect_body(self, receive: Receive) -> None:
        """Prepare `record_unread_body`. A request without the headers of a body has none (RFC 9112, section 6.3)."""
        if CONTENT_LENGTH in self.headers or TRANSFER_ENCODING in self.headers:
            self.receive = receive
        else:
            self.raw_body = b""

    async def record_unread_body(self) -> None:
        """Receive the part of the body that arrives soon, unless it was read. For the journal, before a response.

        Many clients send the body in a separate packet. Not if the client waits for a 100 (Continue) before it sends
        the body.
        """
        if self.receive is None or self.raw_body is not None or EXPECT in self.headers:
            return
        receiving: Any = self.receive()
        try:
            receiving.send(None)
        except StopIteration as finished:  # without waiting
            self.raw_body = finished.value.get("body")
        else:
            receiving.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(_MAX_BODY_WAIT_SECONDS):
                    self.raw_body = (await self.receive()).get("body")

    @property
    def display_path(self) -> str:
        return self.raw_path.decode("latin-1")


def get_context(scope: Scope) -> RequestContext:
    context: RequestContext = scope[CONTEXT_KEY]
    return context


async def send_response(
    send: Send,
    context: RequestContext,
    status: int,
    body: bytes | None = None,
    *,
    content_type: Header = JSON_CONTENT_TYPE,
    headers: Mapping[str, str] | None = None,
    note: str = "",
) -> None:
    """Send a complete response. `body` None: no body and no content type. `note`: the first part of X-Mock-Note."""
    if context.receive is not None and context.raw_body is None:
        await context.record_unread_body()
    context.status, context.response_body = status, body
    lines = context.response_headers
    if context.notes or note:
        ignored = "ignored: " + ", ".join(context.notes[:_MAX_NOTES])
        notes = "; ".join(part for part in (note, ignored if context.notes else "") if part)
        lines.append((NOTE_HEADER, notes[:1000].encode("unicode_escape")))  # printable ASCII
    if body is not None:
        lines += (content_type, (b"content-length", b"%d" % len(body)))
    if headers:
        lines += ((name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers.items())
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": b"" if body is None or context.method == "HEAD" else body})
