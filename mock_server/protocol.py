"""HTTP on one connection: uvicorn's own protocol, but bytes that are no request are refused in the house's form.

uvicorn answers them itself, in plain text, and the application never hears of them. Here the outermost layer answers
as it does whatever it refuses: with a request id, a reason and a line on the console. Then the connection ends.
"""

import asyncio
import re
import time
from http import HTTPMethod
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from mock_server.app import GIVEN_UP, Edge
from mock_server.problems import ApiError, ErrorKind, overloaded_error
from mock_server.response_coalescing import Coalescer

MAX_HEAD = 128 * 1024
MAX_TARGET = 65535  # of httptools' own reader of URLs
WHOLE = 15.0  # seconds in which a request must have come, head and body
UNREAD = 30.0  # seconds for which a client may read nothing of its answer
MOST_UNREAD = 64 * 1024 * 1024  # bytes of answers that wait for their readers, of all connections together
MOST_CONNECTIONS = 2000  # that are served at once

_TOKEN = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,40})"
_REQUEST_LINE = re.compile(_TOKEN + rb" [!-~]+ HTTP/1\.[01]\r\n")
_BEGINNING = re.compile(_TOKEN + rb" +([^ \r\n?]{1,600})")
_KNOWN = frozenset(method.encode() for method in HTTPMethod)
_STAND_IN = b"TRACE"
_TLS = b"\x16\x03"
_FORM = "METHOD /path HTTP/1.1, then header lines and an empty one"


class Named:
    """A connection whose next request has a method that the parser has no word for."""

    def __init__(self, connection: "Connection", method: str) -> None:
        self.connection = connection
        self.method: str | None = method

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    def on_headers_complete(self) -> None:
        """Put the method that was sent in the place of the one that the parser was given."""
        self.connection.on_headers_complete()
        if self.method is not None:
            self.connection.scope["method"] = self.method
            self.method = None


