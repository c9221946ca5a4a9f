"""How far a run is, for who waits: one line that renews itself on a terminal, a line now and then in a log."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TextIO

from conformance.outcome import Outcome, Verdict

EVERY = 30.0  # seconds from one line to the next where there is no terminal
SHORTEST = 0.1  # and on a terminal, which is slower to draw than a run is to judge
CLEAR = "\r\x1b[K"


@dataclass(slots=True)
class Progress:
    """`due`: (law, operationId) of each case. `until`: when the run's time is up, by `clock`; None: never."""

    due: Iterable[tuple[str, str]]
    out: TextIO
    until: float | None = None
    clock: Callable[[], float] = time.monotonic
    _asked: set[str] = field(default_factory=set, init=False)
    _waiting: set[tuple[str, str]] = field(default_factory=set, init=False)
    _cases: int = field(default=0, init=False)
    _operations: int = field(default=0, init=False)
    _requests: int = field(default=0, init=False)
    _failures: int = field(default=0, init=False)
    _began: float = field(default=0.0, init=False)
    _next: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._waiting = set(self.due)
        self._cases, self._operations = len(self._waiting), len({operation for _, operation in self._waiting})
        self._began = self.clock()
        self._next = self._began + (SHORTEST if self.out.isatty() else EVERY)

    def told(self, outcome: Outcome) -> None:
        """Count what became of a promise, and say so when it is time."""
        case = (outcome.promise.law, outcome.promise.operation)
        if case in self._waiting:
            self._waiting.remove(case)
            self._asked.add(case[1])
        self._failures += outcome.verdict is Verdict.BROKEN
        self._say()

    def through(self) -> None:
        """All cases were judged; those that nothing was said of have nothing to say."""
        self._asked |= {operation for _, operation in self._waiting}
        self._waiting.clear()

    def asked(self) -> None:
        """Count a request, and say so when it is time: the engine judges only when it has asked all that it asks."""
        self._requests += 1
        self._say()

    def _say(self) -> None:
        now = self.clock()
        if now >= self._next:
            on_terminal = self.out.isatty()
            self._next = now + (SHORTEST if on_terminal else EVERY)
            line = self.line(now)
            self._write(f"{CLEAR}{line}" if on_terminal else f"{line}\n")

    def end(self) -> None:
        """Take the line off a terminal."""
        if self.out.isatty():
            self._write(CLEAR)

    def line(self, now: float) -> str:
        """``75 of 75 operations asked, 210 of 900 cases, 0 failures, 1200 requests, about 12 s left``.

        A run goes law by law; once no case is left, the engine asks, for no longer than the time that the run has.
        """
        done = self._cases - len(self._waiting)
        failures = f"{self._failures} failure" + ("" if self._failures == 1 else "s")
        said = f"{len(self._asked)} of {self._operations} operations asked, {done} of {self._cases} cases, {failures}"
        said += f", {self._requests} requests" if self._requests else ""
        left = self._left(done, now)
        about = "about" if self._waiting else "at most"
        return said if left is None else f"{said}, {about} {max(0.0, left):.0f} s left"

    def _left(self, done: int, now: float) -> float | None:
        """Seconds, by what was done until now, and no more than the run may take."""
        guessed = [(now - self._began) / done * len(self._waiting)] if done and self._waiting else []
        bounded = [self.until - now] if self.until is not None else []
        return min((*guessed, *bounded), default=None)

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()
