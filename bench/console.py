"""Processor time of requests with the console installed and closed, compared with the same mock without it.

    python -m bench.console [--times 1000] [--rounds 5]

In process, with one store: the application and two copies of it without the console take turns, so that all have the
same memory and the same load of the machine. Figures are lower quartiles, since other processes only make requests
slower; ratios are medians over the rounds. The ratio of the two copies, which are equal, shows the noise.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from statistics import median

from bench.checkouts import lower_quartile
from bench.growth import CONTRACT, InProcessApp, build_demo_image, create_app_with_messages
from bench.load import ALL_REQUESTS, RequestKind
from mock_server.web.outer_app import MockApp
from spec.loader import load_contract

WITH, WITHOUT, WITHOUT_AGAIN = "with", "without", "without, again"
_TURN_LENGTH = 50
_WARM_UP_COUNT = 50


@dataclass(frozen=True, slots=True)
class ConsoleComparison:
    """Seconds of a request without the console in the fastest round, and the median ratios to it.

    `ratio`: with the console; `noise`: of the two applications without it.
    """

    seconds: float
    ratio: float
    noise: float

    @classmethod
    def from_rounds(cls, rounds: Sequence[Mapping[str, float]]) -> "ConsoleComparison":
        """Create the comparison from the seconds of each application in each round."""
        return cls(
            min(figures[WITHOUT] for figures in rounds),
            median(figures[WITH] / figures[WITHOUT] for figures in rounds),
            median(figures[WITHOUT_AGAIN] / figures[WITHOUT] for figures in rounds),
        )


def create_variants(in_process_app: InProcessApp) -> dict[str, InProcessApp]:
    """Return the application and two copies without the console, by name. They share the store and the caches."""
    app = in_process_app.app
    if not isinstance(app, MockApp) or app.console is None:
        raise SystemExit("the application has no console (expected one with a registry of sandboxes)")
    copies = {name: replace(in_process_app, app=replace(app, console=None)) for name in (WITHOUT, WITHOUT_AGAIN)}
    return {WITH: in_process_app, **copies}


def measure_round(
    variants: Mapping[str, InProcessApp], kind: RequestKind, repetitions: int, *, is_cached: bool
) -> dict[str, float]:
    """Return the lower quartile of the seconds of each application, which take turns in changing order."""
    samples: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    while len(samples[WITH]) < repetitions:
        for name in names:
            app = variants[name]
            samples[name].extend(
                app.measure_request(kind.method, kind.target, kind.body, clear_cache=not is_cached, status=kind.status)
                for _ in range(_TURN_LENGTH)
            )
        names = [*names[1:], names[0]]
    return {name: lower_quartile(values) for name, values in samples.items()}


def iter_rows(in_process_app: InProcessApp, repetitions: int, rounds: int) -> Iterator[str]:
    """Yield the rows of the table."""
    variants = create_variants(in_process_app)
    for kind in ALL_REQUESTS:
        for is_cached in (False, True) if kind.method == "GET" else (False,):
            measure_round(variants, kind, _WARM_UP_COUNT, is_cached=is_cached)
            figures = [measure_round(variants, kind, repetitions, is_cached=is_cached) for _ in range(rounds)]
            yield format_row(f"{kind.name}, again" if is_cached else kind.name, ConsoleComparison.from_rounds(figures))


def format_row(name: str, comparison: ConsoleComparison) -> str:
    """Return a row of the table."""
    return f"| {name} | {comparison.seconds * 1e6:.1f} | {comparison.ratio:.3f} | {comparison.noise:.3f} |"


def main(arguments: list[str]) -> int:
    """Measure and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.console")
    parser.add_argument("--times", type=int, default=1_000, help="repetitions of each request and round (default 1000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    options = parser.parse_args(arguments)
    contract = load_contract(CONTRACT)
    in_process_app = create_app_with_messages(build_demo_image(contract), 0, contract)
    print("| request | without the console, µs | with it, ratio | without it again, ratio |\n|---|--:|--:|--:|")
    with closing(in_process_app.loop):
        for row in iter_rows(in_process_app, options.times, options.rounds):
            print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
