"""Requests, the load that `wrk` makes of them, and whether their answers are right."""

import dataclasses
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers import MESSAGE, THREAD, Server

CONNECTIONS = 16
PATIENCE = "10s"  # wrk's: to be slow is no wrong answer
HEADERS: Mapping[str, str] = {"Authorization": "Bearer demo-token", "Content-Type": "application/json"}
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of `wrk` found: requests a second, milliseconds that half and 99 % of them took, how many."""

    rate: float
    p50: float
    p99: float
    requests: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One kind of request.

    `status`: of a right answer; `field`: a property that its record or first row has, or its errors. `size`: bytes that
    it has at least. `elsewhere`: the target at a peer that says it otherwise; None: the peer has no such thing.
    """

    name: str
    method: str
    target: str
    status: int
    field: str
    body: Any = None
    size: int = 0
    elsewhere: Mapping[str, str | None] = dataclasses.field(default_factory=dict)

    def at(self, server: Server) -> str | None:
        """The URL of it at a server; None where the server has no such thing."""
        target = self.elsewhere.get(server.name, self.target)
        return None if target is None else server.base + target

    def check(self, server: Server) -> int:
        """Bytes of a right answer. Raises SystemExit for a wrong one."""
        data = None if self.body is None else json.dumps(self.body).encode()
        request = urllib.request.Request(self.at(server) or "", data, dict(HEADERS), method=self.method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, content = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        if status != self.status or len(content) < self.size or not self.has_field(server, content):
            raise SystemExit(f"{server.name}: {self.name} answered {status} {content[:200]!r}")
        return len(content)

    def has_field(self, server: Server, content: bytes) -> bool:
        """Whether an answer shows the field; a refusal names it in whatever form the peer has."""
        if self.status >= 300:
            return self.field.encode() in content
        found = json.loads(content)
        rows = found.get("data", found) if isinstance(found, dict) else found
        return self.field in (rows[0] if isinstance(rows, list) else rows)

    def run(self, server: Server, seconds: int, folder: Path, connections: int = CONNECTIONS) -> Load:
        """Put a server under load. Raises SystemExit when an answer had another kind of status."""
        script = folder / "ask.lua"
        body = "" if self.body is None else f"wrk.body = {json.dumps(json.dumps(self.body))}\n"
        script.write_text(f'wrk.method = "{self.method}"\n{header_lines()}{body}')
        return wrk(self.name, server, self.at(server) or "", script, seconds, connections, self.status >= 300)


def header_lines() -> str:
    """The headers, as a script of wrk sets them."""
    return "".join(f"wrk.headers[{name!r}] = {value!r}\n" for name, value in HEADERS.items())


def wrk(name: str, server: Server, url: str, script: Path, seconds: int, connections: int, refused: bool) -> Load:
    """One run. `refused`: every answer is due to be a refusal. Raises SystemExit when that is not so."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", PATIENCE, "--latency"]
    command += ["-s", str(script), url]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"{server.name}: {name}: wrk ended with {run.returncode}: {run.stderr or run.stdout}")
    said = run.stdout
    requests = int(_found(r"(\d+) requests in", said))
    others = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    if "Socket errors" in said or (int(others[1]) if others else 0) != (requests if refused else 0):
        raise SystemExit(f"{server.name}: {name}:\n{said}")
    return Load(float(_found(r"Requests/sec:\s*([\d.]+)", said)), _time("50%", said), _time("99%", said), requests)


def _time(part: str, said: str) -> float:
    found = re.search(rf"{part}\s+([\d.]+)(us|ms|s)", said)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    if found is None:
        raise SystemExit(f"wrk said nothing of {pattern}:\n{said}")
    return found[1]


RETRIEVE = Ask("retrieve a message", "GET", f"/messages/{MESSAGE}", 200, "uuid", size=8_000)
LIST = Ask(
    "list one row of a thread",
    "GET",
    f"/messages?thread_uuid={THREAD}&sort_by=created_at&per_page=1",
    200,
    "uuid",
    size=8_000,
    elsewhere={"json-server": f"/messages?thread_uuid={THREAD}&_sort=created_at&_limit=1"},
)
PAGE = Ask(
    "list twenty rows",
    "GET",
    "/messages?per_page=20",
    200,
    "uuid",
    size=150_000,
    elsewhere={
        "prism static": "/pages",
        "wiremock": "/pages",
        "nginx static": "/pages",
        "json-server": "/messages?_limit=20",
    },
)
CREATE = Ask(
    "create a message",
    "POST",
    "/messages",
    201,
    "content",
    {"thread_uuid": THREAD, "content": "Hello", "role": "user"},
    elsewhere={"nginx static": None},
)
REFUSED = Ask(
    "refuse a message (422)",
    "POST",
    "/messages",
    422,
    "content",
    {"thread_uuid": THREAD, "role": "user"},
    elsewhere={"nginx static": None, "json-server": None},
)
ASKS = (RETRIEVE, LIST, CREATE)
READS = (RETRIEVE, LIST, PAGE)
WRITES = (CREATE, REFUSED)
ALL = (*READS, *WRITES)
