"""Measure the suite on the PHP backend: `python -m tests.backends.php.measure --seen --output seen.json`.

Each run starts the backend with a new database. Failures of a clean run (`--clean FILE`) are false alarms of the suite
or defects of the backend, and do not count. With a bug, another reproducible failure is `blocking` if it blocks and the
suite exits with 1, else `gap`. Without one, the bug is `missed`.
"""

import argparse
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from os import environ
from pathlib import Path
from random import sample
from typing import Any

import yaml

from tests.suite_process import EXIT_FAILED, ROOT, FailedCheck, SuiteRun, run_suite

FOLDER = Path(__file__).parent
BASE_PATH = "/api/v1"
CLEAN = "clean"
START_SECONDS = 30
START_ATTEMPTS = 5
PORTS = range(20_000, 30_000)
MAX_SELECTED = 30
CREDENTIALS = {
    "ATHENA_TOKEN": "demo-token",
    "ATHENA_OTHER_TOKEN": "other-token",
    "ATHENA_MEMBER_TOKEN": "viewer-token",
    "ATHENA_LOGIN": "john.doe@example.com",
    "ATHENA_PASSWORD": "password",
}
WORKSPACE = "5b6b7168-f007-4c74-83a1-7e2aa816768c"  # in the demo data; the API cannot create one
OPTIONS = (
    *("--profile", "gate", "--consistency-timeout", "1", "--allow-effects", "--max-effect-calls", "6"),
    *("--mutable-record", f"Workspace={WORKSPACE}"),
)
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """An entry of `bugs.json`. `location`: in the contract. `round`: when it was planted, starting at 1."""

    name: str
    location: str
    fact: str
    seen: bool
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BugMeasurement:
    """The result of a run. `detection`: `blocking`, `gap` or `missed`. `failures`: those that clean runs do not have.

    `operations`: the selected operationIds; empty for all.
    """

    name: str
    detection: str
    exit_code: int
    seconds: float
    flaky: int
    operations: tuple[str, ...]
    failures: tuple[FailedCheck, ...]
    reasons: tuple[str, ...]


def load_bugs() -> dict[str, PlantedBug]:
    """Return the planted bugs by name."""
    entries = json.loads((FOLDER / "bugs.json").read_text(encoding="utf-8"))
    fields = ("name", "location", "fact", "seen", "round")
    return {entry["name"]: PlantedBug(**{field: entry[field] for field in fields}) for entry in entries}


def select_bugs(bugs: dict[str, PlantedBug], *, seen: bool, unseen: bool, round_number: int | None) -> tuple[str, ...]:
    """Return the names of the bugs that the options select. `round_number`: None for the bugs of all rounds.

    A round alone selects all of its bugs; without any of the options, no bug is selected.
    """
    if not seen and not unseen:
        seen = unseen = round_number is not None
    return tuple(
        bug.name
        for bug in bugs.values()
        if (seen if bug.seen else unseen) and (round_number is None or bug.round == round_number)
    )


@cache
def _load_operations() -> dict[str, tuple[str, str, dict[str, int]]]:
    """Return operationId -> (`METHOD /path`, tag, component -> least number of references that lead to it)."""
    document = yaml.safe_load((ROOT / "spec" / "openapi.yaml").read_text(encoding="utf-8"))
    return {
        item[method]["operationId"]: (
            f"{method.upper()} {path}",
            item[method]["tags"][0],
            _measure_distances(document["components"], item[method]),
        )
        for path, item in document["paths"].items()
        for method in METHODS
        if method in item
    }


def _measure_distances(components: dict[str, Any], part: object) -> dict[str, int]:
    """Return component -> least number of references that lead to it from a part of the document."""
    distances: dict[str, int] = {}
    parts, distance = [part], 0
    while parts:
        distance += 1
        texts = " ".join(json.dumps(part, default=str) for part in parts)
        names = set(re.findall(r"#/components/(\w+/[\w.-]+)", texts)) - distances.keys()
        distances |= dict.fromkeys(names, distance)
        parts = [components[section][name] for section, name in (text.split("/") for text in names)]
    return distances


def select_operations(location: str) -> tuple[str, ...]:
    """Return the operationIds to run for the location of a bug; empty for all operations.

    Selects the tags of the operation at the location, or of those that refer most directly to the component there, and
    all operations with these tags. More than MAX_SELECTED operations count as all.
    """
    operations, route_or_component = _load_operations(), location.partition(",")[0]
    tags = {tag for route, tag, _ in operations.values() if route == route_or_component}
    if route_or_component.startswith("components."):
        component = "/".join(route_or_component.split(".")[1:3])
        distances = [(distances[component], tag) for _, tag, distances in operations.values() if component in distances]
        tags = {tag for distance, tag in distances if distance == min(distances)[0]}
    selected = tuple(name for name, (_, tag, _) in operations.items() if tag in tags)
    return selected if len(selected) <= MAX_SELECTED else ()


@contextmanager
def run_backend(bug: str = "") -> Iterator[str]:
    """Start the backend with a new database, optionally with a bug; yield its base URL and stop it afterwards."""
    with tempfile.TemporaryDirectory(prefix="php-backend-") as folder:
        backend, port = _start_backend(f"{folder}/athena.db", bug)
        try:
            yield f"http://127.0.0.1:{port}{BASE_PATH}"
        finally:
            backend.terminate()
            backend.wait(10)


