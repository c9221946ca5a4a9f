"""A short comparison of the mock with Prism: wrong responses fail, figures are only printed.

    python -m bench.smoke [SECONDS]

Needs `wrk`; Prism is measured if npx can run it. Two interleaved rounds at 16 connections. Exits 1 on a wrong response,
never because of a figure.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from bench.load import CONNECTIONS, SMOKE_REQUESTS, RequestKind
from bench.servers import BenchmarkServer, run_mock, run_prism

ROUNDS = 2


def measure(servers: list[BenchmarkServer], request_kind: RequestKind, seconds: int, folder: Path) -> dict[str, float]:
    """Requests per second by server: the better of the interleaved rounds."""
    best = dict.fromkeys((server.name for server in servers), 0.0)
    for _ in range(ROUNDS):
        for server in servers:
            best[server.name] = max(best[server.name], request_kind.run(server, seconds, folder).requests_per_second)
    return best


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit status."""
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt install wrk); nothing was measured")
        return 0
    seconds = int(arguments[0]) if arguments else 3
    with tempfile.TemporaryDirectory() as name, run_mock() as mock, run_prism(Path(name)) as peer:
        servers = [mock, *([peer] if peer else [])]
        print(f"requests/s at {CONNECTIONS} connections, best of {ROUNDS} interleaved rounds of {seconds} s")
        for request_kind in SMOKE_REQUESTS:
            sizes = {server.name: request_kind.check_response(server) for server in servers}
            best = measure(servers, request_kind, seconds, Path(name))
            ratio = f", {best[mock.name] / best[peer.name]:.1f} times {peer.name}" if peer else ""
            text = ", ".join(f"{name} {rate:,.0f} ({sizes[name]:,} bytes)" for name, rate in best.items())
            print(f"{request_kind.name}: {text}{ratio}")
        print("memory after the load: " + ", ".join(f"{server.name} {server.rss_mib():.0f} MiB" for server in servers))
        if peer is None:
            print("Prism was not measured: npx cannot run it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
