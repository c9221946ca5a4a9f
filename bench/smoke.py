"""A short round of the mock beside Prism: right answers are demanded, figures are only told.

    python -m bench.smoke [SECONDS]

Needs `wrk`; Prism is measured where npx can run it. Two interleaved rounds at 16 connections. Exits 1 on a wrong
answer, never on a figure.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from bench.load import ASKS, CONNECTIONS, Ask
from bench.servers import Server, ours, prism

ROUNDS = 2


def measure(servers: list[Server], ask: Ask, seconds: int, folder: Path) -> dict[str, float]:
    """Requests a second by server, the better of the rounds, which take turns."""
    best = dict.fromkeys((server.name for server in servers), 0.0)
    for _ in range(ROUNDS):
        for server in servers:
            best[server.name] = max(best[server.name], ask.run(server, seconds, folder).rate)
    return best


def main(arguments: list[str]) -> int:
    """Measure and print; the exit code."""
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt install wrk); nothing was measured")
        return 0
    seconds = int(arguments[0]) if arguments else 3
    with tempfile.TemporaryDirectory() as name, ours() as mine, prism(Path(name)) as peer:
        servers = [mine, *([peer] if peer else [])]
        print(f"requests/s at {CONNECTIONS} connections, best of {ROUNDS} interleaved rounds of {seconds} s")
        for ask in ASKS:
            sizes = {server.name: ask.check(server) for server in servers}
            best = measure(servers, ask, seconds, Path(name))
            ratio = f", {best[mine.name] / best[peer.name]:.1f} times {peer.name}" if peer else ""
            shown = ", ".join(f"{name} {rate:,.0f} ({sizes[name]:,} bytes)" for name, rate in best.items())
            print(f"{ask.name}: {shown}{ratio}")
        print("memory after it: " + ", ".join(f"{server.name} {server.rss():.0f} MiB" for server in servers))
        if peer is None:
            print("Prism could not be run here (npx)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
