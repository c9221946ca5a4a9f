"""Standard streams that never block the server and never raise.

The pipe that stderr or stdout leads to may be unread, its reader may have ended, the disk of a log file may be full, or
the stream may be closed. Then lines are dropped, and a later line states how many.
"""

import io
import os
import select
import sys
import time
from contextlib import suppress
from typing import TextIO

STDOUT, STDERR = 1, 2
# A pipe that poll reports as writable accepts this number of bytes without blocking.
MAX_CHUNK_BYTES: int = getattr(select, "PIPE_BUF", 512)


class NonBlockingStream(io.TextIOBase):
    """Text output to a file descriptor that drops what cannot be written at once.

    `timeout`: seconds that a write waits in total for space. `dropped_count`: number of dropped lines since the last
    line that was written. `is_line_incomplete`: the last line was written in part.
    """

    def __init__(
        self, descriptor: int, encoding: str = "utf-8", *, timeout: float = 0.0, is_terminal: bool = False
    ) -> None:
        super().__init__()
        self.descriptor, self._encoding, self.timeout, self.is_terminal = descriptor, encoding, timeout, is_terminal
        self.dropped_count, self.is_line_incomplete = 0, False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return self.is_terminal

    def writable(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        """Write complete lines, or drop them. Returns the number of characters."""
        if not text:
            return 0
        if self.dropped_count:
            line_end = "\n" if self.is_line_incomplete else ""
            if self._send(f"{line_end}athena-mock: {self.dropped_count} log lines dropped\n".encode()):
                self.dropped_count, self.is_line_incomplete = 0, False
        if self.dropped_count or not self._send(text.encode(self._encoding, "backslashreplace")):
            self.dropped_count += max(1, text.count("\n"))
        return len(text)

    def _send(self, content: bytes) -> bool:
        """Write bytes. Returns whether all of them were written in time."""
        deadline, length = time.monotonic() + self.timeout, len(content)
        while content:
            try:
                if not self._wait_until_writable(max(0.0, deadline - time.monotonic())):
                    break
                content = content[os.write(self.descriptor, content[:MAX_CHUNK_BYTES]) :]
            except (OSError, ValueError):
                break
        self.is_line_incomplete = self.is_line_incomplete or 0 < len(content) < length
        return not content

    def _wait_until_writable(self, seconds: float) -> bool:
        """Return whether a chunk can be written without blocking. Without poll (Windows), assume so."""
        if not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(self.descriptor, select.POLLOUT)
        events = poll.poll(1000 * seconds)
        return bool(events) and bool(events[0][1] & select.POLLOUT)


def open_missing_descriptors() -> None:
    """Open the null device for closed standard streams: else the next opened file or socket would become one of them.

    Writing to a closed stdout stays an error (EBADF), as in GNU commands. Python has set `sys.stdout` and `sys.stderr`
    of a closed stream to None.
    """
    for descriptor in (0, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            null_device = os.open(os.devnull, os.O_RDONLY if descriptor == STDOUT else os.O_RDWR)
            if null_device != descriptor:
                os.dup2(null_device, descriptor)
                os.close(null_device)
    if sys.stdout is None:
        sys.stdout = _open_stream(STDOUT)
    if sys.stderr is None:
        sys.stderr = _open_stream(STDERR)


def _open_stream(descriptor: int) -> TextIO:
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", closefd=False)


def replace_stderr() -> None:
    """Replace `sys.stderr` by a stream that never blocks."""
    previous = sys.stderr
    with suppress(OSError, ValueError):  # not a file
        descriptor = previous.fileno()
        sys.stderr = NonBlockingStream(descriptor, previous.encoding, is_terminal=previous.isatty())


def write_stdout(text: str, *, timeout: float) -> None:
    """Write a text to stdout; drop what it does not accept within `timeout` seconds."""
    with suppress(OSError, ValueError):  # not a file
        NonBlockingStream(sys.stdout.fileno(), sys.stdout.encoding, timeout=timeout).write(text)


def write_stderr(text: str) -> None:
    """Write a text to stderr. If that fails, stderr is redirected to the null device."""
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _redirect_to_null_device(STDERR)


def flush_stdout() -> None:
    """Flush stdout. If that fails, stdout is redirected to the null device, since Python flushes it again at exit.

    Raises OSError.
    """
    try:
        sys.stdout.flush()
    except OSError:
        _redirect_to_null_device(STDOUT)
        raise


def _redirect_to_null_device(descriptor: int) -> None:
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, descriptor)
    os.close(null_device)
