"""`python -m tests.reference_backend.judge [BUG ...]`: judges the backend with each bug, and prints what was found.

The suite is run as a user runs it, over HTTP, on all operations of the resources that a bug touches: so a report may
well name a wrong one. A bug is found when the run ends with 1 and a broken promise is on one of the bug's operations.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.reference_backend.bugs import BUGS
from tests.reference_backend.process import ROOT, TOKENS, serving

# What the backend serves, by what is judged together.
FAMILIES: tuple[tuple[str, ...], ...] = (
    ("signIn", "logout", "getAuthenticatedUser", "getAuthenticatedUserByAppToken"),
    ("listWorkspaces", "retrieveWorkspace", "updateWorkspace", "deleteWorkspace"),
    ("listAgents", "createAgent", "retrieveAgent", "updateAgent", "deleteAgent"),
    ("listThreads", "createThread", "retrieveThread", "updateThread", "deleteThread"),
    ("listMessages", "createMessage", "retrieveMessage", "updateMessage", "deleteMessage"),
)
OPERATIONS = tuple(operation for family in FAMILIES for operation in family)
BROKEN = 1  # exit code


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise: `blocks`: also without --strict."""

    law: str
    operation: str
    parameter: str
    said: str
    blocks: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run said: its exit code under its policy, what was broken, and how much was judged."""

    code: int
    broken: tuple[Finding, ...]
    flaky: int
    judged: int
    reasons: tuple[str, ...]
    seconds: float

    def on(self, operations: Iterable[str]) -> Iterator[Finding]:
        """What is broken of some operations, blocking ones first."""
        wanted = tuple(operations)
        yield from sorted((f for f in self.broken if f.operation in wanted), key=lambda found: not found.blocks)


def run(
    base: str,
    operations: Iterable[str],
    *,
    strict: bool = True,
    seed: int = 0,
    engine: bool = False,
    more: Sequence[str] = (),
) -> Judged:
    """The suite on a backend, as a process.

    `engine`: with the stock engine's cases too, which take their time. `more`: further options.
    """
    with tempfile.TemporaryDirectory(prefix="judged-") as folder:
        asked = [part for operation in operations for part in ("--operation", operation)]
        command = [sys.executable, "-m", "conformance", "run", "--base-url", base, "--seed", str(seed)]
        asked += ["--consistency-timeout", "1"]  # its writes are seen at once
        asked += [*(["--strict"] if strict else []), *([] if engine else ["--no-fuzzing"]), *more]
        around = os.environ | {"ATHENA_TOKEN": TOKENS[0], "ATHENA_OTHER_TOKEN": TOKENS[1]}
        around |= {"ATHENA_LOGIN": "ada.lindqvist@example.com", "ATHENA_PASSWORD": "password"}
        done = subprocess.run(
            [*command, *asked, "--report-dir", folder],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=around,
            check=False,
        )
        report = Path(folder) / "conformance.json"
        if not report.exists():
            raise RuntimeError(f"the suite ended with {done.returncode}: {done.stdout}{done.stderr}")
        return _judged(done.returncode, json.loads(report.read_text(encoding="utf-8")))


def _judged(code: int, report: dict[str, Any]) -> Judged:
    broken = tuple(
        Finding(p["law"], p["operation"], p["parameter"], p["said"], p["always"] or p["grade"] != "inferred")
        for p in report["promises"]
        if p["verdict"] == "broken"
    )
    counts, reasons = report["counts"], tuple(report["verdict"]["reasons"])
    return Judged(code, broken, counts["flaky"], counts["judged"], reasons, report["run"]["seconds"])


def scope(bug: str) -> list[str]:
    """All operations of the resources that a bug touches."""
    touched = {*BUGS[bug].operations, *BUGS[bug].asked}
    return [operation for family in FAMILIES if touched & set(family) for operation in family]


def judge(bug: str, operations: Iterable[str] = (), *, engine: bool = False) -> Judged:
    """A fresh backend with a bug, judged under --strict on some operations; without: on all that it touches."""
    with serving(bug) as base:
        return run(base, operations or scope(bug), engine=engine, more=("--mutable-record", f"Workspace={lent(base)}"))


def lent(base: str) -> str:
    """The key of the workspace that a run may change: none can be created."""
    answer = httpx.get(f"{base}/user", headers={"Authorization": f"Bearer {TOKENS[0]}"}).raise_for_status()
    return str(answer.json()["data"]["primary_workspace"]["uuid"])


def row(bug: str, judged: Judged) -> str:
    """A line of the table: found or not, under which policy, by which law on which operation."""
    right = list(judged.on(BUGS[bug].operations))
    if judged.code != BROKEN or not right:
        others = ", ".join(sorted({f"{f.law} on {f.operation}" for f in judged.broken})) or "nothing broken"
        return f"{bug:36} MISSED  {judged.seconds:5.1f} s  exit {judged.code}; {others}; {judged.flaky} flaky"
    policy = "default" if any(finding.blocks for finding in judged.broken) else "strict "
    laws = ", ".join(dict.fromkeys(f"{f.law} on {f.operation}" for f in right[:4]))
    return f"{bug:36} {policy} {judged.seconds:5.1f} s  {laws}"


def found(bug: str, judged: Judged) -> bool:
    """Whether a run with a bug ended with 1, on one of the bug's operations."""
    return judged.code == BROKEN and any(judged.on(BUGS[bug].operations))


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print the table; 0 when every bug was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.reference_backend.judge", description=__doc__)
    parser.add_argument("bug", nargs="*", choices=[[], *BUGS], help="default: all")
    parser.add_argument("--workers", type=int, default=2, help="how many at once")
    parser.add_argument("--engine", action="store_true", help="with the stock engine's cases too")
    options = parser.parse_args(arguments)
    bugs = options.bug or list(BUGS)
    missed = 0
    with ThreadPoolExecutor(options.workers) as pool:
        for bug, judged in zip(bugs, pool.map(lambda bug: judge(bug, engine=options.engine), bugs), strict=True):
            missed += not found(bug, judged)
            sys.stdout.write(row(bug, judged) + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(bugs) - missed} of {len(bugs)} bugs found\n")
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
