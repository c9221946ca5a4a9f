"""The mock beside its peers: the same requests to all, in rounds that take turns. Writes Markdown and JSON.

    python -m bench.compare [--seconds 3] [--rounds 2] [--connections 1,16,64] [--starts 5] [--to bench/results]

Needs `wrk`; a peer that cannot be had is left out and said to be. A wrong answer ends it; a figure never does. Ratios
are to Prism in the same round, the median of the rounds. The machine's other work makes single figures worthless.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from itertools import product
from pathlib import Path
from statistics import median

from bench import goals, mixed, peers
from bench.figures import Figures, Memory, Row, Started
from bench.goals import BASELINE, WIREMOCK
from bench.load import CONNECTIONS, HEADERS, READS, WRITES, Ask, Load
from bench.servers import Server, ours

NGINX = "nginx static"
BUSY = 0.15  # share of the machine's time that others took before the rounds began

Start = Callable[[], AbstractContextManager[Server | None]]


def busy(seconds: float = 1.0) -> float:
    """The share of the processors' time that was taken while this program waited."""

    def times() -> tuple[int, int]:
        fields = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return fields[3] + fields[4], sum(fields)

    idle, all_ = times()
    time.sleep(seconds)
    idle_then, all_then = times()
    return 1 - (idle_then - idle) / max(1, all_then - all_)


def cold_starts(starting: Sequence[Start], times: int) -> dict[str, list[Started]]:
    """The starts of each server, alone, in turns; the first one of each is not counted."""
    found: dict[str, list[Started]] = {}
    for number in range(times + 1):
        for start in starting:
            with start() as server:
                if server is not None and number:
                    found.setdefault(server.name, []).append(Started(server.cold_start, server.cpu()))
    return found


def rounds(asks: Sequence[Ask], servers: list[Server], folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    """Every measurement of plain requests; the servers take turns within a round."""
    for ask in asks:
        able = [server for server in servers if ask.at(server) is not None]
        for server in able:
            ask.check(server)
        for connections, number, server in product(given.connections, range(given.rounds), able):
            before = server.cpu()
            load = ask.run(server, given.seconds, folder, connections)
            yield Row(ask.name, connections, number, server.name, load, _cpu(server, before, load))


def mixed_rounds(servers: list[Server], folder: Path, given: argparse.Namespace) -> Iterator[Row]:
    """Every measurement of the mixed load, and of its reads alone, by those who have real state."""
    able = [server for server in servers if server.name in (mixed.OURS, mixed.JSON_SERVER)]
    for turn, (connections, number) in enumerate(product(given.connections, range(given.rounds))):
        for server in able:
            before = server.cpu()
            load = mixed.run_reads(server, given.seconds, folder, connections)
            yield Row(mixed.READS, connections, number, server.name, load, _cpu(server, before, load))
            spare = mixed.spare_of(server, turn, given.seconds)
            before = server.cpu()
            load = mixed.run(server, spare, given.seconds, folder, connections)
            yield Row(mixed.NAME, connections, number, server.name, load, _cpu(server, before, load))


def _cpu(server: Server, before: float, load: Load) -> float:
    return (server.cpu() - before) / max(1, load.requests) * 1e6


def stored(server: Server) -> int | None:
    """How many records a server holds, as it says itself; None for one that stores nothing."""
    if server.name == mixed.OURS:
        with urllib.request.urlopen(server.base.partition("/api/")[0] + "/__mock/health", timeout=30) as answer:
            records: dict[str, int] = json.load(answer)["records"]
            return sum(records.values())
    if server.name == mixed.JSON_SERVER:
        request = urllib.request.Request(f"{server.base}/messages?_page=1&_limit=1", headers=dict(HEADERS))
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.headers["X-Total-Count"])
    return None


def measured(
    servers: list[Server], starts: dict[str, list[Started]], folder: Path, given: argparse.Namespace
) -> Figures:
    """All rounds, those that read before those that write, with the memory between them."""
    first = [server.rss() for server in servers]
    rows = [*rounds(READS, servers, folder, given)]
    read = [server.rss() for server in servers]
    held = [stored(server) for server in servers]
    rows += [*rounds(WRITES, servers, folder, given), *mixed_rounds(servers, folder, given)]
    memory = {}
    for server, at_first, after_reads, before in zip(servers, first, read, held, strict=True):
        now = stored(server)
        more = None if now is None or before is None else now - before
        memory[server.name] = Memory(at_first, after_reads, server.rss(), more)
    return Figures(rows, starts, memory)


