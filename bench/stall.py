"""Longest stall of the event loop: each operation with hostile bodies and queries, in process.

    python -m bench.stall [--max-body 1048576] [--max-seconds 300]

A request blocks all other clients while it is processed. Bodies have 8,000, 60,000 and 390,000 bytes and the maximum.
The table has, for each kind of request, the worst processor time, and the size of the largest response beyond twice the
size of its request. The latter excludes lists and records that a query returns. Exits 1 if a target is missed, or if
not all requests were sent in `--max-seconds`.
"""

import argparse
import asyncio
import io
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.types import ASGIApp

from bench.growth import CONTRACT, build_demo_image
from mock_server import images
from mock_server.app import create_app
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from mock_server.web.body import DEFAULT_MAX_BODY_BYTES
from mock_server.web.request_log import RequestLog
from spec.loader import load_contract
from spec.model import Contract, Operation
from spec.validators import SchemaValidators

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
MAX_QUERY_BYTES = 60_000
# The largest responses in relation to their requests, and, with the last size, the most objects that a body may have.
SMALL_BODY_BYTES = (8_000, 60_000, 390_000)
TARGET_SECONDS = 0.25
TARGET_EXCESS_BYTES = 64 * 1024  # of a response, beyond twice the size of its request


@dataclass(frozen=True, slots=True)
class HostileRequest:
    """A request of a kind. `body`: JSON, or anything else; empty for none."""

    operation: Operation
    kind: str
    target: str
    body: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of path, query and body."""
        return len(self.target) + len(self.body)


@dataclass(frozen=True, slots=True)
class HostileResponse:
    """The response to a hostile request, and the processor seconds that it took."""

    seconds: float
    status: int
    body: bytes


def iter_hostile_values(max_bytes: int) -> Iterator[tuple[str, bytes]]:
    """Yield (kind, JSON) of values with at most `max_bytes` bytes."""

    def repeat(item: bytes, *, start: bytes = b"[", end: bytes = b"]") -> bytes:
        count = max(1, (max_bytes - 2) // (len(item) + 1))
        return start + b",".join([item] * count) + end

    def number_names(template: bytes) -> bytes:
        size = len(template % 1_000_000) + 1
        names = (template % (1_000_000 + index) for index in range((max_bytes - 2) // size))
        return b"{" + b",".join(names) + b"}"

    depth = min(120, max_bytes // 20)
    yield "wrong items", repeat(b"1")
    yield "wrong texts", repeat(b'"x"')
    yield "wrong objects", repeat(b'{"a":1}')
    yield "empty objects", repeat(b"{}")
    yield "nulls", repeat(b"null")
    yield "empty arrays", repeat(b"[]")
    yield "wide and deep", repeat(b"[" * depth + b"]" * depth)
    yield "too deep", b"[" * (max_bytes // 2) + b"]" * (max_bytes // 2)
    yield "fractions", repeat(b"1.5")
    yield "whole fractions", repeat(b"1.0")
    yield "whole fractions in arrays", repeat(b"[" + b",".join([b"1.0"] * 8) + b"]")
    yield "whole fractions in objects", repeat(b'{"a":1.0,"b\\":":2.0,"c":3.0}')
    yield "long integers", repeat(b"123456789012345678901")
    yield "long integer and items", repeat(b"1", start=b"[123456789012345678901,")[:-24] + b"]"
    yield "huge number", b"1" * max_bytes
    yield "unknown properties", number_names(b'"p%d":1')
    yield "unknown objects", number_names(b'"p%d":{}')
    yield "duplicate property", repeat(b'"a":1', start=b"{", end=b"}")
    yield "long property name", b'{"' + b"k" * (max_bytes - 10) + b'":1}'
    yield "long text", b'"' + b"a" * (max_bytes - 2) + b'"'
    yield "long text with colons", b'"' + b'\\":' * (max_bytes // 3 - 2) + b'"'
    yield "placeholders", b'"' + b"{{a}}" * (max_bytes // 5 - 2) + b'"'
    yield "escaped text", b'"' + b"\\u0001" * (max_bytes // 6 - 2) + b'"'
    yield "text beyond 16 bits", b'"' + "\U0001f600".encode() * (max_bytes // 4 - 2) + b'"'
    yield "long address", b'"a@' + b"b." * (max_bytes // 2 - 4) + b'"'


def iter_hostile_bodies(
    operation: Operation, example: Any, max_bytes: int, tested: set[bytes]
) -> Iterator[tuple[str, bytes]]:
    """Yield (kind, body): hostile values as the body, as each field of a valid body and as an unknown field.

    `tested`: the schemas of fields, each of which is tested in one operation only, as is an unknown field.
    """
    fields = operation.request_body.fields if operation.request_body else {}
    valid = example if isinstance(example, dict) else {}
    schemas = {name: orjson.dumps(field.schema) for name, field in fields.items()} | {"unknown_field": b""}
    names = [name for name in schemas if schemas[name] not in tested]
    tested.update(schemas.values())
    for kind, value in iter_hostile_values(max_bytes):
        yield f"{kind} as body", value
    overhead = len(orjson.dumps(valid)) + 300
    for kind, value in iter_hostile_values(max_bytes - overhead):
        for name in names:
            rest = orjson.dumps({key: item for key, item in valid.items() if key != name})
            separator = b"," if len(rest) > 2 else b""
            yield f"{kind} in a field", b"{" + orjson.dumps(name) + b":" + value + separator + rest[1:]


def iter_hostile_queries(operation: Operation) -> Iterator[tuple[str, str]]:
    """Yield (kind, query string)."""
    for parameter in operation.query_parameters:
        name = parameter.name
        for kind, pair in (
            ("parameter repeated", f"{name}=x"),
            ("array repeated", f"{name}[]=0"),
            ("object repeated", f"{name}[x]=y"),
        ):
            yield kind, "&".join([pair] * (MAX_QUERY_BYTES // (len(pair) + 1)))
        parts = (f"{name}[a{index}]=1" for index in range(MAX_QUERY_BYTES // (len(name) + 12)))
        yield "parts of an object", "&".join(parts)
        yield "long value", f"{name}=" + "a" * MAX_QUERY_BYTES
        yield "commas", f"{name}=" + "," * MAX_QUERY_BYTES
    yield "unknown parameters", "&".join(f"u{index}=%F0" for index in range(MAX_QUERY_BYTES // 12))
    yield "escapes", "u=" + "%26" * (MAX_QUERY_BYTES // 3)


def get_example(contract: Contract, operation: Operation) -> Any:
    """Return the example of the request body."""
    if operation.request_body is None:
        return None
    content = contract.document.resolve(operation.request_body.pointer.removesuffix("/schema"))
    return content.get("example", {})


def iter_requests(contract: Contract, sandbox: Sandbox, max_bytes: int) -> Iterator[HostileRequest]:
    """Yield hostile requests to all operations."""
    tested: set[bytes] = set()
    viewer = sandbox.resolve_token("demo-token", EPOCH)
    assert viewer is not None
    for operation in contract.operations.values():
        if operation.action in ("delete", "logout"):
            continue
        path = contract.base_path + operation.path
        if operation.path_parameter_names:
            records = sandbox.store.select(operation.resource or "")
            key = next(r.key for r in records if r.tenant_key is None or r.tenant_key in viewer.tenant_keys)
            path = path.replace(f"{{{operation.path_parameter_names[0]}}}", str(key))
        query = "&".join(f"{p.name}={p.schema['enum'][0]}" for p in operation.query_parameters if p.required)
        if operation.request_body is not None:
            example = get_example(contract, operation)
            for kind, body in iter_hostile_bodies(operation, example, max_bytes, tested):
                yield HostileRequest(operation, kind, f"{path}?{query}", body)
        for kind, hostile_query in iter_hostile_queries(operation):
            yield HostileRequest(operation, kind, f"{path}?{query}&{hostile_query}")


def iter_requests_of_all_sizes(contract: Contract, sandbox: Sandbox, max_bytes: int) -> Iterator[HostileRequest]:
    """Yield hostile requests with bodies of several sizes, the small ones first."""
    for size in SMALL_BODY_BYTES:
        yield from (request for request in iter_requests(contract, sandbox, size) if request.body)
    yield from iter_requests(contract, sandbox, max_bytes)


async def send(app: ASGIApp, request: HostileRequest) -> HostileResponse:
    """Send a request and measure the processor time of the application."""
    path, _, query = request.target.partition("?")
    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer demo-token")]
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(request.body))]
    scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": request.operation.method.upper()}
    scope |= {"scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode()}
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def collect(message: Any) -> None:
        messages.append(message)

    started_at = time.process_time()
    await app({**scope, "headers": headers}, receive, collect)
    seconds = time.process_time() - started_at
    return HostileResponse(seconds, messages[0]["status"], b"".join(m.get("body", b"") for m in messages[1:]))


@dataclass(slots=True)
class WorstCase:
    """The worst responses to one kind of request."""

    seconds: float = 0.0
    slowest: str = ""
    excess_bytes: int = 0
    largest: str = ""
    requests: int = 0

    def add(self, request: HostileRequest, response: HostileResponse) -> None:
        """Take a response into account."""
        self.requests += 1
        description = f"{request.operation.id}, {response.status}"
        if response.seconds > self.seconds:
            self.seconds, self.slowest = response.seconds, description
        excess_bytes = len(response.body) - 2 * request.size
        if (request.body or response.status >= 400) and excess_bytes > self.excess_bytes:
            self.excess_bytes, self.largest = excess_bytes, description


@dataclass(frozen=True, slots=True)
class StallResult:
    """The worst case of each kind of request. `is_complete`: whether all requests were sent."""

    worst_cases: Mapping[str, WorstCase]
    is_complete: bool

    @property
    def seconds(self) -> float:
        """The longest stall."""
        return max(worst.seconds for worst in self.worst_cases.values())

    @property
    def excess_bytes(self) -> int:
        """The largest size of a response beyond twice the size of its request."""
        return max(worst.excess_bytes for worst in self.worst_cases.values())

    @property
    def meets_targets(self) -> bool:
        """Whether all requests were sent and both targets are met."""
        return self.is_complete and self.seconds <= TARGET_SECONDS and self.excess_bytes <= TARGET_EXCESS_BYTES


def measure(contract: Contract, max_bytes: int, max_seconds: float) -> StallResult:
    """Send hostile requests to all operations until they have used `max_seconds` of processor time."""
    store = Store.from_image(contract, build_demo_image(contract))
    sandbox = images.create_sandbox(contract, SchemaValidators.from_document(contract.document), store, lambda: EPOCH)
    request_log = RequestLog(contract.document, io.StringIO())
    app = create_app(contract, sandbox, request_log=request_log, max_body_bytes=max_bytes)
    worst_cases: dict[str, WorstCase] = {}
    loop = asyncio.new_event_loop()
    deadline = time.process_time() + max_seconds
    is_complete = True
    for request in iter_requests_of_all_sizes(contract, sandbox, max_bytes):
        if time.process_time() > deadline:
            is_complete = False
            break
        store.connection.execute("SAVEPOINT hostile")
        response = loop.run_until_complete(send(app, request))
        store.connection.execute("ROLLBACK TO hostile")
        store.connection.execute("RELEASE hostile")
        store.invalidate_caches()
        worst_cases.setdefault(request.kind, WorstCase()).add(request, response)
    loop.close()
    return StallResult(worst_cases, is_complete)


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.stall")
    parser.add_argument("--max-body", type=int, default=DEFAULT_MAX_BODY_BYTES, help="bytes (default 1 MiB)")
    parser.add_argument("--max-seconds", type=float, default=300, help="of processor time (default 300)")
    options = parser.parse_args(arguments)
    result = measure(load_contract(CONTRACT), options.max_body, options.max_seconds)
    print("| request | number | worst ms | operation, status | response beyond 2 x request, KiB | operation, status |")
    print("|---|--:|--:|---|--:|---|")
    for kind, worst in sorted(result.worst_cases.items(), key=lambda item: -item[1].seconds):
        excess = f"{worst.excess_bytes / 1024:.1f}" if worst.excess_bytes else ""
        times = f"{worst.requests} | {worst.seconds * 1e3:.0f} | {worst.slowest}"
        print(f"| {kind} | {times} | {excess} | {worst.largest} |")
    print(f"\nLongest stall: {result.seconds * 1e3:.0f} ms (target {TARGET_SECONDS * 1e3:.0f} ms)")
    print(f"Largest response: 2 x request + {result.excess_bytes / 1024:.1f} KiB", end=" ")
    print(f"(target {TARGET_EXCESS_BYTES / 1024:.0f} KiB)")
    if not result.is_complete:
        print(f"Incomplete: not all requests were sent in {options.max_seconds:g} s of processor time")
    return 0 if result.meets_targets else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
