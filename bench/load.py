"""Requests, the load that `wrk` makes of them, and whether their answers are right."""

import json
import re
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers import Server

THREAD = "c2c8bf89-c607-4c7c-82f9-c6415a0447e9"
MESSAGE = "123e4567-e89b-12d3-a456-426614174000"
CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of request. `status`: of a right answer; `field`: a property that its record or first row has."""

    name: str
    method: str
    target: str
    status: int
    field: str
    body: Any = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers that go with it."""
        return {"Authorization": "Bearer demo-token", "Content-Type": "application/json"}

    def check(self, server: Server) -> int:
        """Bytes of a right answer. Raises SystemExit for a wrong one."""
        data = None if self.body is None else json.dumps(self.body).encode()
        request = urllib.request.Request(server.base + self.target, data, self.headers, method=self.method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            content = answer.read()
            rows = json.loads(content)["data"]
            row = rows[0] if isinstance(rows, list) else rows
            if answer.status != self.status or self.field not in row:
                raise SystemExit(f"{server.name}: {self.name} answered {answer.status} {content[:200]!r}")
        return len(content)

    def run(self, server: Server, seconds: int, folder: Path) -> float:
        """Requests a second. Raises SystemExit when any answer was no success."""
        script = folder / "ask.lua"
        headers = "".join(f"wrk.headers[{name!r}] = {value!r}\n" for name, value in self.headers.items())
        body = "" if self.body is None else f"wrk.body = {json.dumps(json.dumps(self.body))}\n"
        script.write_text(f'wrk.method = "{self.method}"\n{headers}{body}')
        command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", str(script)]
        said = subprocess.run([*command, server.base + self.target], capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in said or "Socket errors" in said:
            raise SystemExit(f"{server.name}: {self.name}:\n{said}")
        found = re.search(r"Requests/sec:\s*([\d.]+)", said)
        assert found is not None
        return float(found[1])


ASKS = (
    Ask("retrieve a message", "GET", f"/messages/{MESSAGE}", 200, "uuid"),
    Ask(
        "list one row of a thread", "GET", f"/messages?thread_uuid={THREAD}&sort_by=created_at&per_page=1", 200, "uuid"
    ),
    Ask(
        "create a message",
        "POST",
        "/messages",
        201,
        "uuid",
        {"thread_uuid": THREAD, "content": "Hello", "role": "user"},
    ),
)
