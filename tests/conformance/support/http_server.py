"""Serves an ASGI application on a loopback port, for tests of the command line and of curl."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp


@contextmanager
def run_http_server(app: ASGIApp) -> Iterator[str]:
    """Serve the application in a thread and yield its base URL."""
    server_socket = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [server_socket]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server_socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        server_socket.close()
