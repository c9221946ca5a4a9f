"""Run the conformance suite on the backend with each bug: `python -m tests.reference_backend.run_suite [BUG ...]`.

The suite runs as a command over HTTP, on all operations of the resources that a bug affects, so that it may report a
wrong operation. A bug is detected when the run exits with 1 and a check fails on one of the bug's operations.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.reference_backend.bugs import BUGS, UNDETECTED_BUGS
from tests.reference_backend.process import TOKENS, run_backend
from tests.suite_process import EXIT_FAILED, SuiteRun, run_suite

# The operations of the backend, by the groups that run together.
OPERATION_GROUPS: tuple[tuple[str, ...], ...] = (
    ("signIn", "logout", "getAuthenticatedUser", "getAuthenticatedUserByAppToken"),
    ("listWorkspaces", "retrieveWorkspace", "updateWorkspace", "deleteWorkspace"),
    ("listAgents", "createAgent", "retrieveAgent", "updateAgent", "deleteAgent"),
    ("listThreads", "createThread", "retrieveThread", "updateThread", "deleteThread"),
    ("listMessages", "createMessage", "retrieveMessage", "updateMessage", "deleteMessage"),
)
OPERATIONS = tuple(operation for group in OPERATION_GROUPS for operation in group)


def run(
    base: str,
    operations: Iterable[str],
    *,
    strict: bool = True,
    seed: int = 0,
    fuzzing: bool = False,
    options: Sequence[str] = (),
) -> SuiteRun:
    """Run the suite on a backend, as a process. `fuzzing`: with the Schemathesis engine. `options`: further options."""
    command = ["--seed", str(seed), *(part for operation in operations for part in ("--operation", operation))]
    command += ["--consistency-timeout", "1"]  # the backend's writes are visible at once
    command += [*(["--strict"] if strict else []), *([] if fuzzing else ["--no-fuzzing"]), *options]
    environment = dict(zip(("ATHENA_TOKEN", "ATHENA_OTHER_TOKEN", "ATHENA_MEMBER_TOKEN"), TOKENS, strict=True))
    environment |= {"ATHENA_LOGIN": "ada.lindqvist@example.com", "ATHENA_PASSWORD": "password"}
    return run_suite(base, command, environment)


def select_operations(bug: str) -> list[str]:
    """All operations of the resources that a bug affects."""
    affected = {*BUGS[bug].operations, *BUGS[bug].related_operations}
    return [operation for group in OPERATION_GROUPS if affected & set(group) for operation in group]


def run_with_bug(bug: str, operations: Iterable[str] = (), *, fuzzing: bool = False) -> SuiteRun:
    """Run the suite under --strict on a new backend with a bug. `operations`: default `select_operations`."""
    with run_backend(bug) as base:
        options = ("--mutable-record", f"Workspace={find_workspace_key(base)}")
        return run(base, operations or select_operations(bug), fuzzing=fuzzing, options=options)


def find_workspace_key(base: str) -> str:
    """The key of a workspace that a run may change: workspaces cannot be created."""
    response = httpx.get(f"{base}/user", headers={"Authorization": f"Bearer {TOKENS[0]}"}).raise_for_status()
    return str(response.json()["data"]["primary_workspace"]["uuid"])


def format_row(bug: str, suite_run: SuiteRun) -> str:
    """A line of the table: whether the bug was detected, under which policy, by which checks."""
    expected = list(suite_run.failures_on(BUGS[bug].operations))
    if suite_run.exit_code != EXIT_FAILED or not expected:
        others = ", ".join(sorted({f"{f.check} on {f.operation}" for f in suite_run.failures})) or "no failed check"
        return (
            f"{bug:36} MISSED  {suite_run.seconds:5.1f} s  exit {suite_run.exit_code}; {others}; "
            f"{suite_run.flaky} flaky"
        )
    policy = "default" if any(failure.is_stated for failure in suite_run.failures) else "strict "
    checks = ", ".join(dict.fromkeys(f"{f.check} on {f.operation}" for f in expected[:4]))
    return f"{bug:36} {policy} {suite_run.seconds:5.1f} s  {checks}"


def is_detected(bug: str, suite_run: SuiteRun) -> bool:
    """Whether the run failed on one of the bug's operations."""
    return suite_run.exit_code == EXIT_FAILED and any(suite_run.failures_on(BUGS[bug].operations))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite with each bug and print the table; 0 when it misses the bugs of `UNDETECTED_BUGS` and no others."""
    parser = argparse.ArgumentParser(prog="python -m tests.reference_backend.run_suite", description=__doc__)
    parser.add_argument("bug", nargs="*", choices=[[], *BUGS], help="default: all")
    parser.add_argument("--workers", type=int, default=2, help="parallel runs")
    parser.add_argument("--fuzzing", action="store_true", help="also run the Schemathesis engine")
    options = parser.parse_args(arguments)
    bugs = options.bug or list(BUGS)
    missed = []
    with ThreadPoolExecutor(options.workers) as pool:
        runs = pool.map(lambda bug: run_with_bug(bug, fuzzing=options.fuzzing), bugs)
        for bug, suite_run in zip(bugs, runs, strict=True):
            missed += [] if is_detected(bug, suite_run) else [bug]
            sys.stdout.write(format_row(bug, suite_run) + "\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(bugs) - len(missed)} of {len(bugs)} bugs detected\n")
    known = UNDETECTED_BUGS.keys() & set(bugs)
    for bug in sorted(known.symmetric_difference(missed)):
        sys.stdout.write(f"{bug}: {'missed' if bug in missed else 'detected: remove it from UNDETECTED_BUGS'}\n")
    return int(known != set(missed))


if __name__ == "__main__":
    raise SystemExit(main())
