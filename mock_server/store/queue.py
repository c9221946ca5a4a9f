"""The queue of those who want to write to one file: a lock on a file beside it, which the kernel frees when one dies.

SQLite's own way to wait is to sleep, a millisecond and more at a time, where a write takes a fifth of one. This lock
decides nothing: who holds it still takes SQLite's, for which there is nobody left to wait.
"""

import os
import time
from pathlib import Path

from mock_server.store.errors import Busy

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
except ImportError:  # a system without fork has no second worker either
    flock = None  # type: ignore[assignment]

ENDING = "-queue"
PATIENCE = 5.0  # seconds, as SQLite's own
# Of one pause, from the first to all after some: a write takes a fifth of a millisecond, one that waits for a disk ten.
_SHORT, _LONG = 0.000_05, 0.000_5


class Queue:
    """Holds the lock while one is inside (``with queue:``), which may be taken before. Raises Busy after `patience`
    seconds. `held`: whether this process has it.
    """

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.held = False
        self.file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def __enter__(self) -> None:
        if not (self.held or self.take(self.patience)):
            raise Busy

    def __exit__(self, *broken: object) -> None:
        self.held = False
        flock(self.file, LOCK_UN)

    def take(self, patience: float) -> bool:
        """Take the lock, if it is free within so many seconds; whether it was."""
        if self._is_free():
            return True
        last, pause = time.monotonic() + patience, _SHORT
        while time.monotonic() < last:
            time.sleep(pause)
            if self._is_free():
                return True
            pause = min(2 * pause, _LONG)
        return False

    def _is_free(self) -> bool:
        try:
            flock(self.file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        self.held = True
        return True

    def close(self) -> None:
        """End it. The file stays for others."""
        os.close(self.file)
