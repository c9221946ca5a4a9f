"""How many transactions were ever committed to a file, by whomever: what SQLite's own processes tell one another.

It stands in the header of the WAL's index, which is mapped into memory (https://sqlite.org/walformat.html, 2.1): so it
costs no call of the system to see that nothing was written, and whoever wrote is counted, other programs too.
"""

import mmap
import os
import sys
from pathlib import Path

_HEADER = 48  # bytes, twice: a reader that finds them differ has come between
_CHANGES = slice(8, 12)


class Commits:
    """The header of one file's index. To be made when a connection to the file has read, and closed after it: to close
    any descriptor of a file gives up all locks that the process has on it, SQLite's among them.
    """

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.map = mmap.mmap(self.file, 2 * _HEADER, access=mmap.ACCESS_READ)

    def now(self) -> bytes:
        """The header, the same for as long as nobody commits."""
        return self.map[:_HEADER]

    def settled(self) -> bytes:
        """The header, once it is not just being written; empty when its writer died meanwhile."""
        for _ in range(1000):
            both = self.map[:]
            if both[:_HEADER] == both[_HEADER:]:
                return both[:_HEADER]
            os.sched_yield()
        return b""

    def close(self) -> None:
        """End it."""
        self.map.close()
        os.close(self.file)


def number(header: bytes) -> int:
    """How many transactions had been committed; only what two headers differ by means anything."""
    return int.from_bytes(header[_CHANGES], sys.byteorder)
