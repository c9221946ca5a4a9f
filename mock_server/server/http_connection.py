"""HTTP protocol of a connection: uvicorn's, with limits and with the mock's error format for malformed requests.

uvicorn itself responds to malformed requests in plain text and does not call the application. Here `MockApp` responds,
with a request id, a reason and a line in the request log. Then the connection is closed.
"""

import asyncio
import logging
import re
import time
from http import HTTPMethod
from types import SimpleNamespace
from typing import Any, NamedTuple

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mock_server.errors import ApiError, ErrorKind, overloaded_error
from mock_server.sandbox.rules import Fault
from mock_server.server.request_head import EXAMINED_FIELDS, IgnoredFields, build_head, validate_head
from mock_server.server.response_coalescing import Coalescer
from mock_server.web.context import ABORTED_SCOPE_TYPE, CONTEXT_KEY, KEEP_ALIVE_KEY, RequestContext
from mock_server.web.faults import HALF_CLOSED_KEY, TRANSPORT_KEY
from mock_server.web.outer_app import MockApp

MAX_HEAD_BYTES = 128 * 1024
MAX_TRAILER_BYTES = 64 * 1024  # received without content: trailer fields, or the extensions of a chunk
MAX_TARGET_BYTES = 65535  # limit of httptools' URL parser
REQUEST_TIMEOUT = 15.0  # seconds until a request is complete
KEEP_ALIVE_SECONDS = 30  # announced; an idle connection is closed one second later
LINGER_TIMEOUT = 10.0  # seconds in which a client can finish an unread request and read its response
MAX_DISCARDED_BYTES = 128 * 1024 * 1024  # of such a request
WRITE_TIMEOUT = 30.0  # seconds in which a client must read some of its response
TLS_CLOSE_TIMEOUT = 0.5  # seconds in which a client must confirm the end of an idle TLS connection at shutdown
MAX_UNSENT_BYTES = 64 * 1024 * 1024  # in the write buffers of all connections
MAX_CONNECTIONS = 2000  # served at the same time

_METHOD_PATTERN = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,40})"
_REQUEST_LINE = re.compile(_METHOD_PATTERN + rb" [!-~]+ HTTP/1\.[01]\r\n")
_REQUEST_START = re.compile(_METHOD_PATTERN + rb" +([^ \r\n?]{1,600})")
_STANDARD_METHODS = frozenset(method.encode() for method in HTTPMethod)
_PLACEHOLDER_METHOD = b"TRACE"
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n"
_TLS_PREFIX = b"\x16\x03"
_KEEP_ALIVE_HEADERS = ((b"connection", b"keep-alive"), (b"keep-alive", b"timeout=%d" % KEEP_ALIVE_SECONDS))
_NO_CYCLE: Any = SimpleNamespace(response_complete=True)
_TRAILERS = IgnoredFields()
_EXPECTED_FORMAT = "METHOD /path HTTP/1.1, then header lines and an empty line"
_log = logging.getLogger("mock_server")


class ClientWait(NamedTuple):
    """A wait of at most `timeout` seconds for the client, since `started_at`. `scope`: of its last request."""

    scope: Any
    timeout: float
    started_at: float


class UnreadOutput(NamedTuple):
    """The bytes in the write buffer of a client that does not read, and since when their number is the same."""

    byte_count: int
    since: float


class CustomMethodRequest:
    """A connection whose next request has a method that the parser does not know."""

    def __init__(self, connection: "HttpConnection", method: str) -> None:
        self.connection = connection
        self.method: str | None = method

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def on_headers_complete(self) -> None:
        """Replace the placeholder by the received method."""
        try:
            self.connection.on_headers_complete()
        finally:
            if self.method is not None:
                self.connection.scope["method"] = self.method
                self.method = None


