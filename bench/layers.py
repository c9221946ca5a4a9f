"""Where the time of a request goes: what each layer takes for itself, in process, with the demo dataset.

    python -m bench.layers [--times 2000]

Medians of wall time, so that what else the machine does falls out. Reads are told twice: as they are made, and as they
are answered again before the next write. The server (uvicorn: parsing, writing, the loop) comes on top; `make bench`
has the whole as CPU µs.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

from bench.growth import CONTRACT, Served, demo_image, served
from bench.load import ALL, Ask
from mock_server.app import Edge
from mock_server.endpoint import Endpoint
from mock_server.routing import Routing
from mock_server.security import Gate, Security
from mock_server.validation import Check, Validation
from spec.contract import load_contract

# From the outermost to the innermost; a layer's own time is its whole less the next one's.
LAYERS = (Edge, Routing, Security, Gate, Validation, Check, Endpoint)
COLUMNS = {
    "edge": (Edge,),
    "Connexion": (Security, Validation),
    "routing": (Routing,),
    "security": (Gate,),
    "validation": (Check,),
    "endpoint and action": (Endpoint,),
}
_CALL = "__call__"


def watched(marks: dict[type, float]) -> None:
    """Let each layer write down how long it took."""

    def timed(layer: type, call: Any) -> Any:
        async def run(self: Any, *arguments: Any) -> None:
            began = time.perf_counter()
            try:
                await call(self, *arguments)
            finally:
                marks[layer] = time.perf_counter() - began

        return run

    for layer in LAYERS:
        setattr(layer, _CALL, timed(layer, getattr(layer, _CALL)))


def rows(found: Served, marks: dict[type, float], times: int) -> Iterator[str]:
    """The table's rows."""
    for ask in ALL:
        yield _row(found, marks, times, ask, ask.name, anew=True)
        if ask.method == "GET":
            yield _row(found, marks, times, ask, f"{ask.name}, again", anew=False)


def _row(found: Served, marks: dict[type, float], times: int, ask: Ask, name: str, *, anew: bool) -> str:
    taken: dict[str, list[float]] = {column: [] for column in (*COLUMNS, "all")}
    for _ in range(times):
        marks.clear()
        found.answered(ask.method, ask.target, ask.body, anew=anew, status=ask.status)
        reached = [layer for layer in LAYERS if layer in marks]
        inner = {a: marks[b] for a, b in pairwise(reached)}
        for column, layers in COLUMNS.items():
            taken[column].append(sum(marks[layer] - inner.get(layer, 0) for layer in layers if layer in marks))
        taken["all"].append(marks[Edge])
    return f"| {name} | " + " | ".join(f"{median(each) * 1e6:.1f}" for each in taken.values()) + " |"


def main(arguments: list[str]) -> int:
    """Measure and print; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.layers")
    parser.add_argument("--times", type=int, default=2_000, help="how often each request is sent (default 2000)")
    given = parser.parse_args(arguments)
    marks: dict[type, float] = {}
    watched(marks)
    print("| µs | " + " | ".join((*COLUMNS, "all")) + " |")
    print("|---|" + "--:|" * (len(COLUMNS) + 1))
    contract = load_contract(CONTRACT)
    for row in rows(served(demo_image(contract), 0, contract), marks, given.times):
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
