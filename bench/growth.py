"""Cost of a request by number of records: in process, one request at a time, without the response cache.

    python -m bench.growth [--most 100000] [--to bench/results]

The Messages of the demo dataset are repeated directly in the store, with Threads in proportion, in batches.
"""

import argparse
import asyncio
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from random import Random
from resource import RUSAGE_SELF, getrusage
from statistics import median
from typing import Any
from urllib.parse import quote
from uuid import UUID

from starlette.types import ASGIApp

from bench.servers import THREAD
from fixtures import dataset, generator
from fixtures.personas import PersonaLibrary
from mock_server import images
from mock_server.app import create_app
from mock_server.registry.registry import SandboxRegistry
from mock_server.sandbox.clock import format_timestamp, get_system_time
from mock_server.sandbox.sandbox import Sandbox
from mock_server.store import Store
from mock_server.web.request_log import RequestLog
from spec.loader import load_contract
from spec.model import Contract
from spec.record import Record, Reference
from spec.validators import SchemaValidators

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
CONTRACT = Path(__file__).parents[1] / "spec" / "openapi.yaml"
MESSAGES_PER_THREAD = 50
BATCH_SIZE = 10_000
RARE_WORD, RARE_WORD_COUNT = "quetzalcoatl", 5  # a word and the number of records that contain it
COMMON_TEXT = "the message"  # in every added Message
_REPETITIONS = 15
_MAX_SECONDS_PER_REQUEST_KIND = 0.5  # a slower request is measured fewer times


