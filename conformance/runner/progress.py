"""Progress of a run: one line that is redrawn on a terminal (by rich), or a line every 30 seconds in a log."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TextIO

from conformance.results import CheckResult, Status

LOG_INTERVAL = 30.0  # seconds between lines without a terminal
TERMINAL_INTERVAL = 0.1  # seconds between redraws; drawing is slower than a check


@dataclass(slots=True)
class Progress:
    """Counts cases and requests. `cases`: (check id, operationId). `deadline`: end of the run by `clock`, or None."""

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
    _display: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._pending_cases = set(self.cases)
        self._case_count = len(self._pending_cases)
        self._operation_count = len({operation for _, operation in self._pending_cases})
        self._start_time = self.clock()
        self._next_update = self._start_time + (TERMINAL_INTERVAL if self.stream.isatty() else LOG_INTERVAL)

    def record_result(self, result: CheckResult) -> None:
        """Count a result and update the display if the interval has passed."""
        case = (result.requirement.check, result.requirement.operation)
        if case in self._pending_cases:
            self._pending_cases.remove(case)
            self._started_operations.add(case[1])
        self._failure_count += result.status is Status.FAILED
        self._update()

    def finish_cases(self) -> None:
        """Count all cases as done, including those without a result."""
        self._started_operations |= {operation for _, operation in self._pending_cases}
        self._pending_cases.clear()

    def record_request(self) -> None:
        """Count a request; Schemathesis reports results only at its end."""
        self._request_count += 1
        self._update()

    def _update(self) -> None:
        now = self.clock()
        if now < self._next_update:
            return
        line = self.format_line(now)
        if self.stream.isatty():
            self._next_update = now + TERMINAL_INTERVAL
            self._draw(line)
        else:
            self._next_update = now + LOG_INTERVAL
            self.stream.write(f"{line}\n")
            self.stream.flush()

    def _draw(self, line: str) -> None:
        from rich.text import Text  # imported lazily: most runs have no terminal

        if self._display is None:
            from rich.console import Console
            from rich.live import Live

            console = Console(file=self.stream)
            self._display = Live(
                console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._display.start()
        self._display.update(Text(line, no_wrap=True, overflow="ellipsis"), refresh=True)

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self._display is not None:
            self._display.stop()
            self._display = None

    def format_line(self, now: float) -> str:
        """Return ``75 of 75 operations, 210 of 900 cases, 0 failures, 1200 requests, about 12 s left``.

        Once no case is pending, Schemathesis runs, at most until the deadline.
        """
        cases_done = self._case_count - len(self._pending_cases)
        parts = [
            f"{len(self._started_operations)} of {self._operation_count} operations",
            f"{cases_done} of {self._case_count} cases",
            f"{self._failure_count} failure" + ("" if self._failure_count == 1 else "s"),
        ]
        parts += [f"{self._request_count} requests"] if self._request_count else []
        seconds_left = self._seconds_left(cases_done, now)
        if seconds_left is not None:
            parts.append(f"{'about' if self._pending_cases else 'at most'} {max(0.0, seconds_left):.0f} s left")
        return ", ".join(parts)

    def _seconds_left(self, cases_done: int, now: float) -> float | None:
        """Estimate the remaining seconds from the average per case, limited by the deadline."""
        limits = [self.deadline - now] if self.deadline is not None else []
        if cases_done and self._pending_cases:
            limits.append((now - self._start_time) / cases_done * len(self._pending_cases))
        return min(limits, default=None)
