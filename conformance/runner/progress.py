"""Progress of a run: one line that is redrawn on a terminal (by rich), or a line every 30 seconds in a log."""

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TextIO

from conformance.results import CheckResult, Status

LOG_INTERVAL = 30.0  # seconds between lines without a terminal
TERMINAL_INTERVAL = 0.1  # seconds between redraws; drawing is slower than a check


@dataclass(slots=True)
class Progress:
    """Counts cases and requests. `cases`: (check id, operationId). `deadline`: end of the run by `clock`, or None."""

    cases: Collection[tuple[str, str]]
    stream: TextIO
    deadline: float | None = None
    clock: Callable[[], float] = time.monotonic
    _cases_done: set[tuple[str, str]] = field(default_factory=set, init=False)
    _request_count: int = field(default=0, init=False)
    _failure_count: int = field(default=0, init=False)
    _start_time: float = field(init=False)
    _next_update: float = field(init=False)
    _display: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._start_time = self.clock()
        self._next_update = self._start_time + self._interval

    def record_result(self, result: CheckResult) -> None:
        """Count a result and update the display if the interval has passed."""
        case = (result.requirement.check, result.requirement.operation)
        if case in self.cases:
            self._cases_done.add(case)
        self._failure_count += result.status is Status.FAILED
        self._update()

    def finish_cases(self) -> None:
        """Count all cases as done, including those without a result."""
        self._cases_done.update(self.cases)

    def record_request(self) -> None:
        """Count a request; Schemathesis reports results only at its end."""
        self._request_count += 1
        self._update()

    def _update(self) -> None:
        now = self.clock()
        if now < self._next_update:
            return
        self._next_update = now + self._interval
        line = self.format_line(now)
        try:
            if self.stream.isatty():
                self._draw(line)
            else:
                self.stream.write(f"{line}\n")
                self.stream.flush()
        except OSError:  # the run does not depend on its progress line
            self._next_update = math.inf

    @property
    def _interval(self) -> float:
        return TERMINAL_INTERVAL if self.stream.isatty() else LOG_INTERVAL

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
        started, operations = ({operation for _, operation in cases} for cases in (self._cases_done, self.cases))
        parts = [
            f"{len(started)} of {len(operations)} operations",
            f"{len(self._cases_done)} of {len(self.cases)} cases",
            f"{self._failure_count} failure" + ("" if self._failure_count == 1 else "s"),
        ]
        parts += [f"{self._request_count} requests"] if self._request_count else []
        pending_count = len(self.cases) - len(self._cases_done)
        limits = [self.deadline - now] if self.deadline is not None else []
        if self._cases_done and pending_count:  # from the average per case
            limits.append((now - self._start_time) / len(self._cases_done) * pending_count)
        if limits:
            parts.append(f"{'about' if pending_count else 'at most'} {max(0.0, min(limits)):.0f} s left")
        return ", ".join(parts)
