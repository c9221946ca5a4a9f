"""The command `athena-mock` on a contract file, as a user starts it, and requests to it over a socket."""

import http.client
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.asgi import Reply
from tests.contracts.sample_requests import SampleRequest

MAX_START_SECONDS = 120
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A mock that did not start. `problems`: the lines that it printed."""

    status: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartedMock:
    """A mock that listens on `port`."""

    port: int

    @property
    def base_url(self) -> str:
        """The address without the base path of the contract."""
        return f"http://127.0.0.1:{self.port}"

    def send(self, request: SampleRequest) -> Reply:
        """Send a request; status 0 if the connection fails."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {name: text.encode() for name, text in request.headers.items() if name.lower() != "content-length"}
        try:
            connection.request(request.method, request.target, request.body or None, headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            return Reply(0, {}, repr(error).encode())
        finally:
            connection.close()
        return Reply(response.status, {name.lower(): text for name, text in response.getheaders()}, body)


@contextmanager
def serve_contract(path: Path, code: Path, cache: Path) -> Iterator[StartedMock | Refusal]:
    """Run the mock of the source tree `code` on a contract file. `cache`: its folder of images."""
    command = (sys.executable, "-m", "mock_server", "--contract", path.absolute(), "--dataset", "plain", "--port", "0")
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ATHENA_")}
    environment |= {"PYTHONPATH": str(code), "XDG_CACHE_HOME": str(cache)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=code, env=environment) as process:
        timer = threading.Timer(MAX_START_SECONDS, process.kill)
        timer.start()
        try:
            yield _read_start(process)
        finally:
            timer.cancel()
            process.kill()


def _read_start(process: "subprocess.Popen[str]") -> StartedMock | Refusal:
    assert process.stdout is not None
    for line in process.stdout:
        address = _ADDRESS.search(line)
        if address is not None:
            for stream in (process.stdout, process.stderr):
                threading.Thread(target=stream.read, daemon=True).start()  # type: ignore[union-attr]
            return StartedMock(int(address[1]))
    _, errors = process.communicate()
    return Refusal(process.returncode, tuple(errors.splitlines()))
