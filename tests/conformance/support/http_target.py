"""Targets on loopback that respond to every request alike, and the command with one check."""

import contextlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

from conformance.checks.support.check import Case, Category, Check
from conformance.cli.main import main
from conformance.results import CheckResult
from tests.mock_process import ROOT


def send_list_request(case: Case) -> Iterator[CheckResult]:
    """Run the only check of the command: each list returns a success."""
    exchange = case.session.client.send(case.operation)
    message = "" if exchange.response.ok else f"got {exchange.response.status}"
    yield case.build_result(case.build_requirement(), message, exchange)


LISTS_SUCCEED = Check(
    send_list_request,
    "lists-succeed",
    "A list succeeds.",
    Category.LISTS,
    lambda contract, operation: operation.action == "list",
)
STUBBED = """
import sys
from conformance.cli.main import main
from tests.conformance.support.http_target import LISTS_SUCCEED

sys.exit(main(sys.argv[1:], checks=[LISTS_SUCCEED]))
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
    """Start the command in a subprocess."""
    env = build_environment(token, other) | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", STUBBED, *arguments]
    return subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env)


def build_environment(token: str, other: str) -> dict[str, str]:
    """Return the environment with these tokens only."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ATHENA_")}
    tokens = {"ATHENA_TOKEN": token, "ATHENA_OTHER_TOKEN": other}
    return env | {name: value for name, value in tokens.items() if value}


def run_command(*arguments: str, token: str = "a-token", other: str = "") -> tuple[int, str]:
    """Run the command in this process: exit code and output, which has no traceback."""
    with (
        patch.dict(os.environ, build_environment(token, other), clear=True),
        contextlib.chdir(ROOT),
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as err,
    ):
        code = main(arguments, checks=[LISTS_SUCCEED])
    output = out.getvalue() + err.getvalue()
    assert "Traceback" not in output
    return code, output


def run_process(*arguments: str, token: str = "a-token", other: str = "") -> tuple[int, str]:
    """Run the command in a subprocess: exit code and output, which has no traceback."""
    with start(*arguments, token=token, other=other) as process:
        out, err = process.communicate(timeout=60)
    assert "Traceback" not in out + err
    return process.returncode, out + err


GOOD = respond_with(200, "application/json", b'{"data": []}')
