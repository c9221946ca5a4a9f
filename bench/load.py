"""Requests, the load that `run_wrk` generates from them, and validation of the responses."""

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

from bench.servers import MESSAGE, THREAD, BenchmarkServer

CONNECTIONS = 16
TIMEOUT = "10s"  # of wrk: a slow response is not a wrong one
HEADERS: Mapping[str, str] = {"Authorization": "Bearer demo-token", "Content-Type": "application/json"}
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Result of one run of wrk: requests per second, median and 99th percentile in milliseconds, number of requests."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    request_count: int


@dataclass(frozen=True, slots=True)
class RequestKind:
    """One kind of request.

    `status`, `expected_field`, `min_bytes`: of a correct response; the field is in its record, first row or errors.
    `peer_targets`: peer -> its own request target; None: the peer does not support the request.
    """

    name: str
    method: str
    target: str
    status: int
    expected_field: str
    body: Any = None
    min_bytes: int = 0
    peer_targets: Mapping[str, str | None] = dataclasses.field(default_factory=dict)

    def url_for(self, server: BenchmarkServer) -> str | None:
        """URL of the request on a server; None if the server does not support it."""
        target = self.peer_targets.get(server.name, self.target)
        return None if target is None else server.base_url + target

    def check_response(self, server: BenchmarkServer) -> int:
        """Body of a correct response. Raises SystemExit for a wrong one."""
        data = None if self.body is None else json.dumps(self.body).encode()
        request = urllib.request.Request(self.url_for(server) or "", data, dict(HEADERS), method=self.method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                status, content = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, content = error.code, error.read()
        if status != self.status or len(content) < self.min_bytes or not self.has_field(server, content):
            raise SystemExit(f"{server.name}: {self.name} answered {status} {content[:200]!r}")
        return len(content)

    def has_field(self, server: BenchmarkServer, content: bytes) -> bool:
        """Whether a response contains the field; an error response may name it in the format of the peer."""
        if self.status >= 300:
            return self.expected_field.encode() in content
        document = json.loads(content)
        rows = document.get("data", document) if isinstance(document, dict) else document
        return self.expected_field in (rows[0] if isinstance(rows, list) else rows)

    def run(self, server: BenchmarkServer, seconds: int, folder: Path, connections: int = CONNECTIONS) -> LoadResult:
        """Put a server under load. Raises SystemExit if a response had another status class."""
        script = folder / "ask.lua"
        body = "" if self.body is None else f"wrk.body = {json.dumps(json.dumps(self.body))}\n"
        script.write_text(f'wrk.method = "{self.method}"\n{header_lines()}{body}')
        return run_wrk(self.name, server, self.url_for(server) or "", script, seconds, connections, self.status >= 300)


def header_lines() -> str:
    """The headers as lines of a wrk script."""
    return "".join(f"wrk.headers[{name!r}] = {value!r}\n" for name, value in HEADERS.items())


def run_wrk(
    name: str, server: BenchmarkServer, url: str, script: Path, seconds: int, connections: int, is_rejected: bool
) -> LoadResult:
    """Run wrk once. `is_rejected`: every response must be an error. Raises SystemExit otherwise."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", TIMEOUT, "--latency"]
    command += ["-s", str(script), url]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        raise SystemExit(
            f"{server.name}: {name}: wrk ended with {process.returncode}: {process.stderr or process.stdout}"
        )
    output = process.stdout
    request_count = int(_search_output(r"(\d+) requests in", output))
    error_responses = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    if "Socket errors" in output or (int(error_responses[1]) if error_responses else 0) != (
        request_count if is_rejected else 0
    ):
        raise SystemExit(f"{server.name}: {name}:\n{output}")
    return LoadResult(
        float(_search_output(r"Requests/sec:\s*([\d.]+)", output)),
        _parse_milliseconds("50%", output),
        _parse_milliseconds("99%", output),
        request_count,
    )


def _parse_milliseconds(percentile: str, output: str) -> float:
    match = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", output)
    return float(match[1]) * _UNITS[match[2]] if match else 0.0


def _search_output(pattern: str, output: str) -> str:
    match = re.search(pattern, output)
    if match is None:
        raise SystemExit(f"the output of wrk has no match for {pattern!r}:\n{output}")
    return match[1]


RETRIEVE = RequestKind("retrieve a message", "GET", f"/messages/{MESSAGE}", 200, "uuid", min_bytes=8_000)
LIST = RequestKind(
    "list one row of a thread",
    "GET",
    f"/messages?thread_uuid={THREAD}&sort_by=created_at&per_page=1",
    200,
    "uuid",
    min_bytes=8_000,
    peer_targets={"json-server": f"/messages?thread_uuid={THREAD}&_sort=created_at&_limit=1"},
)
PAGE = RequestKind(
    "list twenty rows",
    "GET",
    "/messages?per_page=20",
    200,
    "uuid",
    min_bytes=150_000,
    peer_targets={
        "prism static": "/pages",
        "wiremock": "/pages",
        "nginx static": "/pages",
        "json-server": "/messages?_limit=20",
    },
)
CREATE = RequestKind(
    "create a message",
    "POST",
    "/messages",
    201,
    "content",
    {"thread_uuid": THREAD, "content": "Hello", "role": "user"},
    peer_targets={"nginx static": None},
)
REJECTED_CREATE = RequestKind(
    "reject a message (422)",
    "POST",
    "/messages",
    422,
    "content",
    {"thread_uuid": THREAD, "role": "user"},
    peer_targets={"nginx static": None, "json-server": None},
)
SMOKE_REQUESTS = (RETRIEVE, LIST, CREATE)
READ_REQUESTS = (RETRIEVE, LIST, PAGE)
WRITE_REQUESTS = (CREATE, REJECTED_CREATE)
ALL_REQUESTS = (*READ_REQUESTS, *WRITE_REQUESTS)