def table(figures: Figures) -> Iterator[str]:
    """The measurements as Markdown: medians of the rounds."""
    yield "| request | connections | server | requests/s | p50 ms | p99 ms | CPU µs | ratio |"
    yield "|---|--:|---|--:|--:|--:|--:|--:|"
    for ask, connections, server in dict.fromkeys((r.ask, r.connections, r.server) for r in figures.rows):
        mine = figures.select(ask, connections, server)
        beside = mixed.JSON_SERVER if ask in (mixed.NAME, mixed.READS) else BASELINE
        ratio = figures.ratio(ask, connections, server, (ask, beside))
        shown = "" if ratio is None else f"{ratio:.1f}"
        rate, p50, p99 = (median(getattr(r.load, what) for r in mine) for what in ("rate", "p50", "p99"))
        cpu = median(r.cpu for r in mine)
        yield f"| {ask} | {connections} | {server} | {rate:,.0f} | {p50:.2f} | {p99:.1f} | {cpu:.0f} | {shown} |"


def held_table(figures: Figures) -> Iterator[str]:
    """Starts and memory as Markdown."""
    yield "| server | cold start s | CPU s | MiB at first | after reads | after writes | stored by these | bytes each |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for server, memory in figures.memory.items():
        sizes = f"{memory.first:.0f} | {memory.read:.0f} | {memory.written:.0f}"
        per = memory.per_record
        left = " | " if memory.stored is None or per is None else f"{memory.stored:,} | {per:,.0f}"
        start = figures.start(server)
        took = f"{start.wall:.2f} | {start.cpu:.2f}" if start else " | "
        yield f"| {server} | {took} | {sizes} | {left} |"


def main(arguments: list[str]) -> int:
    """Measure, print and write; the exit code."""
    given = _read(arguments)
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt install wrk); nothing was measured")
        return 0
    share = busy()
    with tempfile.TemporaryDirectory() as name:
        starting = _starting(Path(name))
        starts = cold_starts(starting, given.starts)
        with ExitStack() as stack:
            started = [stack.enter_context(start()) for start in starting]
            servers = [server for server in started if server is not None]
            figures = measured(servers, starts, Path(name), given)
    connections = CONNECTIONS if CONNECTIONS in given.connections else given.connections[0]
    said = _told(given, share, figures, connections)
    given.to.mkdir(parents=True, exist_ok=True)
    (given.to / "compare.md").write_text(said)
    found = {"busy": share, "goals": goals.told(figures, connections), **asdict(figures)}
    (given.to / "compare.json").write_text(json.dumps(found, indent=1))
    print(said)
    return 0


def _starting(folder: Path) -> list[Start]:
    """How each server is started, each time on files of its own; the peers of npm where there is npm."""

    def fresh() -> Path:
        return Path(tempfile.mkdtemp(dir=folder))

    programs = peers.installed()
    found: list[Start] = [ours, lambda: peers.nginx(fresh())]
    if programs is not None:
        found += [
            lambda: peers.prism(programs, fresh()),
            lambda: peers.json_server(programs, fresh()),
            lambda: peers.wiremock(programs, fresh()),
        ]
    return found


def _told(given: argparse.Namespace, share: float, figures: Figures, connections: int) -> str:
    """All of it as one page of Markdown."""
    lines = [f"{given.rounds} rounds of {given.seconds} s; the ratio is to {BASELINE} (mixed: {mixed.JSON_SERVER})."]
    if share > BUSY:
        lines.append(f"The machine was busy: others took {share:.0%} of it before the first start.")
    missing = {mixed.OURS, BASELINE, mixed.JSON_SERVER, WIREMOCK, NGINX} - set(figures.memory)
    if missing:
        lines.append(f"Not there: {', '.join(sorted(missing))}.")
    lines += ["", *table(figures), "", *held_table(figures), "", *goals.table(figures, connections)]
    return "\n".join(lines) + "\n"


def _read(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=3, help="of each run (default 3)")
    parser.add_argument("--rounds", type=int, default=2, help="in which the servers take turns (default 2)")
    parser.add_argument("--starts", type=int, default=5, help="of each server, whose median counts (default 5)")
    parser.add_argument("--connections", type=_numbers, default=[1, 16, 64], help="default 1,16,64")
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results", help="folder for what is found")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
