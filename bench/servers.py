"""Start and stop the measured servers, each on a free loopback port."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FACTS_FOLDER = ROOT / "tests" / "spec" / "facts"
EPOCH = "2026-03-01T00:00:00Z"
PRISM = "@stoplight/prism-cli@5"
THREAD = "c2c8bf89-c607-4c7c-82f9-c6415a0447e9"
MESSAGE = "123e4567-e89b-12d3-a456-426614174000"
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class BenchmarkServer:
    """A running server: name, base URL and process.

    `cold_start`: seconds from the command to the first successful response.
    """

    name: str
    base_url: str
    process: "subprocess.Popen[bytes]"
    cold_start: float = 0.0

    def cpu_seconds(self) -> float:
        """Processor seconds used by the server and its children."""
        ticks = 0
        for pid in (self.process.pid, *_find_descendants(self.process.pid)):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS_PER_SECOND

    def rss_mib(self) -> float:
        """Resident memory of the server and its children in MiB."""
        total = 0
        for pid in (self.process.pid, *_find_descendants(self.process.pid)):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total / 1024


def _find_descendants(pid: int) -> list[int]:
    """All descendants of process `pid`."""
    descendants = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(path.parent.name)
            descendants += [child, *_find_descendants(child)]
    return descendants


@contextmanager
def run_mock(*options: str) -> Iterator[BenchmarkServer]:
    """The mock with default settings and the demo dataset. `options`: additional command line options."""
    command = [sys.executable, "-m", "mock_server", "--port", "0", "--quiet", "--epoch", EPOCH, *options]
    # Bytecode is cached, as on a user's machine.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started_at = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        try:
            assert process.stdout is not None
            match = re.search(rb"http://(localhost|127\.0\.0\.1):(\d+)", process.stdout.readline())
            if match is None:
                raise SystemExit("the mock did not start")
            base_url = f"http://127.0.0.1:{match[2].decode()}/api/v1"
            _wait_until_ready(process, f"{base_url}/messages/{MESSAGE}")
            yield BenchmarkServer("athena-mock", base_url, process, time.perf_counter() - started_at)
        finally:
            process.terminate()


def measure_cold_start(*options: str) -> dict[str, float]:
    """Wall and processor seconds from the mock's command to its first successful response, and its memory in MiB."""
    with run_mock(*options) as server:
        return {
            "cold start": server.cold_start,
            "cold start, processor time": server.cpu_seconds(),
            "memory at first": server.rss_mib(),
        }


@contextmanager
def run_prism(folder: Path) -> Iterator[BenchmarkServer | None]:
    """Prism in static mode with the documented body and no response schema; None if npx cannot run it."""
    if shutil.which("npx") is None:
        yield None
        return
    file = folder / "prism.json"
    file.write_text(json.dumps(build_prism_document()))
    port = find_free_port()
    command = ["npx", "--yes", PRISM, "mock", "-v", "error", "-p", str(port), str(file)]
    with run_server("prism static", command, f"http://127.0.0.1:{port}", "/messages") as server:
        yield server


@contextmanager
def run_server(name: str, command: list[str], base_url: str, ready_path: str) -> Iterator[BenchmarkServer | None]:
    """Start a server by command and wait until `ready_path` responds; None if it does not."""
    started_at = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            is_ready = _wait_until_ready(process, base_url + ready_path)
            yield BenchmarkServer(name, base_url, process, time.perf_counter() - started_at) if is_ready else None
        finally:
            for pid in (*_find_descendants(process.pid), process.pid):
                subprocess.run(["kill", str(pid)], check=False, stderr=subprocess.DEVNULL)


def build_prism_document(large_page: Any = None) -> Mapping[str, Any]:
    """A contract with the documented bodies as examples, which Prism serves fastest."""

    def build_response(file: str, example: Any = None) -> dict[str, Any]:
        example = example or json.loads((FACTS_FOLDER / file).read_text())
        content = {"application/json": {"schema": {"type": "object"}, "example": example}}
        return {"description": "As documented.", "content": content}

    text = {"type": "string", "minLength": 1}
    body = {"type": "object", "required": ["thread_uuid", "content"], "properties": {"content": text}}
    message_response, list_response = build_response("create_message_201.json"), build_response("get_messages_200.json")
    return {
        "openapi": "3.0.3",
        "info": {"title": "Messages", "version": "1"},
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}],
        "paths": {
            "/messages": {
                "get": {"responses": {"200": list_response}},
                "post": {
                    "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                    "responses": {"201": message_response},
                },
            },
            "/messages/{uuid}": {
                "parameters": [{"name": "uuid", "in": "path", "required": True, "schema": {"type": "string"}}],
                "get": {"responses": {"200": message_response}},
            },
            "/pages": {"get": {"responses": {"200": build_response("get_messages_200.json", large_page)}}},
        },
    }


def find_free_port() -> int:
    """A free loopback port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> bool:
    """Whether a server responds within two minutes (npx may have to install it first)."""
    request = urllib.request.Request(url, headers={"Authorization": "Bearer demo-token"})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except OSError:
            if process.poll() is not None:
                return False
            time.sleep(0.01)
    return False
