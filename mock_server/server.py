"""The server of one process: uvicorn's, with an end to waiting for requests that never become whole."""

import gc
import os
import socket
import time
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from mock_server.protocol import MOST_CONNECTIONS, Connection, Outbox

# Seconds for which answers that are under way are waited for at the end.
GRACE = 3
GRACE_TOGETHER = 1
BACKLOG = 2048
_FILES = 64  # that are open beside connections
_TICKS = 10  # of uvicorn's, in a second


class Server(uvicorn.Server):
    """Serves until SIGINT or SIGTERM, or until its `parent` is gone; a second signal does not wait for connections."""

    def __init__(self, config: uvicorn.Config, parent: int | None) -> None:
        super().__init__(config)
        self.parent = parent

    def handle_exit(self, sig: int, frame: object) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for sock in sockets or ():
            sock.listen(BACKLOG)  # the loop has listened with its own idea of it

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            now = time.monotonic()
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.look_after(now)
        if self.parent is not None and os.getppid() != self.parent:
            self.should_exit = True
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


def serve(app: ASGIApp, log_level: str, sockets: list[socket.socket], *, parent: int | None = None) -> None:
    """Serve an application on sockets that listen. `parent`: the process whose workers share them, if it is one."""

    class Bounded(Connection):
        most = most_connections()
        outbox = Outbox()

    together: dict[str, Any] = {}
    if parent is not None:
        # One connection a turn: who is busy takes no more than its part of those that wait for all.
        together = {"backlog": 1}
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
        timeout_graceful_shutdown=GRACE if parent is None else GRACE_TOGETHER,
        **together,
    )
    gc.freeze()  # the application lasts as long as the process: looking through it again is what a slow request was
    Server(config, parent).run(sockets=sockets)
