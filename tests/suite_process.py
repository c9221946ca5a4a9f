"""Runs `athena-conformance run` on a backend as a subprocess, and reads its JSON report."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXIT_FAILED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCheck:
    """A failed check. `parameter`: the parameter or property, or "". `fingerprint`: identifies it across runs.

    `is_stated`: the requirement is not inferred. `is_blocking`: it fails the run. `is_steady`: it failed again in each
    rerun; only such failures can fail a run.
    """

    check: str
    operation: str
    parameter: str
    message: str
    fingerprint: str
    is_stated: bool
    is_blocking: bool
    is_steady: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteRun:
    """The result of a run. `checks_run`: passed and failed ones."""

    exit_code: int
    failures: tuple[FailedCheck, ...]
    flaky: int
    checks_run: int
    reasons: tuple[str, ...]
    seconds: float

    def failures_on(self, operations: Iterable[str]) -> Iterator[FailedCheck]:
        """The failures on some operations, those of stated requirements first."""
        operation_ids = tuple(operations)
        failures = (failure for failure in self.failures if failure.operation in operation_ids)
        yield from sorted(failures, key=lambda failure: not failure.is_stated)


def run_suite(base: str, options: Sequence[str], environment: Mapping[str, str]) -> SuiteRun:
    """Run the suite on the backend at `base`. `environment`: further variables, with the credentials.

    Raises RuntimeError if it writes no report.
    """
    with tempfile.TemporaryDirectory(prefix="suite-run-") as folder:
        command = [sys.executable, "-m", "conformance", "run", "--base-url", base, "--report-dir", folder, *options]
        completed = subprocess.run(
            command, capture_output=True, text=True, cwd=ROOT, env=os.environ | dict(environment), check=False
        )
        report = Path(folder) / "conformance.json"
        if not report.exists():
            raise RuntimeError(f"the suite exited with {completed.returncode}: {completed.stdout}{completed.stderr}")
        return _parse_report(completed.returncode, json.loads(report.read_text(encoding="utf-8")))


def _parse_report(exit_code: int, report: dict[str, Any]) -> SuiteRun:
    counts = report["counts"]
    return SuiteRun(
        exit_code=exit_code,
        failures=tuple(_parse_failure(result) for result in report["results"] if result["status"] == "failed"),
        flaky=counts["flaky"],
        checks_run=counts["checks_run"],
        reasons=tuple(report["verdict"]["reasons"]),
        seconds=report["run"]["seconds"],
    )


def _parse_failure(result: dict[str, Any]) -> FailedCheck:
    is_steady = result["failure_kind"] not in ("flaky", "infrastructure", "interference")
    return FailedCheck(
        **{name: result[name] for name in ("check", "operation", "parameter", "message", "fingerprint")},
        is_stated=result["provenance_independent"] or result["provenance"] != "inferred",
        is_blocking=result["blocking"] and is_steady and not result["accepted"],
        is_steady=is_steady,
    )
