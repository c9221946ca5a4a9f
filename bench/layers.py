"""Time per layer of a request: each layer's own share, in process, with the demo dataset.

    python -m bench.layers [--times 2000]

Medians of wall time, which ignore interruptions by other processes. Reads have two rows: uncached, and served from the
response cache. The HTTP server (uvicorn: parsing, writing, event loop) is not included; `make bench` has the total.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from statistics import median
from typing import Any

from bench.growth import CONTRACT, InProcessApp, build_demo_image, create_app_with_messages
from bench.load import ALL_REQUESTS, RequestKind
from mock_server.web.endpoint import Endpoint
from mock_server.web.outer_app import MockApp
from mock_server.web.routing import RoutingMiddleware
from mock_server.web.security import FastPathSecurityMiddleware, OperationSecurity
from mock_server.web.validation import RequestValidator, ValidationMiddleware
from spec.loader import load_contract

# From outermost to innermost. A layer's own time is its total minus the total of the next layer.
LAYERS = (
    MockApp,
    RoutingMiddleware,
    FastPathSecurityMiddleware,
    OperationSecurity,
    ValidationMiddleware,
    RequestValidator,
    Endpoint,
)
COLUMNS = {
    "edge": (MockApp,),
    "Connexion": (FastPathSecurityMiddleware, ValidationMiddleware),
    "routing": (RoutingMiddleware,),
    "security": (OperationSecurity,),
    "validation": (RequestValidator,),
    "endpoint and action": (Endpoint,),
}
_CALL_METHOD = "__call__"


def instrument_layers(durations: dict[type, float]) -> None:
    """Wrap each layer so that it records its duration."""

    def measure_calls(layer: type, call: Any) -> Any:
        async def run(self: Any, *arguments: Any) -> None:
            started_at = time.perf_counter()
            try:
                await call(self, *arguments)
            finally:
                durations[layer] = time.perf_counter() - started_at

        return run

    for layer in LAYERS:
        setattr(layer, _CALL_METHOD, measure_calls(layer, getattr(layer, _CALL_METHOD)))


def iter_rows(in_process_app: InProcessApp, durations: dict[type, float], repetitions: int) -> Iterator[str]:
    """The rows of the table."""
    for request_kind in ALL_REQUESTS:
        yield _measure_row(in_process_app, durations, repetitions, request_kind, request_kind.name, clear_cache=True)
        if request_kind.method == "GET":
            yield _measure_row(
                in_process_app, durations, repetitions, request_kind, f"{request_kind.name}, again", clear_cache=False
            )


def _measure_row(
    in_process_app: InProcessApp,
    durations: dict[type, float],
    repetitions: int,
    request_kind: RequestKind,
    name: str,
    *,
    clear_cache: bool,
) -> str:
    samples: dict[str, list[float]] = {column: [] for column in (*COLUMNS, "all")}
    for _ in range(repetitions):
        durations.clear()
        in_process_app.measure_request(
            request_kind.method,
            request_kind.target,
            request_kind.body,
            clear_cache=clear_cache,
            status=request_kind.status,
        )
        reached_layers = [layer for layer in LAYERS if layer in durations]
        inner_durations = {a: durations[b] for a, b in pairwise(reached_layers)}
        for column, layers in COLUMNS.items():
            samples[column].append(
                sum(durations[layer] - inner_durations.get(layer, 0) for layer in layers if layer in durations)
            )
        samples["all"].append(durations[MockApp])
    return (
        f"| {name} | " + " | ".join(f"{median(column_samples) * 1e6:.1f}" for column_samples in samples.values()) + " |"
    )


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.layers")
    parser.add_argument("--times", type=int, default=2_000, help="repetitions of each request (default 2000)")
    options = parser.parse_args(arguments)
    durations: dict[type, float] = {}
    instrument_layers(durations)
    print("| µs | " + " | ".join((*COLUMNS, "all")) + " |")
    print("|---|" + "--:|" * (len(COLUMNS) + 1))
    contract = load_contract(CONTRACT)
    for row in iter_rows(create_app_with_messages(build_demo_image(contract), 0, contract), durations, options.times):
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
