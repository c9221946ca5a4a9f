"""The mock beside its peers: the same requests to all, in rounds that take turns. Writes Markdown and JSON.

    python -m bench.compare [--seconds 3] [--rounds 2] [--connections 1,16,64] [--to bench/results]

Needs `wrk`; a peer that cannot be had is left out and said to be. A wrong answer ends it; a figure never does. Ratios
are to Prism in the same round, the median of the rounds. The machine's other work makes single figures worthless.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median

from bench import mixed, peers
from bench.load import ALL, Load
from bench.servers import Server, ours

BASELINE = "prism static"
BUSY = 0.15  # share of the machine's time that others took before the rounds began


@dataclass(frozen=True, slots=True)
class Row:
    """One server under one load in one round. `cpu`: microseconds of the server's processor time for a request."""

    ask: str
    connections: int
    round: int
    server: str
    load: Load
    cpu: float


def busy(seconds: float = 1.0) -> float:
    """The share of the processors' time that was taken while this program waited."""

    def times() -> tuple[int, int]:
        fields = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return fields[3] + fields[4], sum(fields)

    idle, all_ = times()
    time.sleep(seconds)
    idle_then, all_then = times()
    return 1 - (idle_then - idle) / max(1, all_then - all_)


def rounds(servers: list[Server], folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    """Every measurement of the plain requests; the servers take turns within a round."""
    for ask in ALL:
        able = [server for server in servers if ask.at(server) is not None]
        for server in able:
            ask.check(server)
        for connections, number, server in product(given.connections, range(given.rounds), able):
            before = server.cpu()
            load = ask.run(server, given.seconds, folder, connections)
            yield Row(ask.name, connections, number, server.name, load, _cpu(server, before, load))


def mixed_rounds(servers: list[Server], folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    """Every measurement of the mixed load, by those who have real state."""
    able = [server for server in servers if server.name in (mixed.OURS, mixed.JSON_SERVER)]
    taken = 0
    for connections, number in product(given.connections, range(given.rounds)):
        for server in able:
            spare = mixed.spare_of(server, taken, mixed.SPARE)
            before = server.cpu()
            load = mixed.run(server, spare, given.seconds, folder, connections)
            yield Row(mixed.NAME, connections, number, server.name, load, _cpu(server, before, load))
        taken += mixed.SPARE


def _cpu(server: Server, before: float, load: Load) -> float:
    return (server.cpu() - before) / max(1, load.requests) * 1e6


def table(rows: list[Row]) -> Iterator[str]:
    """The measurements as Markdown: medians of the rounds."""
    yield "| request | connections | server | requests/s | p50 ms | p99 ms | CPU µs | ratio |"
    yield "|---|--:|---|--:|--:|--:|--:|--:|"
    for ask, connections, server in dict.fromkeys((r.ask, r.connections, r.server) for r in rows):
        mine = [r for r in rows if (r.ask, r.connections, r.server) == (ask, connections, server)]
        beside = mixed.JSON_SERVER if ask == mixed.NAME else BASELINE
        rates = {r.round: r.load.rate for r in rows if (r.ask, r.connections, r.server) == (ask, connections, beside)}
        ratios = [r.load.rate / rates[r.round] for r in mine if rates.get(r.round)]
        shown = f"{median(ratios):.1f}" if ratios else ""
        rate, p50, p99 = (median(getattr(r.load, what) for r in mine) for what in ("rate", "p50", "p99"))
        cpu = median(r.cpu for r in mine)
        yield f"| {ask} | {connections} | {server} | {rate:,.0f} | {p50:.2f} | {p99:.1f} | {cpu:.0f} | {shown} |"


def main(arguments: list[str]) -> int:
    """Measure, print and write; the exit code."""
    given = _read(arguments)
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt install wrk); nothing was measured")
        return 0
    share = busy()
    programs = peers.installed()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        starting = [ours(), peers.nginx(folder)]
        if programs is not None:
            starting += [start(programs, folder) for start in (peers.prism, peers.json_server, peers.wiremock)]
        started = [stack.enter_context(one) for one in starting]
        servers = [server for server in started if server is not None]
        memory = {server.name: [server.rss()] for server in servers}
        rows = [*rounds(servers, folder, given), *mixed_rounds(servers, folder, given)]
        for server in servers:
            memory[server.name].append(server.rss())
        said = _told(given, share, servers, memory, rows)
    given.to.mkdir(parents=True, exist_ok=True)
    (given.to / "compare.md").write_text(said)
    found = {"busy": share, "memory": memory, "cold_start": {s.name: s.cold_start for s in servers}}
    (given.to / "compare.json").write_text(json.dumps({**found, "rows": [asdict(row) for row in rows]}, indent=1))
    print(said)
    return 0


def _told(
    given: argparse.Namespace, share: float, servers: list[Server], memory: dict[str, list[float]], rows: list[Row]
) -> str:
    """All of it as one page of Markdown."""
    lines = [f"{given.rounds} rounds of {given.seconds} s; the ratio is to {BASELINE} (mixed: {mixed.JSON_SERVER})."]
    if share > BUSY:
        lines.append(f"The machine was busy: others took {share:.0%} of it before the first round.")
    known = {mixed.OURS, BASELINE, mixed.JSON_SERVER, "wiremock", "nginx static"}
    missing = known - {server.name for server in servers}
    if missing:
        lines.append(f"Not there: {', '.join(sorted(missing))}.")
    lines += ["", *table(rows), "", "| server | cold start s | MiB at first | MiB after all |", "|---|--:|--:|--:|"]
    for server in servers:
        first, last = memory[server.name]
        lines.append(f"| {server.name} | {server.cold_start:.2f} | {first:.0f} | {last:.0f} |")
    return "\n".join(lines) + "\n"


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (default 3)")
    parser.add_argument("--rounds", type=int, default=2, help="in which the servers take turns (default 2)")
    parser.add_argument("--connections", type=_numbers, default=[1, 16, 64], help="default 1,16,64")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results", help="folder for what is found")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