class HttpConnection(HttpToolsProtocol):
    """One connection.

    `is_closing`: an error response is being sent; received data are discarded. `linger_deadline`: end of the
    lingering close, which follows the response to a request that was not read completely; `can_linger`: whether it is
    allowed. `client_wait`: the current wait for the client; None while the mock has to respond.
    `has_content`: whether the data that were parsed last contain the end of a head, or content.
    `unread_output`: None before the client was slow. `max_connections`: further connections get error responses, and
    are closed immediately above twice this number. `coalescer`: shared by all connections of a server.
    """

    is_closing = False
    can_linger = True
    linger_deadline: float | None = None
    discarded_bytes = 0
    head_bytes = 0
    trailer_bytes = 0
    has_content = False
    client_wait: ClientWait | None = None
    unread_output: UnreadOutput | None = None
    max_connections = MAX_CONNECTIONS
    coalescer: Coalescer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve the connection, reject its requests or abort it, depending on the number of connections."""
        super().connection_made((self.coalescer or Coalescer()).wrap(transport, self.start_lingering))
        mock_app = self.config.app
        if len(self.connections) > self.max_connections and isinstance(mock_app, MockApp):
            detail = f"{len(self.connections)} connections (maximum {self.max_connections})"
            error_app: Any = mock_app.error_app(overloaded_error(detail))
            self.app = error_app
        if len(self.connections) > 2 * self.max_connections:
            transport.abort()

    def pause_writing(self) -> None:
        """Limit the size of all write buffers: abort the other connection that has been paused longest, if any."""
        super().pause_writing()
        self.unread_output = UnreadOutput(self.transport.get_write_buffer_size(), time.monotonic())
        others = [
            connection
            for connection in self.connections
            if connection is not self and isinstance(connection, HttpConnection) and connection.flow.write_paused
        ]
        total = sum(connection.transport.get_write_buffer_size() for connection in (self, *others))
        if others and total > MAX_UNSENT_BYTES:
            slowest = min(others, key=lambda other: other.unread_output.since if other.unread_output else 0.0)
            slowest.abort_unread(f"the unread responses of all clients have {total} bytes (maximum {MAX_UNSENT_BYTES})")

    def abort_unread(self, reason: str) -> None:
        """Abort the connection of a client that does not read its response, and log it."""
        unsent_bytes = self.transport.get_write_buffer_size()
        _log.warning("connection to %s closed with %d unread bytes: %s", self.client, unsent_bytes, reason)
        self.transport.abort()

    def check_timeouts(self, now: float) -> None:
        """Close the connection if it stays idle, its request stays incomplete or its response is not read."""
        if self.linger_deadline is not None and now > self.linger_deadline:
            self.transport.abort()
            return
        if self.flow.write_paused:
            unsent_bytes = self.transport.get_write_buffer_size()
            if self.unread_output is None or self.unread_output.byte_count != unsent_bytes:
                self.unread_output = UnreadOutput(unsent_bytes, now)
            elif now - self.unread_output.since > WRITE_TIMEOUT:
                self.abort_unread(f"nothing was read for {WRITE_TIMEOUT:g} seconds")
        timeout, wait = self.get_timeout(), self.client_wait
        if timeout is None:
            self.client_wait = None
        elif wait is None or wait.scope is not self.scope or wait.timeout != timeout:
            self.client_wait = ClientWait(self.scope, timeout, now)
        elif now - wait.started_at > timeout:
            self.timeout_request()

    def get_timeout(self) -> float | None:
        """Return how long the client may take for a request or the rest of one; None if the mock has to respond."""
        cycle = self.cycle
        if self.is_closing or self.flow.write_paused:
            return None
        if cycle is None or cycle.scope is not self.scope:
            return REQUEST_TIMEOUT
        if cycle.response_complete:
            return KEEP_ALIVE_SECONDS + 1.0
        # A paused connection cannot receive the rest: the mock has not read the start yet (X-Mock-Delay).
        return REQUEST_TIMEOUT if cycle.more_body and not self.flow.read_paused else None

    def shutdown(self) -> None:
        """Close the connection after its response. An idle client that uses TLS need not confirm it."""
        self.can_linger = False
        scope: Any = self.scope
        context: RequestContext | None = scope.get(CONTEXT_KEY) if scope else None
        if context is not None and context.server_stop is not None:
            context.server_stop.set()
        super().shutdown()
        if self.gets_no_response():
            self.transport.close()
        if self.scheme == "https" and (self.cycle is None or self.cycle.response_complete):
            self.loop.call_later(TLS_CLOSE_TIMEOUT, self.transport.abort)

    def timeout_request(self) -> None:
        """Reject an incomplete request; close a connection that is idle."""
        is_answered = self.cycle is not None and self.cycle.scope is self.scope and self.cycle.response_complete
        if self.scope is None or is_answered:
            self.transport.close()
            return
        detail = f"the request was incomplete after {REQUEST_TIMEOUT:g} seconds"
        self.send_error(ApiError(ErrorKind.REQUEST_TIMEOUT, detail, headers={"Connection": "close"}), b"")

    def data_received(self, data: bytes) -> None:
        """Parse received data, like uvicorn, with error handling and a limit for the head."""
        while data and not self.is_closing:
            data = self.parse(data)
        if self.is_closing:
            self.discarded_bytes += len(data)
            if self.linger_deadline is not None and self.discarded_bytes > MAX_DISCARDED_BYTES:
                self.transport.abort()

    def parse(self, data: bytes) -> bytes:
        """Parse data; return the unparsed rest, which is empty unless an upgrade was requested."""
        previous_cycle = self.cycle
        failure: httptools.HttpParserError | None = None
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            offset: int = upgrade.args[0]
            return self.ignore_upgrade() + data[offset:]
        except httptools.HttpParserError as error:
            # Handled outside of this block: errors raised within it would have this one as their context, where
            # `handle_parse_error` expects the cause.
            failure = error
        else:
            if self.scope is not None:
                self.limit_fields(data)
        if failure is not None:
            self.handle_parse_error(data if self.cycle is previous_cycle else b"", failure)
        return b""

    def limit_fields(self, data: bytes) -> None:
        """Reject a request whose head, or whose trailer fields, are too large."""
        is_in_head = "method" not in self.scope
        self.head_bytes = self.head_bytes + len(data) if is_in_head else 0
        if self.head_bytes > MAX_HEAD_BYTES:
            self.send_error(self.too_large_error(), data)
            return
        cycle = self.cycle
        is_in_body = cycle is not None and cycle.scope is self.scope and cycle.more_body
        self.trailer_bytes = self.trailer_bytes + len(data) if is_in_body and not self.has_content else 0
        self.has_content = False
        if self.trailer_bytes > MAX_TRAILER_BYTES:
            detail = f"the trailer fields, or the extensions of a chunk, have more than {MAX_TRAILER_BYTES} bytes"
            message = "The trailer fields are too large."
            self.send_error(ApiError(ErrorKind.HEADERS_TOO_LARGE, detail, message=message), data)

    def ignore_upgrade(self) -> bytes:
        """Return the head of a request without its Upgrade header, which is not supported.

        The parser takes what follows such a head for another protocol. Some clients, such as Java's, request HTTP/2
        with any request, also one with a body.
        """
        if self.cycle is _NO_CYCLE:
            self.cycle = None  # type: ignore[assignment]
        method = self.scope.get("method") or self.parser.get_method().decode()
        http_version = self.parser.get_http_version()
        self.parser = self.create_parser(self)
        return build_head(method, self.url, http_version, [f for f in self.headers if f[0] != b"upgrade"])

    def create_parser(self, callbacks: Any) -> Any:
        """Create a parser that, like uvicorn's, accepts data after the last request of a connection."""
        parser = httptools.HttpRequestParser(callbacks)
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep a half-closed connection open until all complete requests have their responses; not with TLS."""
        self.can_linger = False
        if self.scope:
            scope: Any = self.scope
            scope[HALF_CLOSED_KEY] = True
        cycle = self.cycle
        is_pending = cycle is not None and not cycle.response_complete and (self.is_closing or not cycle.more_body)
        if not is_pending or self.scheme == "https" or self.gets_no_response():
            self.transport.close()  # after the pending data
            return False
        cycle.keep_alive = False  # the connection is closed after this response
        return True

    def gets_no_response(self) -> bool:
        """Whether a rule leaves the current request without a response."""
        scope: Any = self.scope
        context: RequestContext | None = scope.get(CONTEXT_KEY) if scope else None
        return context is not None and context.fault == Fault.NO_RESPONSE.value

    def start_lingering(self) -> bool:
        """Defer the end of the connection while the client still sends the request that was responded to.

        Closing a socket with unread data resets the connection and loses the response. Therefore received data are
        discarded until the client closes the connection. Returns whether the end is deferred.
        """
        cycle = self.cycle
        is_unread = self.is_closing or (cycle is not None and cycle.more_body)
        if not (is_unread and self.can_linger) or self.transport.is_closing():
            return False
        self.can_linger = False
        self.is_closing = True
        self.linger_deadline = time.monotonic() + LINGER_TIMEOUT
        self.pipeline.clear()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        return True

    def on_headers_complete(self) -> None:
        """Start the request. Raises ApiError, which reaches `handle_parse_error`, if its head is not valid."""
        fields = self.headers
        unique_fields = dict(fields)
        is_origin_form = self.url[:1] == b"/"
        if not (is_origin_form and len(unique_fields) == len(fields) and EXAMINED_FIELDS.isdisjoint(unique_fields)):
            if b"upgrade" in unique_fields and self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
                # `parse` calls `ignore_upgrade` next. The end of the request is reported before.
                self.cycle = self.cycle or _NO_CYCLE
                return
            self.expect_100_continue = validate_head(self.url, fields, self.parser.get_http_version())
        super().on_headers_complete()
        self.has_content = True
        self.headers = _TRAILERS
        scope: Any = self.scope
        scope[TRANSPORT_KEY] = self.transport
        if self.cycle.keep_alive:
            scope[KEEP_ALIVE_KEY] = _KEEP_ALIVE_HEADERS

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the content."""
        self.has_content = True
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Start the next pipelined request.

        Unlike uvicorn's method, this starts no timer: `check_timeouts` closes idle connections.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def handle_parse_error(self, data: bytes, error: httptools.HttpParserError) -> None:
        """Handle bytes that the parser rejects. `data`: the start of a request, empty if unknown."""
        request_line = _REQUEST_LINE.match(data)
        if (
            isinstance(error, httptools.HttpParserInvalidMethodError)
            and request_line
            and request_line[1] not in _STANDARD_METHODS
        ):
            # Any token is a method: the application rejects those that a path does not have.
            self.parser = self.create_parser(CustomMethodRequest(self, request_line[1].decode()))
            self.data_received(_PLACEHOLDER_METHOD + data[request_line.end(1) :])
        elif isinstance(error.__context__, ApiError):  # raised by `on_headers_complete`
            self.send_error(error.__context__, data)
        elif isinstance(error, httptools.HttpParserCallbackError) and len(self.url) > MAX_TARGET_BYTES:
            self.send_error(self.too_large_error(), data)
        else:
            self.send_error(_malformed_error(data, error), data)

    def too_large_error(self) -> ApiError:
        """Return the error for a request line or headers that are too long."""
        if self.headers and len(self.url) <= MAX_TARGET_BYTES:
            detail = f"the request's head has more than {MAX_HEAD_BYTES} bytes"
            return ApiError(ErrorKind.HEADERS_TOO_LARGE, detail, message="The request headers are too large.")
        detail = f"path and query have at least {len(self.url)} bytes (maximum {MAX_TARGET_BYTES})"
        return ApiError(ErrorKind.URI_TOO_LONG, detail, message="The request's path and query are too long.")

    def send_error(self, error: ApiError, data: bytes) -> None:
        """Let the application send an error after the pending responses, then close the connection."""
        self.is_closing = True
        mock_app = self.config.app
        incomplete_cycle = self.cycle if self.cycle is not None and self.cycle.scope is self.scope else None
        if not isinstance(mock_app, MockApp) or (incomplete_cycle and incomplete_cycle.response_started):
            self.transport.close()
            return
        is_queued = bool(self.pipeline) or not (incomplete_cycle or self.cycle is None or self.cycle.response_complete)
        if incomplete_cycle:
            self.abort_request(incomplete_cycle)
        self.cycle = RequestResponseCycle(
            scope=self.build_scope(data),
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        error_app: Any = mock_app.error_app(error)  # the types of Starlette and uvicorn differ
        if is_queued:
            self.pipeline.appendleft((self.cycle, error_app))
        else:
            self._start_asgi_task(self.cycle, error_app)

    def abort_request(self, cycle: RequestResponseCycle) -> None:
        """Abort a request with a malformed body: remove it from the queue, or signal a disconnect if it is running."""
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        scope: Any = cycle.scope
        scope["type"] = ABORTED_SCOPE_TYPE
        cycle.disconnected = True
        cycle.message_event.set()

    def build_scope(self, data: bytes) -> Any:
        """Build the scope of a malformed request from the parts that could be parsed."""
        request_start = _REQUEST_START.match(data)
        path = self.url.partition(b"?")[0] or (request_start[2] if request_start else b"-")
        parsed_method = request_start[1].decode() if request_start else "-"
        method = self.scope.get("method", parsed_method)
        scope_values = {"method": method, "path": path.decode("latin-1"), "raw_path": path, "query_string": b""}
        return {**self.scope, **scope_values}


def _malformed_error(data: bytes, error: httptools.HttpParserError) -> ApiError:
    if data.startswith(_TLS_PREFIX):
        detail = "got a TLS handshake (expected http://, not https://; to serve https://, use --tls self-signed)"
        return ApiError(ErrorKind.BAD_REQUEST, detail, message="This port serves HTTP, not HTTPS.")
    if data.startswith(_HTTP2_PREFACE):
        detail = "got HTTP/2 (expected HTTP/1.1)"
        return ApiError(ErrorKind.BAD_REQUEST, detail, message="This port serves HTTP/1.1, not HTTP/2.")
    message = "the path cannot be parsed" if isinstance(error, httptools.HttpParserCallbackError) else str(error)
    message = message[:1].lower() + message[1:]
    detail, message = f"{message} (expected {_EXPECTED_FORMAT})", f"The request is not valid HTTP: {message}."
    return ApiError(ErrorKind.BAD_REQUEST, detail, message=message)