class Connection(HttpToolsProtocol):
    """One connection. `over`: what came was no HTTP, and nothing more is read.

    `half`: (the request that is not whole yet, since when); `unread`: (bytes that wait for their reader, since when).
    `most`: connections that are served at once. The next ones are refused, and closed at once from twice as many on.
    `coalescer`: of all connections of a server; without one each connection has its own.
    """

    over = False
    head = 0
    half: tuple[Any, float] | None = None
    unread: tuple[int, float] | None = None
    most = MOST_CONNECTIONS
    coalescer: Coalescer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Serve it, refuse what it will ask, or end it, by how many there are."""
        super().connection_made((self.coalescer or Coalescer()).wrap(transport))
        edge = self.config.app
        if len(self.connections) > self.most and isinstance(edge, Edge):
            why = f"there are {len(self.connections)} connections; at most {self.most} are served at once"
            refused: Any = edge.refusing(overloaded_error(why, close_connection=True))
            self.app = refused
        if len(self.connections) > 2 * self.most:
            transport.abort()

    def pause_writing(self) -> None:
        """Keep what waits for its readers within bounds: the answer that was waited for longest is given up."""
        super().pause_writing()
        self.unread = (self.transport.get_write_buffer_size(), time.monotonic())
        slow = [one for one in self.connections if isinstance(one, Connection) and one.flow.write_paused]
        if sum(one.transport.get_write_buffer_size() for one in slow) > MOST_UNREAD:
            min(slow, key=lambda one: one.unread[1] if one.unread else 0.0).transport.abort()

    def look_after(self, now: float) -> None:
        """End it when its request does not become whole, or its answer is not read."""
        if self.flow.write_paused:
            waiting = self.transport.get_write_buffer_size()
            if self.unread is None or self.unread[0] != waiting:
                self.unread = (waiting, now)
            elif now - self.unread[1] > UNREAD:
                self.transport.abort()
        missing, half = self.is_half(), self.half
        if not missing:
            self.half = None
        elif half is None or half[0] is not self.scope:
            self.half = (self.scope, now)
        elif now - half[1] > WHOLE:
            self.give_out()

    def is_half(self) -> bool:
        """Whether a request is waited for: nothing has come yet, or not all of it."""
        cycle = self.cycle
        if self.over or self.flow.write_paused:
            return False
        if cycle is None or cycle.scope is not self.scope:
            return True
        return cycle.more_body and not cycle.response_complete

    def give_out(self) -> None:
        """Refuse a request that came too slowly; who has not said a word gets none."""
        if self.scope is None:
            self.transport.close()
            return
        why = f"the request was not whole after {WHOLE:g} seconds"
        self.refuse(ApiError(ErrorKind.REQUEST_TIMEOUT, why, headers={"Connection": "close"}), b"")

    def data_received(self, data: bytes) -> None:
        """Read what came; uvicorn's, but for what is no request."""
        if self.over:
            return
        self._unset_keepalive_if_required()
        before = self.cycle
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # nothing else is spoken here, so the request is answered as if it had not asked
        except httptools.HttpParserError as error:
            self.stumble(data if self.cycle is before else b"", error)
        else:
            if self.scope is not None:
                self.head = 0 if "method" in self.scope else self.head + len(data)
                if self.head > MAX_HEAD:
                    self.refuse(self.too_large(), data)

    def stumble(self, data: bytes, error: httptools.HttpParserError) -> None:
        """Make what can be made of bytes that the parser does not take. `data`: where a request begins, if known."""
        line = _REQUEST_LINE.match(data)
        if isinstance(error, httptools.HttpParserInvalidMethodError) and line and line[1] not in _KNOWN:
            # A method is any token, and which ones a path has is for the application to say.
            self.parser = httptools.HttpRequestParser(Named(self, line[1].decode()))
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self.data_received(_STAND_IN + data[line.end(1) :])
        elif isinstance(error, httptools.HttpParserCallbackError) and len(self.url) > MAX_TARGET:
            self.refuse(self.too_large(), data)
        else:
            self.refuse(_malformed(data, error), data)

    def too_large(self) -> ApiError:
        """The refusal of a request line, or of headers, without end."""
        if self.headers and len(self.url) <= MAX_TARGET:
            why = f"the request's head has more than {MAX_HEAD} bytes; at most so many are read"
            return ApiError(ErrorKind.HEADERS_TOO_LARGE, why, message="The request headers are too large.")
        why = f"path and query have {len(self.url)} bytes or more; at most {MAX_TARGET} are read"
        return ApiError(ErrorKind.URI_TOO_LONG, why, message="The request's path and query are too long.")

    def refuse(self, refusal: ApiError, data: bytes) -> None:
        """Let the application refuse, after the answers that are due before, and end the connection with that."""
        self.over = True
        edge = self.config.app
        broken = self.cycle if self.cycle is not None and self.cycle.scope is self.scope else None
        if not isinstance(edge, Edge) or (broken and broken.response_started):
            self.transport.close()
            return
        waits = bool(self.pipeline) or not (broken or self.cycle is None or self.cycle.response_complete)
        if broken:
            self.give_up(broken)
        self.cycle = RequestResponseCycle(
            scope=self.scope_of(data),
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
        app: Any = edge.refusing(refusal)  # Starlette's and uvicorn's words for an application differ
        if waits:
            self.pipeline.appendleft((self.cycle, app))
        else:
            self._start_asgi_task(self.cycle, app)

    def give_up(self, broken: RequestResponseCycle) -> None:
        """End a request whose body is broken: one that was not begun is never, of another the client has gone away."""
        if self.pipeline and self.pipeline[0][0] is broken:
            self.pipeline.popleft()
        scope: Any = broken.scope
        scope["type"] = GIVEN_UP
        broken.disconnected = True
        broken.message_event.set()

    def scope_of(self, data: bytes) -> Any:
        """The scope of what was no request, as far as it was one."""
        begun = _BEGINNING.match(data)
        path = self.url.partition(b"?")[0] or (begun[2] if begun else b"-")
        sent = begun[1].decode() if begun else "-"
        method = self.scope.get("method", sent)
        shown = {"method": method, "path": path.decode("latin-1"), "raw_path": path, "query_string": b""}
        return {**self.scope, **shown}


def _malformed(data: bytes, error: httptools.HttpParserError) -> ApiError:
    if data.startswith(_TLS):
        why = "this is the beginning of TLS; allowed: http:// without s"
        return ApiError(ErrorKind.BAD_REQUEST, why, message="This port speaks HTTP, not HTTPS.")
    said = "the path cannot be read" if isinstance(error, httptools.HttpParserCallbackError) else str(error)
    said = said[:1].lower() + said[1:]
    return ApiError(
        ErrorKind.BAD_REQUEST, f"{said}; allowed: {_FORM}", message=f"The request is not valid HTTP: {said}."
    )
