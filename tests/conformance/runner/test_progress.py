"""The display of the progress of a run."""

import subprocess
import sys
from io import StringIO

from conformance.results import CheckResult, Requirement, Status
from conformance.runner.progress import LOG_INTERVAL, Progress

CLEAR_LINE = "\x1b[2K"
CASES = [("check-a", "one"), ("check-b", "one"), ("check-a", "two"), ("check-b", "two")]


class SteppedClock:
    """SteppedClock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(StringIO):
    """Text stream of a terminal."""

    def isatty(self) -> bool:
        return True


def result(check: str, operation: str, status: Status = Status.PASSED) -> CheckResult:
    """Return a result."""
    return CheckResult(Requirement(check, operation, "", "#", "inferred"), status)


def test_log_gets_one_line_per_interval() -> None:
    clock, out = SteppedClock(), StringIO()
    progress = Progress(CASES, out, None, clock)
    clock.now += LOG_INTERVAL - 1
    progress.record_result(result("check-a", "one"))
    assert out.getvalue() == ""
    clock.now += 1
    progress.record_result(result("check-b", "one", Status.FAILED))
    progress.record_result(result("check-b", "one"))
    assert out.getvalue() == "1 of 2 operations, 2 of 4 cases, 1 failure, about 30 s left\n"
    progress.clear()
    assert "\x1b" not in out.getvalue()


def test_terminal_line_is_redrawn_and_removed() -> None:
    clock, out = SteppedClock(), Terminal()
    progress = Progress(CASES, out, None, clock)
    clock.now += 1
    progress.record_result(result("check-a", "two"))
    assert "1 of 2 operations, 1 of 4 cases, 0 failures, about 3 s left" in out.getvalue()
    clock.now += 1
    progress.record_result(result("check-a", "one"))
    output = out.getvalue()
    assert "2 of 2 operations, 2 of 4 cases, 0 failures, about 2 s left" in output.rpartition(CLEAR_LINE)[2]
    progress.clear()
    assert out.getvalue().removeprefix(output).endswith(CLEAR_LINE)
    assert "\x1b[?25h" in out.getvalue()  # the cursor is visible again


def test_rich_is_imported_only_for_a_terminal() -> None:
    code = "import sys, conformance.cli.main, conformance.runner.progress; sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_time_left_is_limited_by_deadline() -> None:
    clock, out = SteppedClock(), StringIO()
    progress = Progress(CASES, out, clock.now + LOG_INTERVAL + 2, clock)
    clock.now += LOG_INTERVAL
    progress.record_result(result("check-a", "one"))
    assert out.getvalue().endswith("about 2 s left\n")


def test_result_of_unknown_case_is_not_counted_as_case() -> None:
    clock, out = SteppedClock(), StringIO()
    progress = Progress(CASES, out, None, clock)
    clock.now += LOG_INTERVAL
    progress.record_result(result("check-c", "three", Status.FAILED))
    assert out.getvalue() == "0 of 2 operations, 0 of 4 cases, 1 failure\n"


def test_requests_update_the_display_without_pending_cases() -> None:
    clock, out = SteppedClock(), StringIO()
    progress = Progress(CASES, out, clock.now + 100, clock)
    progress.record_result(result("check-a", "one"))
    progress.finish_cases()
    clock.now += LOG_INTERVAL
    progress.record_request()
    assert out.getvalue() == "2 of 2 operations, 4 of 4 cases, 0 failures, 1 requests, at most 70 s left\n"
