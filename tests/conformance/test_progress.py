"""The line that says how far a run is."""

from io import StringIO

from conformance.outcome import Outcome, Promise, Verdict
from conformance.progress import CLEAR, EVERY, Progress


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


def outcome(law: str, operation: str, verdict: Verdict = Verdict.KEPT) -> Outcome:
    """What became of a promise."""
    return Outcome(Promise(law, operation, "", "#", "inferred"), verdict)


def test_a_log_gets_a_line_now_and_then() -> None:
    clock, out = Clock(), StringIO()
    progress = Progress(DUE, out, None, clock)
    clock.now += EVERY - 1
    progress.told(outcome("law-a", "one"))
    assert out.getvalue() == ""
    clock.now += 1
    progress.told(outcome("law-b", "one", Verdict.BROKEN))
    progress.told(outcome("law-b", "one"))
    assert out.getvalue() == "1 of 2 operations asked, 2 of 4 cases, 1 failure, about 30 s left\n"
    progress.end()
    assert CLEAR not in out.getvalue()


def test_a_terminal_gets_one_line_that_is_taken_off() -> None:
    clock, out = Clock(), Terminal()
    progress = Progress(DUE, out, None, clock)
    clock.now += 1
    progress.told(outcome("law-a", "two"))
    progress.end()
    assert out.getvalue() == f"{CLEAR}1 of 2 operations asked, 1 of 4 cases, 0 failures, about 3 s left{CLEAR}"


def test_the_time_left_is_no_more_than_the_run_has() -> None:
    clock, out = Clock(), StringIO()
    progress = Progress(DUE, out, clock.now + EVERY + 2, clock)
    clock.now += EVERY
    progress.told(outcome("law-a", "one"))
    assert out.getvalue().endswith("about 2 s left\n")


def test_an_outcome_that_nobody_waited_for_is_no_case() -> None:
    clock, out = Clock(), StringIO()
    progress = Progress(DUE, out, None, clock)
    clock.now += EVERY
    progress.told(outcome("law-c", "three", Verdict.BROKEN))
    assert out.getvalue() == "0 of 2 operations asked, 0 of 4 cases, 1 failure\n"


def test_requests_move_the_line_when_no_case_is_left() -> None:
    clock, out = Clock(), StringIO()
    progress = Progress(DUE, out, clock.now + 100, clock)
    progress.told(outcome("law-a", "one"))
    progress.through()
    clock.now += EVERY
    progress.asked()
    assert out.getvalue() == "2 of 2 operations asked, 4 of 4 cases, 0 failures, 1 requests, at most 70 s left\n"