@dataclass(frozen=True, slots=True)
class InProcessApp:
    """The application with a store of a given size, called in process."""

    app: ASGIApp
    sandbox: Sandbox
    base: str
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def measure_request(
        self, method: str, target: str, body: Any = None, *, clear_cache: bool = True, status: int = 0
    ) -> float:
        """Processor seconds of one request. `clear_cache`: clear the response cache first.

        Raises SystemExit if the status is not `status` (0: any success).
        """
        if clear_cache:
            self.sandbox.responses.entries.clear()
        content = b"" if body is None else json.dumps(body).encode()
        return self.loop.run_until_complete(self._send_request(method, target, content, status))

    async def _send_request(self, method: str, target: str, body: bytes, status: int) -> float:
        path, _, query = (self.base + target).partition("?")
        headers = [(b"host", b"localhost"), (b"authorization", b"Bearer demo-token")]
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))] if body else []
        scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http"}
        scope |= {"path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        started_at = time.process_time()
        await self.app(scope, receive, send)
        duration = time.process_time() - started_at
        if messages[0]["status"] != status and (status or messages[0]["status"] >= 300):
            raise SystemExit(f"{method} {target} answered {messages[0]['status']}: {messages[1]['body'][:300]!r}")
        return duration


def build_demo_image(contract: Contract, name: str = "demo") -> bytes:
    """Image of the demo dataset or of a variant. Takes one to two seconds."""
    parameters, persona_library = images.DatasetParameters(name, 0, EPOCH, 1), PersonaLibrary()
    records = generator.generate_records(
        contract, dataset.load(name), seed=0, epoch=EPOCH, size=1, persona_library=persona_library
    )
    return images.build_image(contract, parameters, records, persona_library.phrases())


def create_app_with_messages(demo_image_bytes: bytes, message_count: int, contract: Contract) -> InProcessApp:
    """The demo dataset with that number of Messages added."""
    store = Store.from_image(contract, demo_image_bytes)
    records = generate_messages(store, message_count)
    while batch := list(islice(records, BATCH_SIZE)):
        with store.transaction():
            for record in batch:
                store.add(record)
    for trigrams in store.search_indexes.values():  # as in the image of a dataset
        trigrams.index_all()
    sandbox = images.create_sandbox(contract, SchemaValidators.from_document(contract.document), store, get_system_time)
    request_log = RequestLog(contract.document, io.StringIO(), quiet=True)
    registry = SandboxRegistry.create(sandbox, lambda parameters: demo_image_bytes, starts_at_epoch=True)
    app = create_app(contract, sandbox, request_log=request_log, registry=registry)
    return InProcessApp(app, sandbox, contract.base_path)


def generate_messages(store: Store, message_count: int) -> Iterator[Record]:
    """Threads and Messages like those of the store, one minute apart; a few contain the rare word."""
    rng = Random(0)
    message = store.select("Message")[0]
    thread = store.get_existing(Reference("Thread", THREAD))
    for index in range(message_count):
        if index % MESSAGES_PER_THREAD == 0:
            key = str(UUID(int=rng.getrandbits(128), version=4))
            yield Record("Thread", key, {**thread.attributes, "uuid": key}, dict(thread.references))
            thread_reference = Reference("Thread", key)
        timestamp = format_timestamp(EPOCH - timedelta(minutes=message_count - index))
        text = f"The message {index}" + (
            f" of {RARE_WORD}" if index % max(1, message_count // RARE_WORD_COUNT) == 0 else ""
        )
        key = str(UUID(int=rng.getrandbits(128), version=4))
        attributes = {
            **message.attributes,
            "uuid": key,
            "content": text,
            "created_at": timestamp,
            "updated_at": timestamp,
        }
        yield Record("Message", key, attributes, {"thread": thread_reference})


RequestFactory = Callable[[InProcessApp, int], tuple[str, str, Any]]


def create_request_factories(in_process_app: InProcessApp, message_count: int) -> dict[str, RequestFactory]:
    """Request name -> function that builds the request of a given iteration."""
    rows = in_process_app.sandbox.store.connection.execute('SELECT key FROM "Message" ORDER BY n DESC LIMIT 200')
    keys = [row[0] for row in rows]
    last_page = message_count // 20
    unique = count()

    def search(term: str) -> RequestFactory:
        return lambda app, turn: ("GET", f"/messages?per_page=5&search={quote(term)}", None)

    def create_message(app: InProcessApp, turn: int) -> tuple[str, str, Any]:
        return "POST", "/messages", {"thread_uuid": THREAD, "content": f"Said {next(unique)}", "role": "user"}

    metrics_body = {"calculation": "accumulated_count"}
    return {
        "retrieve": lambda app, turn: ("GET", f"/messages/{keys[turn]}", None),
        "create": create_message,
        "page of a thread, sorted": lambda app, turn: (
            "GET",
            f"/messages?thread_uuid={THREAD}&sort_by=created_at&per_page=5",
            None,
        ),
        "first page": lambda app, turn: ("GET", "/messages?per_page=20", None),
        "first page, sorted": lambda app, turn: ("GET", "/messages?per_page=20&sort_by=updated_at", None),
        "last page": lambda app, turn: ("GET", f"/messages?per_page=20&page={last_page}", None),
        "search, few": search(RARE_WORD),
        "search, few, a new term": lambda app, turn: (
            "GET",
            f"/messages?per_page=5&search=message%20{message_count * (turn + 3) // 100}",
            None,
        ),
        "search, many": search("message"),
        "search, many, a new term": lambda app, turn: (
            "GET",
            f"/messages?per_page=5&search={quote(COMMON_TEXT[turn % 5 : len(COMMON_TEXT) - turn // 5])}",
            None,
        ),
        "search, two letters": search("qu"),
        "search, one letter": search("q"),
        "metrics": lambda app, turn: ("POST", "/messages/metrics", metrics_body),
    }


def measure(in_process_app: InProcessApp, message_count: int) -> dict[str, float]:
    """Median microseconds of each request. A write precedes each one, so that no cached count is current."""
    costs = {}
    request_factories = create_request_factories(in_process_app, message_count)
    create_factory = request_factories["create"]
    for name, request_factory in request_factories.items():
        durations: list[float] = []
        in_process_app.measure_request(*request_factory(in_process_app, 0))
        for turn in range(_REPETITIONS):
            in_process_app.measure_request(*create_factory(in_process_app, turn))
            durations.append(in_process_app.measure_request(*request_factory(in_process_app, turn + 1)))
            if sum(durations) > _MAX_SECONDS_PER_REQUEST_KIND:
                break
        costs[name] = median(durations) * 1e6
    return costs


def main(arguments: list[str]) -> int:
    """Measure, print and write the results; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make bench-growth")
    parser.add_argument("--most", type=int, default=100_000, help="Messages in the largest store (default 100000)")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results", help="output folder")
    options = parser.parse_args(arguments)
    contract = load_contract(CONTRACT)
    demo = build_demo_image(contract)
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= options.most]
    costs: dict[int, dict[str, float]] = {}
    for size in sizes:
        started_at = time.process_time()
        in_process_app = create_app_with_messages(demo, size, contract)
        duration, peak_memory = time.process_time() - started_at, getrusage(RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"{size:,} Messages stored in {duration:.1f} s of processor time, {peak_memory} MiB at most",
            file=sys.stderr,
        )
        costs[size] = measure(in_process_app, size)
        in_process_app.sandbox.store.close()
    lines = ["| µs of processor time | " + " | ".join(f"{size:,}" for size in sizes) + " | times |"]
    lines.append("|---|" + "--:|" * (len(sizes) + 1))
    for name in costs[sizes[0]]:
        by_size = [costs[size][name] for size in sizes]
        cells = " | ".join(f"{cost:,.0f}" for cost in by_size)
        lines.append(f"| {name} | {cells} | {by_size[-1] / by_size[0]:.1f} |")
    markdown = "\n".join(lines) + "\n"
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / "growth.md").write_text(markdown)
    (options.to / "growth.json").write_text(json.dumps(costs, indent=1))
    print(markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
