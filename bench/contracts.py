"""Serve OpenAPI files and count the results: python -m bench.contracts FILE... [--code FOLDER] [--suite]

Prints one row of a Markdown table for each file, then the problems. `--code` measures another source tree, such as the
worktree of an older commit.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.contracts.mock_command import Refusal, StartedMock, serve_contract
from tests.contracts.sample_requests import SampleRequests, find_response_problems

ROOT = Path(__file__).parents[1]
COLUMNS = ("operations", "static", "stateful", "5xx", "rejected", "invalid", "not requested")
STATIC_NOTE = "example"  # in X-Mock-Note of a response that is not from the store
MAX_PROBLEM_LINES = 8


@dataclass(slots=True)
class Measurement:
    """The results of a file. `counts`: by column; `suite_status`: exit status of the suite."""

    file: Path
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    refusal: Refusal | None = None
    start_seconds: float = 0.0
    suite_status: str = "-"

    def format_row(self) -> str:
        """Return the row of the table."""
        name = self.file.name
        if self.refusal is not None:
            problems = "problem" if len(self.refusal.problems) == 1 else "problems"
            return f"| {name} | refused, {len(self.refusal.problems)} {problems} |" + " - |" * (len(COLUMNS) + 2)
        cells = " | ".join(str(self.counts[column]) for column in COLUMNS)
        return f"| {name} | served | {cells} | {self.start_seconds:.1f} s | {self.suite_status} |"


def measure_file(path: Path, code: Path, *, runs_suite: bool, suite_options: list[str]) -> Measurement:
    """Serve a file and send one valid request for each operation."""
    measurement = Measurement(path)
    with TemporaryDirectory() as cache:
        started_at = time.monotonic()
        with serve_contract(path, code, Path(cache)) as mock:
            measurement.start_seconds = time.monotonic() - started_at
            if isinstance(mock, Refusal):
                measurement.refusal = mock
                measurement.problems += mock.problems
                return measurement
            send_requests(measurement, mock)
            if runs_suite:
                run_suite(measurement, mock, code, suite_options)
    return measurement


def send_requests(measurement: Measurement, mock: StartedMock) -> None:
    """Send the requests and count the responses."""
    samples, counts = SampleRequests(measurement.file), measurement.counts
    for request in samples.generate():
        reply = mock.send(request)
        counts["operations"] += 1
        counts["static" if STATIC_NOTE in reply.headers.get("x-mock-note", "") else "stateful"] += 1
        problem = ""
        if reply.status >= 500 or reply.status == 0:
            counts["5xx"] += 1
            problem = f"{reply.status} {reply.body[:200]!r}"
        elif reply.status >= 400 and not may_fail(request.case.operation.definition.raw, reply.status):
            counts["rejected"] += 1
            problem = f"{reply.status} {reply.body[:300]!r} for {request.target[:100]} {request.body[:200]!r}"
        elif problems := find_response_problems(request, reply):
            counts["invalid"] += 1
            problem = f"{reply.status}: {problems[0]}"
        if problem:
            measurement.problems.append(f"{request.label}: {problem}")
    counts["operations"] += len(samples.failures)
    counts["not requested"] = len(samples.failures)
    measurement.problems += [f"{label}: not requested: {reason}" for label, reason in samples.failures.items()]


def may_fail(operation: Mapping[str, Any], status: int) -> bool:
    """Whether a valid request may get this error: a documented 404 or 409 of a record, or there are only errors."""
    documented = {str(code) for code in operation.get("responses", {})}
    return (status in (404, 409) and str(status) in documented) or all(code[0] in "45" for code in documented)


def run_suite(measurement: Measurement, mock: StartedMock, code: Path, options: list[str]) -> None:
    """Run the conformance suite on the mock and keep its exit status."""
    command = [sys.executable, "-m", "conformance", "run", "--strict", "--base-url", mock.base_url, *options]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ATHENA_")}
    environment |= {"PYTHONPATH": str(code), "ATHENA_TOKEN": "demo-token", "ATHENA_OTHER_TOKEN": "other-token"}
    command += ["--contract", str(measurement.file.absolute())]
    done = subprocess.run(command, cwd=code, env=environment, capture_output=True, text=True, check=False)
    measurement.suite_status = str(done.returncode)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()
        measurement.problems += [f"suite: {line}" for line in lines if line.strip()][-30:]


def main(arguments: list[str]) -> int:
    """Measure the files; return 1 if a file is served with problems."""
    parser = argparse.ArgumentParser(prog="python -m bench.contracts", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--code", type=Path, default=ROOT, help="source tree to measure (default: this one)")
    parser.add_argument("--suite", action="store_true", help="also run the conformance suite")
    parser.add_argument("--suite-option", action="append", default=[], help="option of the suite; repeatable")
    parser.add_argument("--problems", type=int, default=MAX_PROBLEM_LINES, help="printed problems of a file")
    options = parser.parse_args(arguments)
    print(f"| file | result | {' | '.join(COLUMNS)} | start | suite |\n|---|---|" + "--:|" * (len(COLUMNS) + 2))
    has_problems = False
    for path in options.files:
        measurement = measure_file(path, options.code, runs_suite=options.suite, suite_options=options.suite_option)
        print(measurement.format_row(), flush=True)
        for problem in measurement.problems[: options.problems]:
            print(f"{path.name}: {problem}", file=sys.stderr, flush=True)
        has_problems |= measurement.refusal is None and bool(measurement.problems)
    return int(has_problems)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
