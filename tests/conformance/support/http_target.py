"""Targets on loopback that respond to every request alike, and the command with one check in a subprocess."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.mock_process import ROOT

# The command with one check only: each list returns a success.
STUBBED = """
import sys
from conformance.cli.main import main
from conformance.checks.support.check import Category, Check

def run(case):
    exchange = case.session.client.send(case.operation)
    message = "" if exchange.response.ok else f"got {exchange.response.status}"
    yield case.build_result(case.build_requirement(), message, exchange)

check = Check(run, "lists-succeed", "A list succeeds.", Category.LISTS,
    lambda contract, operation: operation.action == "list")
sys.exit(main(sys.argv[1:], checks=[check]))
"""

Handler = Callable[[BaseHTTPRequestHandler], None]


def respond_with(status: int, kind: str, body: bytes, pause: float = 0.0) -> Handler:
    """A handler that sends the same response to every request."""

    def handle(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(pause)
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return handle


@contextmanager
def run_http_target(handle: Handler) -> Iterator[str]:
    """Run a target on loopback; its base URL."""

    class TargetHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            handle(self)

        do_HEAD = do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    class QuietServer(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Print nothing: the command may close connections."""

    server = QuietServer(("127.0.0.1", 0), TargetHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def start(
    *arguments: str, token: str = "a-token", other: str = "", out: int = subprocess.PIPE
) -> "subprocess.Popen[str]":
    """Start the command."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ATHENA_")} | {"PYTHONPATH": str(ROOT)}
    env |= {"ATHENA_TOKEN": token} if token else {}
    env |= {"ATHENA_OTHER_TOKEN": other} if other else {}
    command = [sys.executable, "-c", STUBBED, *arguments]
    return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)


def run_command(*arguments: str, token: str = "a-token", other: str = "") -> tuple[int, str]:
    """Run the command: exit code and output, which has no traceback."""
    with start(*arguments, token=token, other=other) as process:
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, out + err


GOOD = respond_with(200, "application/json", b'{"data": []}')
