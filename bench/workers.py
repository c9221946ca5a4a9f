"""Requests a second by the number of workers that serve one store: python -m bench.workers [--seconds 2] [--rounds 2].

Needs `wrk`. Each number of workers is started in its turn, each round anew, for together they would take each other's
processors. One worker is measured twice: as it is by default, in memory, and on a file as the others are. `wrk` takes
its part of the same processors, so that requests a second stop growing before the workers do; processor time for a
request does not: so many of them a second each processor more would answer, until all wait for one writer.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import mixed
from bench.compare import BUSY, busy
from bench.load import ASKS, CONNECTIONS, Load
from bench.servers import Server, ours

IN_MEMORY = "1, in memory"
NUMBERS = (1, 2, 4)


@contextmanager
def served(name: str, folder: Path) -> Iterator[Server]:
    """The mock with so many workers."""
    file = folder / f"{len(list(folder.iterdir()))}.db"
    options = () if name == IN_MEMORY else ("--workers", name, "--store", f"sqlite:///{file}")
    with ours(*options) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Run:
    """One run: requests a second, µs of all workers' processor time for one, and ms that 99 % of them took."""

    rate: float
    cpu: float
    p99: float


def measure(server: Server, seconds: int, folder: Path) -> Iterator[tuple[str, Run]]:
    """(name of the request, its run)."""
    for ask in ASKS:
        ask.check(server)
        before = server.cpu()
        yield ask.name, _run(server, before, ask.run(server, seconds, folder))
    spare = mixed.spare_of(server, 0, seconds)
    before = server.cpu()
    yield mixed.NAME, _run(server, before, mixed.run(server, spare, seconds, folder, CONNECTIONS))


def _run(server: Server, before: float, load: Load) -> Run:
    return Run(load.rate, (server.cpu() - before) / max(1, load.requests) * 1e6, load.p99)


def table(title: str, found: Mapping[str, Mapping[str, list[Run]]], figure: Callable[[list[Run]], float]) -> str:
    """One figure of all runs as Markdown. `found`: by workers, by request."""
    lines = [f"| {title} | {' | '.join(found)} |", "|---|" + "--:|" * len(found)]
    for ask in found[IN_MEMORY]:
        lines.append(f"| {ask} | " + " | ".join(f"{figure(runs[ask]):,.0f}" for runs in found.values()) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers")
    parser.add_argument("--seconds", type=int, default=2, help="of each run (default 2)")
    parser.add_argument("--rounds", type=int, default=2, help="of which the best rate counts (default 2)")
    given = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt install wrk); nothing was measured")
        return 0
    found: dict[str, dict[str, list[Run]]] = {name: {} for name in (IN_MEMORY, *map(str, NUMBERS))}
    share = busy()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(given.rounds):
            for name, runs in found.items():
                with served(name, Path(folder)) as server:
                    for ask, run in measure(server, given.seconds, Path(folder)):
                        runs.setdefault(ask, []).append(run)
    print(f"{os.cpu_count()} processors; {CONNECTIONS} connections; the best of {given.rounds} rounds.")
    if share > BUSY:
        print(f"The machine was busy: others took {share:.0%} of it before the first round.")
    print("\n" + table("requests/s by workers", found, lambda runs: max(run.rate for run in runs)))
    print(table("CPU µs by workers", found, lambda runs: median(run.cpu for run in runs)))
    print(table("p99 ms by workers", found, lambda runs: min(run.p99 for run in runs)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
