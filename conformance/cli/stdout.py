"""Output of the commands."""

import os
import sys
from collections.abc import Sequence
from typing import TextIO

MAX_COLUMN_CHARS = 60


def write_stdout(text: str) -> None:
    """Write and flush. If that fails, the rest is discarded: the exit code of the command does not depend on it.

    It fails if the reader has closed the pipe (``| head``), the disk is full, or the output is closed (``>&-``).
    """
    try:
        _write(sys.stdout, text)
    except BrokenPipeError:
        _discard(sys.stdout)
    except OSError as error:
        _discard(sys.stdout)
        write_error(f"cannot write to the standard output: {error.strerror}", 0)


def flush_outputs() -> None:
    """Flush, or discard what cannot be written: Python would change the exit code at the end of the process."""
    for stream in (sys.stdout, sys.stderr):
        try:
            _write(stream, "")
        except OSError:
            _discard(stream)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is not None:  # the output is closed
        stream.write(text)
        stream.flush()


def _discard(stream: TextIO) -> None:
    """Discard what is buffered, which would be written at the end of the process, and all further output."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Align the cells of rows in columns. Cells of more than `MAX_COLUMN_CHARS` do not widen their column."""
    widths = [min(MAX_COLUMN_CHARS, max(map(len, column))) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def make_printable(text: str) -> str:
    """Replace control characters."""
    return "".join(char if char.isprintable() else "?" for char in text)


def write_error(message: str, exit_code: int) -> int:
    """Write one line to standard error and return the exit code."""
    return write_error_lines([message], exit_code)


def write_error_lines(lines: Sequence[str], exit_code: int) -> int:
    """Write lines to standard error, of which the first one starts with the command, and return the exit code."""
    first, *others = (" ".join(line.split()) for line in lines)
    try:
        _write(sys.stderr, "".join([f"athena-conformance: {first}\n", *(f"  {line}\n" for line in others)]))
    except OSError:
        _discard(sys.stderr)
    return exit_code