def _start_backend(database: str, bug: str) -> tuple["subprocess.Popen[bytes]", int]:
    """Start the backend; retry on another port if its port is in use. Raises RuntimeError."""
    devnull = subprocess.DEVNULL
    for _ in range(START_ATTEMPTS):
        port = _find_free_port()
        command = ["php", str(FOLDER / "server.php"), "--port", str(port), "--database", database, "--fresh"]
        backend = subprocess.Popen(command, stdout=devnull, stderr=devnull, env=environ | {"BUG": bug})
        if _is_listening(backend, port):
            return backend, port
        backend.terminate()
    raise RuntimeError(f"the backend did not start in {START_ATTEMPTS} attempts")


def _find_free_port() -> int:
    """Return a free port outside the ephemeral range. Raises RuntimeError."""
    for port in sample(PORTS, len(PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port between {PORTS[0]} and {PORTS[-1]}")


def _is_listening(backend: "subprocess.Popen[bytes]", port: int) -> bool:
    """Wait until the backend accepts connections; return False if it exits or the timeout elapses."""
    deadline = time.monotonic() + START_SECONDS
    while backend.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


def measure(name: str, operations: Sequence[str], options: Sequence[str], known: Collection[str]) -> BugMeasurement:
    """Run the suite on the backend with a bug, or without one (`CLEAN`). `known`: fingerprints of clean failures."""
    selection = [part for operation in operations for part in ("--operation", operation)]
    with run_backend("" if name == CLEAN else name) as base:
        suite_run = run_suite(base, [*OPTIONS, *options, *selection], CREDENTIALS)
    failures = tuple(failure for failure in suite_run.failures if failure.fingerprint not in known)
    return BugMeasurement(
        name=name,
        detection=classify(suite_run, failures),
        exit_code=suite_run.exit_code,
        seconds=suite_run.seconds,
        flaky=suite_run.flaky,
        operations=tuple(operations),
        failures=failures,
        reasons=suite_run.reasons,
    )


def classify(suite_run: SuiteRun, failures: Sequence[FailedCheck]) -> str:
    """Return `blocking`, `gap` or `missed`. `failures`: those that clean runs do not have."""
    reproducible = [failure for failure in failures if failure.is_steady]
    if suite_run.exit_code == EXIT_FAILED and any(failure.is_blocking for failure in reproducible):
        return "blocking"
    return "gap" if reproducible else "missed"


def load_known_failures(files: Sequence[Path]) -> frozenset[str]:
    """Return the fingerprints of the failures of clean runs. `files`: their output."""
    measurements = [entry for file in files for entry in json.loads(file.read_text(encoding="utf-8"))]
    return frozenset(failure["fingerprint"] for entry in measurements for failure in entry["failures"])


def summarize(measurements: Sequence[BugMeasurement]) -> str:
    """Return a line with the number of runs by detection."""
    count = {name: sum(entry.detection == name for entry in measurements) for name in ("blocking", "gap", "missed")}
    return f"{len(measurements)} runs: " + ", ".join(f"{number} {name}" for name, number in count.items())


def _format_line(measurement: BugMeasurement, *, show_failures: bool) -> str:
    line = f"{measurement.name:42} {measurement.detection:9} exit {measurement.exit_code} {measurement.seconds:6.1f} s"
    if not show_failures:
        return line
    failures = sorted(measurement.failures, key=lambda failure: (not failure.is_steady, not failure.is_blocking))
    names = dict.fromkeys(
        f"{failure.check} on {failure.operation} {failure.parameter}".rstrip() for failure in failures
    )
    return f"{line}  {', '.join(list(names)[:3])}"


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.backends.php.measure", description=__doc__)
    parser.add_argument("bug", nargs="*", help=f"names of bugs, or {CLEAN} for the backend without a bug")
    parser.add_argument("--seen", action="store_true", help="measure the bugs that may be used to improve the suite")
    parser.add_argument(
        "--unseen", action="store_true", help="measure the held-out bugs, without printing names of checks"
    )
    parser.add_argument(
        "--round",
        type=int,
        choices=sorted({bug.round for bug in load_bugs().values()}),
        help="measure the bugs of one round; with --seen or --unseen, only those",
    )
    parser.add_argument(
        "--clean", type=Path, action="append", default=[], help="output of a clean run, to compare with"
    )
    parser.add_argument("--all-operations", action="store_true", help="do not select operations by the bug's location")
    parser.add_argument(
        "--option", action="append", default=[], help="further option of the suite, as --option=--strict"
    )
    parser.add_argument("--workers", type=int, default=1, help="parallel runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the results")
    options = parser.parse_args(arguments)
    known_names = {CLEAN, *load_bugs()}
    for name in set(options.bug) - known_names:
        parser.error(f"unknown bug {name!r} (expected a name in {FOLDER.name}/bugs.json, or {CLEAN})")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the selected bugs; print a line and update the JSON file after each. Return 0."""
    options = _parse_arguments(arguments)
    bugs = load_bugs()
    names = [*options.bug, *select_bugs(bugs, seen=options.seen, unseen=options.unseen, round_number=options.round)]
    known, suite_options = load_known_failures(options.clean), ["--seed", str(options.seed), *options.option]
    measurements: list[BugMeasurement] = []

    def measure_one(name: str) -> BugMeasurement:
        is_partial = name != CLEAN and not options.all_operations
        return measure(name, select_operations(bugs[name].location) if is_partial else (), suite_options, known)

    with ThreadPoolExecutor(options.workers) as pool:
        for future in as_completed([pool.submit(measure_one, name) for name in names]):
            measurements.append(future.result())
            name = measurements[-1].name
            show_failures = not options.unseen and (name in options.bug or bugs[name].seen)
            sys.stdout.write(_format_line(measurements[-1], show_failures=show_failures) + "\n")
            sys.stdout.flush()
            content = json.dumps([asdict(entry) for entry in measurements], indent=1)
            options.output.write_text(content + "\n", encoding="utf-8")
    sys.stdout.write(summarize(measurements) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
