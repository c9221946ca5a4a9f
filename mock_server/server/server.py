"""The HTTP server: uvicorn with timeouts for incomplete requests and slow clients."""

import gc
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import uvicorn
from starlette.types import ASGIApp

from mock_server.server.http_connection import MAX_CONNECTIONS, HttpConnection
from mock_server.server.response_coalescing import Coalescer
from mock_server.server.signals import list_stop_signals

if TYPE_CHECKING:
    import ssl

SHUTDOWN_GRACE_SECONDS = 3  # for responses in progress
_RESERVED_FILES = 64  # open files that are not connections
_TICKS_PER_SECOND = 10  # of uvicorn's main loop


class Server(uvicorn.Server):
    """Serves until SIGINT, SIGTERM or SIGHUP; a second signal exits without waiting for connections."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            handlers = {number: signal.signal(number, self.handle_exit) for number in list_stop_signals()}
            try:
                yield
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_PER_SECOND == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, HttpConnection):
                    connection.check_timeouts(now)
        return await super().on_tick(counter)


def compute_max_connections() -> int:
    """Return the maximum number of connections: half of the limit of open files, at most MAX_CONNECTIONS."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    required = 2 * MAX_CONNECTIONS + _RESERVED_FILES
    if soft != resource.RLIM_INFINITY and soft < required:
        soft = required if hard == resource.RLIM_INFINITY else min(required, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return max(1, min(MAX_CONNECTIONS, (soft - _RESERVED_FILES) // 2))
    return MAX_CONNECTIONS


def serve(
    app: ASGIApp, log_level: str, sockets: list[socket.socket], tls_context: "ssl.SSLContext | None" = None
) -> None:
    """Serve an application on listening sockets until the process is stopped. `tls_context`: serve https."""

    class LimitedConnection(HttpConnection):
        max_connections = compute_max_connections()
        coalescer = Coalescer()

    config = uvicorn.Config(
        app,
        http=LimitedConnection,
        log_config=None,
        log_level=log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the application evaluates X-Forwarded-*
        ws="none",
        lifespan="on",
        ssl_context_factory=None if tls_context is None else lambda config, create_default: tls_context,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_SECONDS,
    )
    gc.freeze()  # exclude the application from later collections, which delay requests
    Server(config).run(sockets=sockets)
