"""The server of one process: uvicorn's, with an end to waiting for requests that never become whole."""

import gc
import socket
import time
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

from mock_server.protocol import MOST_CONNECTIONS, Connection
from mock_server.response_coalescing import Coalescer

# Seconds for which answers that are under way are waited for at the end.
GRACE = 3
_FILES = 64  # that are open beside connections
_TICKS = 10  # of uvicorn's, in a second


class Server(uvicorn.Server):
    """Serves until SIGINT or SIGTERM; a second signal does not wait for connections."""

    def handle_exit(self, sig: int, frame: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.look_after(now)
        return await super().on_tick(counter)


def most_connections() -> int:
    """How many connections a process may serve: so many as its limit of open files has room for twice, at most 2000."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MOST_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    due = 2 * MOST_CONNECTIONS + _FILES
    if soft != resource.RLIM_INFINITY and soft < due:
        soft = due if hard == resource.RLIM_INFINITY else min(due, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return max(1, min(MOST_CONNECTIONS, (soft - _FILES) // 2))
    return MOST_CONNECTIONS


def serve(app: ASGIApp, log_level: str, sockets: list[socket.socket]) -> None:
    """Serve an application on listening sockets."""

    class Bounded(Connection):
        most = most_connections()
        coalescer = Coalescer()

    config = uvicorn.Config(
        app,
        http=Bounded,
        log_config=None,
        log_level=log_level,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-* is the application's to believe or not
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=GRACE,
    )
    gc.freeze()  # the application lasts as long as the process: looking through it again is what a slow request was
    Server(config).run(sockets=sockets)
