"""Cost of requests that use no test control, compared with another checkout, such as one without test control.

`compare` runs this file as a script, once in each checkout: there it imports the modules of that checkout, sends the
requests that it reads from its input, and prints their processor times.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # in another checkout this file is a script
    from bench.load import RequestKind

ROOT = Path(__file__).parents[1]
_WARM_UP_COUNT = 50


def lower_quartile(samples: Sequence[float]) -> float:
    """The value that a quarter of the samples does not exceed: other processes only make requests slower."""
    return quantiles(samples, n=4)[0]


def compare(
    other: Path, requests: Sequence[tuple["RequestKind", bool]], repetitions: int, rounds: int
) -> list[tuple[float, ...]]:
    """Microseconds of each request: in the other checkout, in this one, and the difference.

    `requests`: each with whether the response may be one from the response cache. Medians over `rounds`. Each round
    starts both checkouts, since the places of objects in memory change the times of a process by some percent, and
    sends the requests to them in turn. Raises SystemExit if one fails.
    """
    results: list[list[tuple[float, ...]]] = [[] for _ in requests]
    for _ in range(rounds):
        with _start(other) as before, _start(ROOT) as after:
            for request, rows in zip(requests, results, strict=True):
                pair = [_measure(process, request, repetitions) for process in (before, after)]
                rows.append((pair[0], pair[1], pair[1] - pair[0]))
            for process in (before, after):
                process.communicate("")
    return [tuple(median(column) * 1e6 for column in zip(*rows, strict=True)) for rows in results]


def _start(checkout: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-P", __file__]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=checkout, env=environment, stdin=pipe, stdout=pipe, text=True)


def _measure(process: "subprocess.Popen[str]", request: tuple["RequestKind", bool], repetitions: int) -> float:
    """Lower quartile of the processor seconds of a request."""
    assert process.stdin is not None
    assert process.stdout is not None
    kind, is_cached = request
    arguments = [kind.method, kind.target, kind.body, kind.status, is_cached, repetitions]
    with suppress(BrokenPipeError):  # reported below
        process.stdin.write(json.dumps(arguments) + "\n")
        process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{kind.name}: the requests could not be measured, see the message above")
    return lower_quartile(json.loads(line))


def iter_samples() -> Iterator[list[float]]:
    """Yield the processor seconds of each request that the input asks for, by the modules of the current checkout."""
    from bench.growth import CONTRACT, build_demo_image, create_app_with_messages
    from spec.loader import load_contract

    contract = load_contract(CONTRACT)
    app = create_app_with_messages(build_demo_image(contract), 0, contract)
    if hasattr(app.sandbox, "journal"):
        app.sandbox.journal = None
    for line in sys.stdin:
        method, target, body, status, is_cached, repetitions = json.loads(line)
        samples = [
            app.measure_request(method, target, body, clear_cache=not is_cached, status=status)
            for _ in range(repetitions + _WARM_UP_COUNT)
        ]
        yield samples[_WARM_UP_COUNT:]


if __name__ == "__main__":
    for sample_list in iter_samples():
        print(json.dumps(sample_list), flush=True)
