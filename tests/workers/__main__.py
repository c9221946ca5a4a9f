"""`python -m tests.workers`: many writes by many clients at once, then rounds of kill -9; prints what was wrong.

python -m tests.workers [--workers 2] [--clients 4] [--writes 100000] [--rounds 100]
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.running import environment
from tests.workers.crowd import crowd
from tests.workers.kills import killed, mock


def main(arguments: Sequence[str]) -> int:
    """Try both; the exit code. 1: something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.workers")
    parser.add_argument("--workers", type=int, default=2, help="processes of the mock (default 2)")
    parser.add_argument("--clients", type=int, default=4, help="processes that write (default 4)")
    parser.add_argument("--writes", type=int, default=100_000, help="writes of all clients together (default 100000)")
    parser.add_argument("--rounds", type=int, default=100, help="rounds of kill -9 (default 100)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        around = environment(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")))
        wrong: list[str] = []
        if given.writes:
            began = time.monotonic()
            with mock(Path(folder) / "crowd.db", given.workers, around) as (_, port):
                found, workers = crowd(port, given.clients, given.writes)
            took = time.monotonic() - began
            print(f"{given.writes} writes, answered by workers {sorted(workers)}, {took:.0f} s: {len(found)} wrong")
            wrong += found
        if given.rounds:
            began = time.monotonic()
            found = killed(Path(folder) / "kills.db", around, given.rounds)
            print(f"{given.rounds} rounds of kill -9, {time.monotonic() - began:.0f} s: {len(found)} wrong")
            wrong += found
    for said in wrong[:20]:
        print(f"  {said}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
