"""How far a run is, for who waits: one line that renews itself on a terminal, a line now and then in a log."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TextIO

from conformance.results import CheckResult, Status

LOG_INTERVAL = 30.0  # seconds from one line to the next where there is no terminal
TERMINAL_INTERVAL = 0.1  # and on a terminal, which is slower to draw than a run is to judge
CLEAR_LINE = "\r\x1b[K"


@dataclass(slots=True)
class Progress:
    """`cases`: (law, operationId) of each case. `deadline`: when the run's time is up, by `clock`; None: never."""

    cases: Iterable[tuple[str, str]]
    stream: TextIO
    deadline: float | None = None
    clock: Callable[[], float] = time.monotonic
    _started_operations: set[str] = field(default_factory=set, init=False)
    _pending_cases: set[tuple[str, str]] = field(default_factory=set, init=False)
    _case_count: int = field(default=0, init=False)
    _operation_count: int = field(default=0, init=False)
    _request_count: int = field(default=0, init=False)
    _failure_count: int = field(default=0, init=False)
    _start_time: float = field(default=0.0, init=False)
    _next_update: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._pending_cases = set(self.cases)
        self._case_count, self._operation_count = (
            len(self._pending_cases),
            len({operation for _, operation in self._pending_cases}),
        )
        self._start_time = self.clock()
        self._next_update = self._start_time + (TERMINAL_INTERVAL if self.stream.isatty() else LOG_INTERVAL)

    def record_result(self, result: CheckResult) -> None:
        """Count what became of a promise, and say so when it is time."""
        case = (result.requirement.check, result.requirement.operation)
        if case in self._pending_cases:
            self._pending_cases.remove(case)
            self._started_operations.add(case[1])
        self._failure_count += result.status is Status.FAILED
        self._update()

    def finish_cases(self) -> None:
        """All cases were judged; those that nothing was said of have nothing to say."""
        self._started_operations |= {operation for _, operation in self._pending_cases}
        self._pending_cases.clear()

    def record_request(self) -> None:
        """Count a request, and say so when it is time: the engine judges only when it has asked all that it asks."""
        self._request_count += 1
        self._update()

    def _update(self) -> None:
        now = self.clock()
        if now >= self._next_update:
            on_terminal = self.stream.isatty()
            self._next_update = now + (TERMINAL_INTERVAL if on_terminal else LOG_INTERVAL)
            line = self.format_line(now)
            self._write(f"{CLEAR_LINE}{line}" if on_terminal else f"{line}\n")

    def clear(self) -> None:
        """Take the line off a terminal."""
        if self.stream.isatty():
            self._write(CLEAR_LINE)

    def format_line(self, now: float) -> str:
        """``75 of 75 operations asked, 210 of 900 cases, 0 failures, 1200 requests, about 12 s left``.

        A run goes law by law; once no case is left, the engine asks, for no longer than the time that the run has.
        """
        cases_done = self._case_count - len(self._pending_cases)
        failures = f"{self._failure_count} failure" + ("" if self._failure_count == 1 else "s")
        text = f"{len(self._started_operations)} of {self._operation_count} operations asked, {cases_done} of {self._case_count} cases, {failures}"
        text += f", {self._request_count} requests" if self._request_count else ""
        seconds_left = self._seconds_left(cases_done, now)
        qualifier = "about" if self._pending_cases else "at most"
        return text if seconds_left is None else f"{text}, {qualifier} {max(0.0, seconds_left):.0f} s left"

    def _seconds_left(self, cases_done: int, now: float) -> float | None:
        """Seconds, by what was done until now, and no more than the run may take."""
        estimates = (
            [(now - self._start_time) / cases_done * len(self._pending_cases)]
            if cases_done and self._pending_cases
            else []
        )
        limits = [self.deadline - now] if self.deadline is not None else []
        return min((*estimates, *limits), default=None)

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
