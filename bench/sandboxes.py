"""Time and memory of named sandboxes: in process, with the demo dataset and a larger one.

    python -m bench.sandboxes [--messages 100000] [--times 200]

Times are those of the processor, since other processes interrupt; memory is the growth of the resident set.
"""

import argparse
import asyncio
import gc
import sys
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from resource import getpagesize
from typing import Any

from bench.growth import CONTRACT, InProcessApp, build_demo_image, create_app_with_messages
from mock_server.registry.registry import SandboxRegistry
from mock_server.sandbox.sandbox import Sandbox
from spec.loader import load_contract

_MAX_BYTES = 1024**4


def measure(loop: asyncio.AbstractEventLoop, call: Coroutine[Any, Any, object]) -> float:
    """Processor seconds of a call."""
    started_at = time.process_time()
    loop.run_until_complete(call)
    return time.process_time() - started_at


def read_memory() -> int:
    """Resident bytes of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


def iter_rows(in_process_app: InProcessApp, count: int) -> Iterator[str]:
    """The rows of the table for `count` sandboxes of a dataset."""
    registry = SandboxRegistry.create(
        in_process_app.sandbox,
        lambda parameters: in_process_app.sandbox.store.serialize(),
        starts_at_epoch=True,
        max_bytes=_MAX_BYTES,
    )
    loop = in_process_app.loop
    loop.run_until_complete(registry.use("first"))  # loads the dataset
    names = [f"sandbox-{number}" for number in range(count)]
    sandboxes: list[Sandbox] = []

    async def create(name: str) -> None:
        sandboxes.append(await registry.use(name))

    async def write(sandbox: Sandbox) -> None:
        sandbox.prepare_write()
        sandbox.store.write_metadata({"written": "1"})

    before = read_memory()
    yield _format_row("created", [measure(loop, create(name)) for name in names], before, count)
    for sandbox in sandboxes:
        sandbox.store.select("Message", limit="LIMIT 20")
    before_write = read_memory()
    seconds = [measure(loop, write(sandbox)) for sandbox in sandboxes]
    yield _format_row("first write", seconds, before_write, count)
    before_reset = read_memory()
    entries = [registry.entries[name] for name in names]
    yield _format_row("reset", [measure(loop, registry.reset(entry)) for entry in entries], before_reset, count)


def _format_row(name: str, seconds: list[float], bytes_before: int, count: int) -> str:
    ordered = sorted(seconds)
    median, percentile = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    kibibytes = (read_memory() - bytes_before) / count / 1024
    return f"| {name} | {1000 * median:.2f} | {1000 * percentile:.2f} | {kibibytes:.0f} |"


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.sandboxes")
    parser.add_argument("--messages", type=int, default=100_000, help="records of the larger dataset (default 100000)")
    parser.add_argument("--times", type=int, default=200, help="sandboxes of the demo dataset (default 200)")
    options = parser.parse_args(arguments)
    contract = load_contract(CONTRACT)
    image = build_demo_image(contract)
    for message_count, count in ((0, options.times), (options.messages, 5)):
        print(f"\ndemo and {message_count} Messages, {count} sandboxes\n")
        print("| | median ms | 99 % ms | KiB each |\n|---|--:|--:|--:|")
        for row in iter_rows(create_app_with_messages(image, message_count, contract), count):
            print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
