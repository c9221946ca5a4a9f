"""Compare the mock with its peers: the same requests to every server, in interleaved rounds. Writes Markdown and JSON.

    python -m bench.compare [--seconds 3] [--rounds 2] [--connections 1,16,64] [--starts 5] [--to bench/results]

Needs `wrk`. A peer that is not available is left out and listed. A wrong response aborts the comparison, a figure never
does. Ratios are relative to Prism in the same round, as the median over the rounds.
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

from bench import floors, mixed, peers
from bench.figures import BenchmarkResults, LoadMeasurement, MemoryUsage, ServerStart
from bench.floors import BASELINE
from bench.load import CONNECTIONS, HEADERS, READ_REQUESTS, WRITE_REQUESTS, LoadResult, RequestKind
from bench.servers import BenchmarkServer, run_mock

NGINX = "nginx static"
BUSY_THRESHOLD = 0.15  # share of processor time used by other processes before the first round

StartServer = Callable[[], AbstractContextManager[BenchmarkServer | None]]


def measure_busy_share(seconds: float = 1.0) -> float:
    """Share of processor time used by other processes while this program sleeps."""

    def read_cpu_times() -> tuple[int, int]:
        fields = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return fields[3] + fields[4], sum(fields)

    idle, total = read_cpu_times()
    time.sleep(seconds)
    idle_after, total_after = read_cpu_times()
    return 1 - (idle_after - idle) / max(1, total_after - total)


def measure_cold_starts(start_functions: Sequence[StartServer], times: int) -> dict[str, list[ServerStart]]:
    """Cold starts of each server, one at a time and interleaved; the first start of each is not counted."""
    starts: dict[str, list[ServerStart]] = {}
    for number in range(times + 1):
        for start in start_functions:
            with start() as server:
                if server is not None and number:
                    starts.setdefault(server.name, []).append(ServerStart(server.cold_start, server.cpu_seconds()))
    return starts


def measure_rounds(
    request_kinds: Sequence[RequestKind], servers: list[BenchmarkServer], folder: Path, options: argparse.Namespace
) -> Iterator[LoadMeasurement]:
    """Measure the plain requests; the servers are interleaved within a round."""
    for request_kind in request_kinds:
        supported = [server for server in servers if request_kind.url_for(server) is not None]
        for server in supported:
            request_kind.check_response(server)
        for connections, round_index, server in product(options.connections, range(options.rounds), supported):
            before = server.cpu_seconds()
            load = request_kind.run(server, options.seconds, folder, connections)
            yield LoadMeasurement(
                request_kind.name, connections, round_index, server.name, load, _cpu_per_request(server, before, load)
            )


def measure_mixed_rounds(
    servers: list[BenchmarkServer], folder: Path, options: argparse.Namespace
) -> Iterator[LoadMeasurement]:
    """Measure the mixed load, and its reads alone, on the stateful servers."""
    supported = [server for server in servers if server.name in (mixed.OURS, mixed.JSON_SERVER)]
    for turn, (connections, round_index) in enumerate(product(options.connections, range(options.rounds))):
        for server in supported:
            before = server.cpu_seconds()
            load = mixed.run_reads(server, options.seconds, folder, connections)
            yield LoadMeasurement(
                mixed.READS_NAME, connections, round_index, server.name, load, _cpu_per_request(server, before, load)
            )
            deletable_keys = mixed.create_deletable_keys(server, turn, options.seconds)
            before = server.cpu_seconds()
            load = mixed.run(server, deletable_keys, options.seconds, folder, connections)
            yield LoadMeasurement(
                mixed.NAME, connections, round_index, server.name, load, _cpu_per_request(server, before, load)
            )


def _cpu_per_request(server: BenchmarkServer, before: float, load: LoadResult) -> float:
    return (server.cpu_seconds() - before) / max(1, load.request_count) * 1e6


def count_records(server: BenchmarkServer) -> int | None:
    """Number of records that a server reports; None for a server without state."""
    if server.name == mixed.OURS:
        with urllib.request.urlopen(server.base_url.partition("/api/")[0] + "/__mock/health", timeout=30) as response:
            records: dict[str, int] = json.load(response)["records"]
            return sum(records.values())
    if server.name == mixed.JSON_SERVER:
        request = urllib.request.Request(f"{server.base_url}/messages?_page=1&_limit=1", headers=dict(HEADERS))
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.headers["X-Total-Count"])
    return None


def measure(
    servers: list[BenchmarkServer], starts: dict[str, list[ServerStart]], folder: Path, options: argparse.Namespace
) -> BenchmarkResults:
    """Run all rounds: first the reads, then the writes, and measure memory in between."""
    rss_at_start = [server.rss_mib() for server in servers]
    rows = [*measure_rounds(READ_REQUESTS, servers, folder, options)]
    rss_after_reads = [server.rss_mib() for server in servers]
    records_before = [count_records(server) for server in servers]
    rows += [*measure_rounds(WRITE_REQUESTS, servers, folder, options), *measure_mixed_rounds(servers, folder, options)]
    memory = {}
    for server, start_rss, reads_rss, count_before in zip(
        servers, rss_at_start, rss_after_reads, records_before, strict=True
    ):
        count_after = count_records(server)
        records_added = None if count_after is None or count_before is None else count_after - count_before
        memory[server.name] = MemoryUsage(start_rss, reads_rss, server.rss_mib(), records_added)
    return BenchmarkResults(rows, starts, memory)


def build_load_table(figures: BenchmarkResults) -> Iterator[str]:
    """The medians over the rounds as the lines of a Markdown table."""
    yield "| request | connections | server | requests/s | p50 ms | p99 ms | CPU µs | ratio |"
    yield "|---|--:|---|--:|--:|--:|--:|--:|"
    for request_kind, connections, server in dict.fromkeys(
        (r.request_name, r.connections, r.server) for r in figures.measurements
    ):
        selected = figures.select(request_kind, connections, server)
        baseline = mixed.JSON_SERVER if request_kind in (mixed.NAME, mixed.READS_NAME) else BASELINE
        ratio = figures.ratio(request_kind, connections, server, (request_kind, baseline))
        ratio_text = "" if ratio is None else f"{ratio:.1f}"
        rate = median(row.load.requests_per_second for row in selected)
        p50, p99 = median(row.load.p50_ms for row in selected), median(row.load.p99_ms for row in selected)
        cpu = median(row.cpu for row in selected)
        cells = (
            request_kind,
            connections,
            server,
            f"{rate:,.0f}",
            f"{p50:.2f}",
            f"{p99:.1f}",
            f"{cpu:.0f}",
            ratio_text,
        )
        yield f"| {' | '.join(map(str, cells))} |"


def build_memory_table(figures: BenchmarkResults) -> Iterator[str]:
    """Cold starts and memory as the lines of a Markdown table."""
    yield "| server | cold start s | CPU s | MiB at first | after reads | after writes | stored by these | bytes each |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for server, memory in figures.memory.items():
        sizes = f"{memory.at_start:.0f} | {memory.after_reads:.0f} | {memory.after_writes:.0f}"
        bytes_per_record = memory.bytes_per_record
        record_cells = (
            " | "
            if memory.records_added is None or bytes_per_record is None
            else f"{memory.records_added:,} | {bytes_per_record:,.0f}"
        )
        start = figures.median_start(server)
        start_cells = f"{start.wall_seconds:.2f} | {start.cpu_seconds:.2f}" if start else " | "
        yield f"| {server} | {start_cells} | {sizes} | {record_cells} |"


def main(arguments: list[str]) -> int:
    """Measure, print and write the results; returns the exit status."""
    options = _parse_arguments(arguments)
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt install wrk); nothing was measured")
        return 0
    busy_share = measure_busy_share()
    with tempfile.TemporaryDirectory() as folder:
        start_functions = _start_functions(Path(folder))
        starts = measure_cold_starts(start_functions, options.starts)
        with ExitStack() as stack:
            running = [stack.enter_context(start()) for start in start_functions]
            servers = [server for server in running if server is not None]
            figures = measure(servers, starts, Path(folder), options)
    connections = CONNECTIONS if CONNECTIONS in options.connections else options.connections[0]
    markdown = _build_report(options, busy_share, figures, connections)
    options.to.mkdir(parents=True, exist_ok=True)
    (options.to / "compare.md").write_text(markdown)
    results = {"busy": busy_share, "floors": floors.evaluate_floors(figures, connections), **asdict(figures)}
    (options.to / "compare.json").write_text(json.dumps(results, indent=1))
    print(markdown)
    return 0


def _start_functions(folder: Path) -> list[StartServer]:
    """How to start each server, with its own files at each start; npm peers only where npm is available."""

    def create_folder() -> Path:
        return Path(tempfile.mkdtemp(dir=folder))

    programs = peers.install_programs()
    start_functions: list[StartServer] = [run_mock, lambda: peers.run_nginx(create_folder())]
    if programs is not None:
        start_functions += [
            lambda: peers.run_prism(programs, create_folder()),
            lambda: peers.run_json_server(programs, create_folder()),
            lambda: peers.run_wiremock(programs, create_folder()),
        ]
    return start_functions


def _build_report(options: argparse.Namespace, busy_share: float, figures: BenchmarkResults, connections: int) -> str:
    """The complete report as Markdown."""
    lines = [
        f"{options.rounds} rounds of {options.seconds} s; the ratio is to {BASELINE} (mixed: {mixed.JSON_SERVER})."
    ]
    if busy_share > BUSY_THRESHOLD:
        lines.append(f"The machine was busy: others took {busy_share:.0%} of it before the first start.")
    missing = {mixed.OURS, BASELINE, mixed.JSON_SERVER, "wiremock", NGINX} - set(figures.memory)
    if missing:
        lines.append(f"Not there: {', '.join(sorted(missing))}.")
    lines += [
        "",
        *build_load_table(figures),
        "",
        *build_memory_table(figures),
        "",
        *floors.build_table(figures, connections),
    ]
    return "\n".join(lines) + "\n"


def _parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=int, default=3, help="seconds per run (default 3)")
    parser.add_argument("--rounds", type=int, default=2, help="interleaved rounds (default 2)")
    parser.add_argument("--starts", type=int, default=5, help="cold starts per server (default 5)")
    parser.add_argument(
        "--connections", type=_parse_integers, default=[1, 16, 64], help="numbers of connections (default 1,16,64)"
    )
    parser.add_argument("--to", type=Path, default=Path(__file__).parent / "results", help="output folder")
    return parser.parse_args(arguments)


def _parse_integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
