"""Several processes that serve one store: forked from one that has built the application, and begun anew when they end.

The listening sockets are open in all of them, so what waits to be accepted outlives the one that dies.
"""

import contextlib
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

PATIENCE = 1.5  # seconds that all of them have to end when told to
SHORT = 0.5  # a life of so many seconds, and not by SIGKILL, is a failure to begin
MOST_SHORT = 5
_STOPPING = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Crew:
    """So many workers of one `work`, which is told its number. Numbers are never used again, so what they name is not.

    `alive`: process id -> (number, when it was begun).
    """

    work: Callable[[int], None]
    size: int
    stream: TextIO
    alive: dict[int, tuple[int, float]] = field(default_factory=dict)
    begun: int = 0
    short: int = 0

    def run(self) -> int:
        """Keep so many alive until SIGINT or SIGTERM; the exit status. 1: they do not stay alive."""
        for sig in _STOPPING:
            signal.signal(sig, _stop)
        try:
            for _ in range(self.size):
                self.begin()
            while self.short < MOST_SHORT:
                self.replace(*os.waitpid(-1, 0))
            self.say(f"{MOST_SHORT} workers in a row ended within {SHORT} s of their beginning: no more are begun")
            return 1
        except KeyboardInterrupt:
            return 0
        finally:
            self.end()

    def begin(self) -> None:
        """One more worker. A signal waits until it is known who is to be told of it."""
        self.begun += 1
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        pid = os.fork()
        if pid == 0:
            os._exit(self.worked(self.begun))
        self.alive[pid] = (self.begun, time.monotonic())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

    def worked(self, number: int) -> int:
        """The exit status of a worker, in its own process."""
        try:
            for sig in _STOPPING:
                signal.signal(sig, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
            self.work(number)
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        except BaseException:  # the parent says that it ended; why is the log's to say
            traceback.print_exc()
            return 1
        return 0

    def replace(self, pid: int, status: int) -> None:
        """Say that a worker ended, and begin another."""
        number, since = self.alive.pop(pid)
        lived = time.monotonic() - since
        failed = lived < SHORT and not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
        self.short = self.short + 1 if failed else 0
        self.say(f"worker {number} (process {pid}) ended {_by(status)} after {lived:.1f} s; another takes its place")
        self.begin()

    def end(self) -> None:
        """Tell all to end, and end those that do not in time, or when told again."""
        try:
            self.tell(signal.SIGTERM)
            last = time.monotonic() + PATIENCE
            while self.alive and time.monotonic() < last:
                pid, _ = os.waitpid(-1, os.WNOHANG)
                if pid:
                    self.alive.pop(pid)
                else:
                    time.sleep(0.01)
        except KeyboardInterrupt:
            pass
        self.tell(signal.SIGKILL)
        for pid in self.alive:
            os.waitpid(pid, 0)

    def tell(self, sig: signal.Signals) -> None:
        """Send a signal to all; those that have ended and were not asked about yet do not mind."""
        for pid in self.alive:
            os.kill(pid, sig)

    def say(self, text: str) -> None:
        """A line on the console, where somebody reads it still."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(f"athena-mock: {text}\n")
            self.stream.flush()


def _by(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"with status {os.WEXITSTATUS(status)}"


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
