"""HTTP protocol of a connection: uvicorn's, with limits and with the mock's error format for malformed requests.

uvicorn itself responds to malformed requests in plain text and does not call the application. Here `MockApp` responds,
with a request id, a reason and a line in the request log. Then the connection is closed.
"""

import asyncio
import re
import time
from http import HTTPMethod
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mock_server.errors import ApiError, ErrorKind, overloaded_error
from mock_server.server.response_coalescing import Coalescer
from mock_server.web.faults import TRANSPORT_KEY
from mock_server.web.outer_app import ABORTED_SCOPE_TYPE, MockApp

MAX_HEAD_BYTES = 128 * 1024
MAX_TARGET_BYTES = 65535  # limit of httptools' URL parser
REQUEST_TIMEOUT = 15.0  # seconds until a request is complete
WRITE_TIMEOUT = 30.0  # seconds in which a client must read some of its response
TLS_CLOSE_TIMEOUT = 0.5  # seconds in which a client must confirm the end of an idle TLS connection at shutdown
MAX_UNSENT_BYTES = 64 * 1024 * 1024  # in the write buffers of all connections
MAX_CONNECTIONS = 2000  # served at the same time

_METHOD_PATTERN = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,40})"
_REQUEST_LINE = re.compile(_METHOD_PATTERN + rb" [!-~]+ HTTP/1\.[01]\r\n")
_REQUEST_START = re.compile(_METHOD_PATTERN + rb" +([^ \r\n?]{1,600})")
_STANDARD_METHODS = frozenset(method.encode() for method in HTTPMethod)
_PLACEHOLDER_METHOD = b"TRACE"
_TLS_PREFIX = b"\x16\x03"
_EXPECTED_FORMAT = "METHOD /path HTTP/1.1, then header lines and an empty line"


class CustomMethodRequest:
    """A connection whose next request has a method that the parser does not know."""

    def __init__(self, connection: "HttpConnection", method: str) -> None:
        self.connection = connection
        self.method: str | None = method

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def on_headers_complete(self) -> None:
        """Replace the placeholder method by the one that was sent."""
        self.connection.on_headers_complete()
        if self.method is not None:
            self.connection.scope["method"] = self.method
            self.method = None


class HttpConnection(HttpToolsProtocol):
    """One connection.

    `is_closing`: an error response is being sent and nothing more is read. `incomplete_request`: (scope, since when).
    `unsent`: (bytes in the write buffer, since when). `max_connections`: further connections get error responses, and
    are closed immediately above twice this number. `coalescer`: shared by all connections of a server.
    """

    is_closing = False
    head_bytes = 0
    incomplete_request: tuple[Any, float] | None = None
    unsent: tuple[int, float] | None = None
    max_connections = MAX_CONNECTIONS
    coalescer: Coalescer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve the connection, reject its requests or abort it, depending on the number of connections."""
        super().connection_made((self.coalescer or Coalescer()).wrap(transport))
        mock_app = self.config.app
        if len(self.connections) > self.max_connections and isinstance(mock_app, MockApp):
            detail = f"{len(self.connections)} connections (maximum {self.max_connections})"
            error_app: Any = mock_app.error_app(overloaded_error(detail))
            self.app = error_app
        if len(self.connections) > 2 * self.max_connections:
            transport.abort()

    def on_message_begin(self) -> None:
        """Let the application find the connection of a request."""
        super().on_message_begin()
        scope: Any = self.scope
        scope[TRANSPORT_KEY] = self.transport

    def pause_writing(self) -> None:
        """Limit the size of all write buffers: abort the connection that has been paused longest."""
        super().pause_writing()
        self.unsent = (self.transport.get_write_buffer_size(), time.monotonic())
        paused = [
            connection
            for connection in self.connections
            if isinstance(connection, HttpConnection) and connection.flow.write_paused
        ]
        if sum(connection.transport.get_write_buffer_size() for connection in paused) > MAX_UNSENT_BYTES:
            min(paused, key=lambda connection: connection.unsent[1] if connection.unsent else 0.0).transport.abort()

    def check_timeouts(self, now: float) -> None:
        """Close the connection if its request stays incomplete or its response is not read."""
        if self.flow.write_paused:
            unsent_bytes = self.transport.get_write_buffer_size()
            if self.unsent is None or self.unsent[0] != unsent_bytes:
                self.unsent = (unsent_bytes, now)
            elif now - self.unsent[1] > WRITE_TIMEOUT:
                self.transport.abort()
        is_incomplete, incomplete_request = self.is_incomplete(), self.incomplete_request
        if not is_incomplete:
            self.incomplete_request = None
        elif incomplete_request is None or incomplete_request[0] is not self.scope:
            self.incomplete_request = (self.scope, now)
        elif now - incomplete_request[1] > REQUEST_TIMEOUT:
            self.timeout_request()

    def shutdown(self) -> None:
        """Close the connection after its response. An idle client that uses TLS need not confirm it."""
        super().shutdown()
        if self.scheme == "https" and (self.cycle is None or self.cycle.response_complete):
            self.loop.call_later(TLS_CLOSE_TIMEOUT, self.transport.abort)

    def is_incomplete(self) -> bool:
        """Return whether the connection waits for a request or the rest of one."""
        cycle = self.cycle
        if self.is_closing or self.flow.write_paused:
            return False
        if cycle is None or cycle.scope is not self.scope:
            return True
        return cycle.more_body and not cycle.response_complete

    def timeout_request(self) -> None:
        """Reject an incomplete request; close a connection that has sent nothing."""
        if self.scope is None:
            self.transport.close()
            return
        detail = f"the request was incomplete after {REQUEST_TIMEOUT:g} seconds"
        self.send_error(ApiError(ErrorKind.REQUEST_TIMEOUT, detail, headers={"Connection": "close"}), b"")

    def data_received(self, data: bytes) -> None:
        """Parse received data, like uvicorn, with error handling and a limit for the head."""
        if self.is_closing:
            return
        self._unset_keepalive_if_required()
        previous_cycle = self.cycle
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # upgrades are not supported: respond as if it had not been requested
        except httptools.HttpParserError as error:
            self.handle_parse_error(data if self.cycle is previous_cycle else b"", error)
        else:
            if self.scope is not None:
                self.head_bytes = 0 if "method" in self.scope else self.head_bytes + len(data)
                if self.head_bytes > MAX_HEAD_BYTES:
                    self.send_error(self.too_large_error(), data)

    def handle_parse_error(self, data: bytes, error: httptools.HttpParserError) -> None:
        """Handle bytes that the parser rejects. `data`: the start of a request, empty if unknown."""
        request_line = _REQUEST_LINE.match(data)
        if (
            isinstance(error, httptools.HttpParserInvalidMethodError)
            and request_line
            and request_line[1] not in _STANDARD_METHODS
        ):
            # Any token is a method: the application rejects those that a path does not have.
            self.parser = httptools.HttpRequestParser(CustomMethodRequest(self, request_line[1].decode()))
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.data_received(_PLACEHOLDER_METHOD + data[request_line.end(1) :])
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
    message = "the path cannot be parsed" if isinstance(error, httptools.HttpParserCallbackError) else str(error)
    message = message[:1].lower() + message[1:]
    detail, message = f"{message} (expected {_EXPECTED_FORMAT})", f"The request is not valid HTTP: {message}."
    return ApiError(ErrorKind.BAD_REQUEST, detail, message=message)
