"""The servers that are measured: each started on a free port of loopback, and stopped."""

import json
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


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its name, the address that paths are put behind, and its process."""

    name: str
    base: str
    process: "subprocess.Popen[bytes]"

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
def ours() -> Iterator[Server]:
    """The mock, as a user has it by default, with the demo dataset."""
    command = [sys.executable, "-m", "mock_server", "--port", "0", "--quiet", "--epoch", EPOCH]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            found = re.search(rb"http://(localhost|127\.0\.0\.1):(\d+)", process.stdout.readline())
            if found is None:
                raise SystemExit("the mock did not start")
            yield Server("athena-mock", f"http://127.0.0.1:{found[2].decode()}/api/v1", process)
        finally:
            process.terminate()


@contextmanager
def prism(folder: Path) -> Iterator[Server | None]:
    """Prism, static, with the documented body and no schema to check answers by; None where npx cannot run it."""
    if shutil.which("npx") is None:
        yield None
        return
    file = folder / "prism.json"
    file.write_text(json.dumps(_document()))
    port = _free_port()
    command = ["npx", "--yes", PRISM, "mock", "-v", "error", "-p", str(port), str(file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            base = f"http://127.0.0.1:{port}"
            yield Server("prism static", base, process) if _answers(process, f"{base}/messages") else None
        finally:
            for pid in (*_children(process.pid), process.pid):
                subprocess.run(["kill", str(pid)], check=False)


def _document() -> Mapping[str, Any]:
    """The three operations with the documented bodies as examples: what Prism serves fastest."""

    def answer(file: str) -> dict[str, Any]:
        example = json.loads((FACTS / file).read_text())
        content = {"application/json": {"schema": {"type": "object"}, "example": example}}
        return {"description": "As documented.", "content": content}

    body = {"type": "object", "required": ["thread_uuid", "content"], "properties": {"content": {"type": "string"}}}
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
        },
    }


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _answers(process: "subprocess.Popen[bytes]", url: str) -> bool:
    """Whether a server comes up within two minutes (npx may have to fetch it first)."""
    request = urllib.request.Request(url, headers={"Authorization": "Bearer demo-token"})
    for _ in range(240):
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except OSError:
            if process.poll() is not None:
                return False
            time.sleep(0.5)
    return False
