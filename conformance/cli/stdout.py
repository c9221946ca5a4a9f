"""Output of the commands."""

import os
import sys


def write_stdout(text: str) -> None:
    """Write and flush. After the reader has closed the pipe (``| head``), all further output is discarded."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())  # the buffer is flushed at the end of the process
        os.close(devnull)


def make_printable(text: str) -> str:
    """Replace control characters."""
    return "".join(char if char.isprintable() else "?" for char in text)


def write_error(message: str, exit_code: int) -> int:
    """Write one line to standard error and return the exit code."""
    sys.stderr.write(f"athena-conformance: {' '.join(message.split())}\n")
    return exit_code
