"""The line that says how far a run is."""

from io import StringIO

from conformance.results import CheckResult, Requirement, Status
from conformance.runner.progress import CLEAR_LINE, LOG_INTERVAL, Progress


class Clock:
    """Seconds that a test moves by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(StringIO):
    """A file that says it is a terminal."""

    def isatty(self) -> bool:
        return True


DUE = [("law-a", "one"), ("law-b", "one"), ("law-a", "two"), ("law-b", "two")]


def outcome(law: str, operation: str, verdict: Status = Status.PASSED) -> CheckResult:
    """What became of a promise."""
    return CheckResult(Requirement(law, operation, "", "#", "inferred"), verdict)


def test_a_log_gets_a_line_now_and_then() -> None:
    clock, out = Clock(), StringIO()
    progress = Progress(DUE, out, None, clock)
    clock.now += LOG_INTERVAL - 1
    progress.record_result(outcome("law-a", "one"))
    assert out.getvalue() == ""
    clock.now += 1
    progress.record_result(outcome("law-b", "one", Status.FAILED))
    progress.record_result(outcome("law-b", "one"))
    assert out.getvalue() == "1 of 2 operations asked, 2 of 4 cases, 1 failure, about 30 s left\n"
    progress.clear()
    assert CLEAR_LINE not in out.getvalue()


def test_a_terminal_gets_one_line_that_is_taken_off() -> None:
    clock, out = Clock(), Terminal()
    progress = Progress(DUE, out, None, clock)
    clock.now += 1
    progress.record_result(outcome("law-a", "two"))
    progress.clear()
    assert (
        out.getvalue() == f"{CLEAR_LINE}1 of 2 operations asked, 1 of 4 cases, 0 failures, about 3 s left{CLEAR_LINE}"
    )


def test_the_time_left_is_no_more_than_the_run_has() -> None:
    clock, out = Clock(), StringIO()
    progress = Progress(DUE, out, clock.now + LOG_INTERVAL + 2, clock)
    clock.now += LOG_INTERVAL
    progress.record_result(outcome("law-a", "one"))
    assert out.getvalue().endswith("about 2 s left\n")


def test_an_outcome_that_nobody_waited_for_is_no_case() -> None:
    clock, out = Clock(), StringIO()
    progress = Progress(DUE, out, None, clock)
    clock.now += LOG_INTERVAL
    progress.record_result(outcome("law-c", "three", Status.FAILED))
    assert out.getvalue() == "0 of 2 operations asked, 0 of 4 cases, 1 failure\n"


def test_requests_move_the_line_when_no_case_is_left() -> None:
    clock, out = Clock(), StringIO()
    progress = Progress(DUE, out, clock.now + 100, clock)
    progress.record_result(outcome("law-a", "one"))
    progress.finish_cases()
    clock.now += LOG_INTERVAL
    progress.record_request()
    assert out.getvalue() == "2 of 2 operations asked, 4 of 4 cases, 0 failures, 1 requests, at most 70 s left\n"
