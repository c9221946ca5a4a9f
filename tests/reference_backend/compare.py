"""Compare the suite with stock Schemathesis on the backend: `python -m tests.reference_backend.compare`.

Bugs are sampled evenly. Both tools test the operations that a bug affects, on a new backend each. The suite runs its
checks with the default policy; Schemathesis runs all its checks and phases in the same time. It detects a bug if a
check fails on an operation on which it does not fail without the bug. Prints a Markdown table.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.reference_backend.bugs import BUGS
from tests.reference_backend.process import ROOT, TOKENS, run_backend
from tests.reference_backend.run_suite import find_workspace_key, run
from tests.suite_process import EXIT_FAILED

CONTRACT = ROOT / "spec" / "openapi.yaml"
BUG_STEP = 6
MAX_EXAMPLES = 50
MIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class BugReport:
    """What a tool reports on a bug. `gaps`: failures that do not block."""

    failures: tuple[str, ...]
    gaps: tuple[str, ...]
    seconds: float

    @property
    def table_cell(self) -> str:
        """A cell of the table: the first failure, or the first gap, the number of others, and the duration."""
        names = self.failures or self.gaps
        if not names:
            return f"no failure, {self.seconds:.0f} s"
        kind = "" if self.failures else " (contract gap)"
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        return f"**{names[0]}**{kind}{more}, {self.seconds:.0f} s"


def list_operations(bug: str) -> tuple[str, ...]:
    """Return the operations that a bug affects."""
    return (*BUGS[bug].operations, *BUGS[bug].related_operations)


def run_gate(bug: str) -> BugReport:
    """Run the checks of the suite with its default policy, without its Schemathesis engine."""
    started = time.monotonic()
    with run_backend(bug) as base:
        options = ("--mutable-record", f"Workspace={find_workspace_key(base)}")
        suite_run = run(base, list_operations(bug), strict=False, fuzzing=False, options=options)
    failures = suite_run.failures_on(BUGS[bug].operations)
    names = tuple(dict.fromkeys(f"{failure.check} {failure.operation}" for failure in failures))
    seconds = time.monotonic() - started
    is_detected = suite_run.exit_code == EXIT_FAILED
    return BugReport(names if is_detected else (), () if is_detected else names, seconds)


def run_schemathesis(bug: str, operations: Sequence[str], seconds: int) -> frozenset[str]:
    """Return ``check operation`` for each failure of Schemathesis. `bug`: "" for none."""
    with run_backend(bug) as base, tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(CONTRACT), "--url", base]
        command += ["--header", f"Authorization: Bearer {TOKENS[0]}", "--workers", "1", "--seed", "1"]
        command += ["--max-examples", str(MAX_EXAMPLES), "--max-time", str(seconds)]
        command += [part for operation in operations for part in ("--include-operation-id", operation)]
        command += ["--report", "json", "--report-json-path", str(report)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise RuntimeError(f"schemathesis exited with {done.returncode}: {done.stdout}{done.stderr}")
        failures = json.loads(report.read_text(encoding="utf-8"))["failures"]
    return frozenset(
        f"{failure['code']} {failure['title']}: {o}" for failure in failures for o in failure["operations"]
    )


@cache
def find_failures_without_bug(operations: tuple[str, ...], seconds: int) -> frozenset[str]:
    """Return the failures of Schemathesis on the backend without a bug."""
    return run_schemathesis("", operations, seconds)


def compare(bug: str) -> tuple[BugReport, BugReport]:
    """Run both tools on the backend with a bug."""
    gate = run_gate(bug)
    operations, seconds = list_operations(bug), max(MIN_SECONDS, round(gate.seconds))
    started = time.monotonic()
    failures = run_schemathesis(bug, operations, seconds)
    duration = time.monotonic() - started
    new = sorted(failures - find_failures_without_bug(operations, 2 * MIN_SECONDS))
    return gate, BugReport(tuple(new), (), duration)


def iter_rows(bugs: Sequence[str]) -> Iterator[tuple[str, BugReport, BugReport]]:
    """Yield each bug with the results of both tools."""
    for bug in bugs:
        yield (bug, *compare(bug))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.reference_backend.compare", description=__doc__)
    parser.add_argument("bug", nargs="*", choices=[[], *BUGS], help=f"default: one of {BUG_STEP}")
    options = parser.parse_args(arguments)
    bugs = options.bug or list(BUGS)[::BUG_STEP]
    sys.stdout.write("| bug | the suite | stock Schemathesis |\n|---|---|---|\n")
    counts = {"suite": 0, "suite with gaps": 0, "Schemathesis": 0}
    for bug, gate, schemathesis in iter_rows(bugs):
        sys.stdout.write(f"| {BUGS[bug].description} | {gate.table_cell} | {schemathesis.table_cell} |\n")
        sys.stdout.flush()
        counts["suite"] += bool(gate.failures)
        counts["suite with gaps"] += bool(gate.failures or gate.gaps)
        counts["Schemathesis"] += bool(schemathesis.failures)
    totals = ", ".join(f"{name} {number}" for name, number in counts.items())
    sys.stdout.write(f"\n{len(bugs)} bugs: {totals}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
