"""What a request costs by the number of records: in process, one request at a time, with nothing kept of whole answers.

    python -m bench.growth [--most 100000] [--to bench/results]

The demo's Messages are repeated, with Threads in proportion, straight into the store: never all in memory at once.
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
from fixtures import dataset, graph
from fixtures.texts import PersonaLibrary
from mock_server import image
from mock_server.app import Open, create_app
from mock_server.clock import system, written
from mock_server.console import Console
from mock_server.store import Store
from mock_server.world import World
from spec.contract import Contract, load_contract
from spec.record import Record, Reference
from spec.schemas import SchemaValidators

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
CONTRACT = Path(__file__).parents[1] / "spec" / "openapi.yaml"
IN_A_THREAD = 50
BATCH = 10_000
RARE, RARELY = "quetzalcoatl", 5  # a word, and how many records have it
LETTERS = "the message"  # which all these Messages hold
_TIMES = 15
_SLOW = 0.5  # seconds; what takes longer is measured less often


@dataclass(frozen=True, slots=True)
class Served:
    """An application over so many Messages."""

    app: ASGIApp
    world: World
    base: str
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def answered(self, method: str, target: str, body: Any = None, *, anew: bool = True, status: int = 0) -> float:
        """Seconds of processor time that one request takes. `anew`: no whole answer is kept for it.

        Raises SystemExit when it is no success, or has another status than the one that is due.
        """
        if anew:
            self.world.pages.answers.clear()
        sent = b"" if body is None else json.dumps(body).encode()
        return self.loop.run_until_complete(self._answered(method, target, sent, status))

    async def _answered(self, method: str, target: str, body: bytes, status: int) -> float:
        path, _, query = (self.base + target).partition("?")
        headers = [(b"host", b"localhost"), (b"authorization", b"Bearer demo-token")]
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))] if body else []
        scope: dict[str, Any] = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http"}
        scope |= {"path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        began = time.process_time()
        await self.app(scope, receive, send)
        took = time.process_time() - began
        if sent[0]["status"] != status and (status or sent[0]["status"] >= 300):
            raise SystemExit(f"{method} {target} answered {sent[0]['status']}: {sent[1]['body'][:300]!r}")
        return took


def demo_image(contract: Contract, name: str = "demo") -> bytes:
    """The image of the demo dataset, or of one made after it. Takes a second or two."""
    recipe, texts = image.Recipe(name, 0, EPOCH, 1), PersonaLibrary()
    records = graph.generate_records(contract, dataset.load(name), seed=0, epoch=EPOCH, size=1, persona_library=texts)
    return image.build(contract, recipe, records, texts.phrases())


def served(image_: bytes, number: int, contract: Contract) -> Served:
    """The demo with so many Messages more."""
    store = Store.from_image(contract, image_)
    records = grown(store, number)
    while batch := list(islice(records, BATCH)):
        with store.transaction():
            for record in batch:
                store.add(record)
    for trigrams in store.trigrams.values():  # as a dataset's image has them
        trigrams.fill()
    world = image.world(contract, SchemaValidators.from_document(contract.document), store, system)
    console = Console(contract.document, io.StringIO(), quiet=True)
    return Served(create_app(contract, world, Open(), console=console), world, contract.base_path)


def grown(store: Store, number: int) -> Iterator[Record]:
    """Threads and Messages like those of the store, a minute apart; a few hold the rare word."""
    random = Random(0)
    message = store.rows("Message", "1")[0]
    thread = store.existing(Reference("Thread", THREAD))
    for index in range(number):
        if index % IN_A_THREAD == 0:
            key = str(UUID(int=random.getrandbits(128), version=4))
            yield Record("Thread", key, {**thread.own, "uuid": key}, dict(thread.references))
            within = Reference("Thread", key)
        stamp = written(EPOCH - timedelta(minutes=number - index))
        text = f"The message {index}" + (f" of {RARE}" if index % max(1, number // RARELY) == 0 else "")
        key = str(UUID(int=random.getrandbits(128), version=4))
        own = {**message.own, "uuid": key, "content": text, "created_at": stamp, "updated_at": stamp}
        yield Record("Message", key, own, {"thread": within})


Make = Callable[[Served, int], tuple[str, str, Any]]


def asks(found: Served, number: int) -> dict[str, Make]:
    """By name, what makes the request of its turn."""
    rows = found.world.store.connection.execute('SELECT key FROM "Message" ORDER BY n DESC LIMIT 200')
    keys = [row[0] for row in rows]
    last = number // 20
    unique = count()

    def search(term: str) -> Make:
        return lambda served, turn: ("GET", f"/messages?per_page=5&search={quote(term)}", None)

    def created(served: Served, turn: int) -> tuple[str, str, Any]:
        return "POST", "/messages", {"thread_uuid": THREAD, "content": f"Said {next(unique)}", "role": "user"}

    counted = {"calculation": "accumulated_count"}
    return {
        "retrieve": lambda served, turn: ("GET", f"/messages/{keys[turn]}", None),
        "create": created,
        "page of a thread, sorted": lambda served, turn: (
            "GET",
            f"/messages?thread_uuid={THREAD}&sort_by=created_at&per_page=5",
            None,
        ),
        "first page": lambda served, turn: ("GET", "/messages?per_page=20", None),
        "first page, sorted": lambda served, turn: ("GET", "/messages?per_page=20&sort_by=updated_at", None),
        "last page": lambda served, turn: ("GET", f"/messages?per_page=20&page={last}", None),
        "search, few": search(RARE),
        "search, few, a new term": lambda served, turn: (
            "GET",
            f"/messages?per_page=5&search=message%20{number * (turn + 3) // 100}",
            None,
        ),
        "search, many": search("message"),
        "search, many, a new term": lambda served, turn: (
            "GET",
            f"/messages?per_page=5&search={quote(LETTERS[turn % 5 : len(LETTERS) - turn // 5])}",
            None,
        ),
        "search, two letters": search("qu"),
        "search, one letter": search("q"),
        "metrics": lambda served, turn: ("POST", "/messages/metrics", counted),
    }


def measured(found: Served, number: int) -> dict[str, float]:
    """Microseconds of each request: the median of many, each after a write, so that no count is fresh."""
    costs = {}
    made = asks(found, number)
    write = made["create"]
    for name, make in made.items():
        took: list[float] = []
        found.answered(*make(found, 0))
        for turn in range(_TIMES):
            found.answered(*write(found, turn))
            took.append(found.answered(*make(found, turn + 1)))
            if sum(took) > _SLOW:
                break
        costs[name] = median(took) * 1e6
    return costs


def main(arguments: list[str]) -> int:
    """Measure, print and write; the exit code."""
    parser = argparse.ArgumentParser(prog="make bench-growth")
    parser.add_argument("--most", type=int, default=100_000, help="Messages of the largest store (default 100000)")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results", help="folder for what is found")
    given = parser.parse_args(arguments)
    contract = load_contract(CONTRACT)
    demo = demo_image(contract)
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= given.most]
    costs: dict[int, dict[str, float]] = {}
    for size in sizes:
        began = time.process_time()
        found = served(demo, size, contract)
        took, most = time.process_time() - began, getrusage(RUSAGE_SELF).ru_maxrss // 1024
        print(f"{size:,} Messages stored in {took:.1f} s of processor time, {most} MiB at most", file=sys.stderr)
        costs[size] = measured(found, size)
        found.world.store.close()
    lines = ["| µs of processor time | " + " | ".join(f"{size:,}" for size in sizes) + " | times |"]
    lines.append("|---|" + "--:|" * (len(sizes) + 1))
    for name in costs[sizes[0]]:
        by_size = [costs[size][name] for size in sizes]
        shown = " | ".join(f"{cost:,.0f}" for cost in by_size)
        lines.append(f"| {name} | {shown} | {by_size[-1] / by_size[0]:.1f} |")
    said = "\n".join(lines) + "\n"
    given.to.mkdir(parents=True, exist_ok=True)
    (given.to / "growth.md").write_text(said)
    (given.to / "growth.json").write_text(json.dumps(costs, indent=1))
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
