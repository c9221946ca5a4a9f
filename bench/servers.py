"""The servers that are measured: each started on a free port of loopback, and stopped."""

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
FACTS = ROOT / "tests" / "spec" / "facts"
EPOCH = "2026-03-01T00:00:00Z"
PRISM = "@stoplight/prism-cli@5"
THREAD = "c2c8bf89-c607-4c7c-82f9-c6415a0447e9"
MESSAGE = "123e4567-e89b-12d3-a456-426614174000"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its name, the address that paths are put behind, and its process.

    `cold_start`: seconds from its command to its first good answer.
    """

    name: str
    base: str
    process: "subprocess.Popen[bytes]"
    cold_start: float = 0.0

    def cpu(self) -> float:
        """Seconds of processor time that the server and its children took so far."""
        ticks = 0
        for pid in (self.process.pid, *_children(self.process.pid)):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS

    def rss(self) -> float:
        """MiB of memory that the server and its children hold now."""
        total = 0
        for pid in (self.process.pid, *_children(self.process.pid)):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total / 1024


def _children(pid: int) -> list[int]:
    """Every process below `pid`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(path.parent.name)
            found += [child, *_children(child)]
    return found


@contextmanager
def ours(*options: str) -> Iterator[Server]:
    """The mock, as a user has it by default, with the demo dataset. `options`: of its command, beside that."""
    command = [sys.executable, "-m", "mock_server", "--port", "0", "--quiet", "--epoch", EPOCH, *options]
    # A user's Python keeps what it compiled.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=environment) as process:
        try:
            assert process.stdout is not None
            found = re.search(rb"http://(localhost|127\.0\.0\.1):(\d+)", process.stdout.readline())
            if found is None:
                raise SystemExit("the mock did not start")
            base = f"http://127.0.0.1:{found[2].decode()}/api/v1"
            _answers(process, f"{base}/messages/{MESSAGE}")
            yield Server("athena-mock", base, process, time.perf_counter() - began)
        finally:
            process.terminate()


def cold_start(*options: str) -> dict[str, float]:
    """Seconds from the mock's command to its first good answer, of wall and of processor time, and its MiB then."""
    with ours(*options) as found:
        return {
            "cold start": found.cold_start,
            "cold start, processor time": found.cpu(),
            "memory at first": found.rss(),
        }


@contextmanager
def prism(folder: Path) -> Iterator[Server | None]:
    """Prism, static, with the documented body and no schema to check answers by; None where npx cannot run it."""
    if shutil.which("npx") is None:
        yield None
        return
    file = folder / "prism.json"
    file.write_text(json.dumps(document()))
    port = free_port()
    command = ["npx", "--yes", PRISM, "mock", "-v", "error", "-p", str(port), str(file)]
    with served("prism static", command, f"http://127.0.0.1:{port}", "/messages") as found:
        yield found


@contextmanager
def served(name: str, command: list[str], base: str, first: str) -> Iterator[Server | None]:
    """A server of its own command, once it answers `first`; None when it does not."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            up = _answers(process, base + first)
            yield Server(name, base, process, time.perf_counter() - began) if up else None
        finally:
            for pid in (*_children(process.pid), process.pid):
                subprocess.run(["kill", str(pid)], check=False, stderr=subprocess.DEVNULL)


def document(page_of_many: Any = None) -> Mapping[str, Any]:
    """The operations with the documented bodies as examples: what Prism serves fastest."""

    def answer(file: str, example: Any = None) -> dict[str, Any]:
        example = example or json.loads((FACTS / file).read_text())
        content = {"application/json": {"schema": {"type": "object"}, "example": example}}
        return {"description": "As documented.", "content": content}

    text = {"type": "string", "minLength": 1}
    body = {"type": "object", "required": ["thread_uuid", "content"], "properties": {"content": text}}
    one, page = answer("create_message_201.json"), answer("get_messages_200.json")
    return {
        "openapi": "3.0.3",
        "info": {"title": "Messages", "version": "1"},
        "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
        "security": [{"bearer": []}],
        "paths": {
            "/messages": {
                "get": {"responses": {"200": page}},
                "post": {
                    "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
                    "responses": {"201": one},
                },
            },
            "/messages/{uuid}": {
                "parameters": [{"name": "uuid", "in": "path", "required": True, "schema": {"type": "string"}}],
                "get": {"responses": {"200": one}},
            },
            "/pages": {"get": {"responses": {"200": answer("get_messages_200.json", page_of_many)}}},
        },
    }


def free_port() -> int:
    """A port of loopback that nothing listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _answers(process: "subprocess.Popen[bytes]", url: str) -> bool:
    """Whether a server comes up within two minutes (npx may have to fetch it first)."""
    request = urllib.request.Request(url, headers={"Authorization": "Bearer demo-token"})
    due = time.monotonic() + 120
    while time.monotonic() < due:
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except OSError:
            if process.poll() is not None:
                return False
            time.sleep(0.01)
    return False
