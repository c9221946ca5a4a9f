"""Requests a second by the number of workers that serve one store: python -m bench.workers [--seconds 2] [--rounds 2].

Needs `wrk`. Each number of workers is started in its turn, each round anew, for together they would take each other's
processors. One worker is measured twice: as it is by default, in memory, and on a file as the others are.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import mixed
from bench.load import ASKS, CONNECTIONS
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


def measure(server: Server, seconds: int, folder: Path) -> dict[str, float]:
    """Requests a second by the name of the request."""
    found = {}
    for ask in ASKS:
        ask.check(server)
        found[ask.name] = ask.run(server, seconds, folder).rate
    spare = mixed.spare_of(server, 0, seconds)
    found[mixed.NAME] = mixed.run(server, spare, seconds, folder, CONNECTIONS).rate
    return found


def main(arguments: list[str]) -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.workers")
    parser.add_argument("--seconds", type=int, default=2, help="of each run (default 2)")
    parser.add_argument("--rounds", type=int, default=2, help="of which the better counts (default 2)")
    given = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt install wrk); nothing was measured")
        return 0
    names = (IN_MEMORY, *map(str, NUMBERS))
    best: dict[str, dict[str, float]] = {name: {} for name in names}
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(given.rounds):
            for name in names:
                with served(name, Path(folder)) as server:
                    for ask, rate in measure(server, given.seconds, Path(folder)).items():
                        best[name][ask] = max(rate, best[name].get(ask, 0.0))
    print(f"{os.cpu_count()} processors, load {busy:.1f} before the first run; {CONNECTIONS} connections\n")
    print("| requests/s by workers | " + " | ".join(names) + " |")
    print("|---|" + "--:|" * len(names))
    for ask in best[IN_MEMORY]:
        print(f"| {ask} | " + " | ".join(f"{best[name][ask]:,.0f}" for name in names) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
