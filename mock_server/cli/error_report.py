"""Error messages of the command: one line on stderr, or one for each problem of a contract."""

from collections.abc import Sequence

from mock_server.cli.standard_streams import write_stderr

MAX_ERROR_CHARS = 400
MAX_PROBLEM_CHARS = 1_000  # of a contract: names the valid values


def report_error(message: str, status: int) -> int:
    """Print an error, with unprintable characters escaped and without its end if it is very long. Returns `status`."""
    write_line(message[:MAX_ERROR_CHARS])
    return status


def report_lines(lines: Sequence[str], status: int) -> int:
    """Print the lines of an error, of which only the first one starts with the name of the command."""
    write_line(lines[0][:MAX_PROBLEM_CHARS])
    for line in lines[1:]:
        write_stderr(f"{escape_unprintable(line[:MAX_PROBLEM_CHARS])}\n")
    return status


def write_line(message: str) -> None:
    """Print a line on stderr, with unprintable characters escaped."""
    write_stderr(f"athena-mock: {escape_unprintable(message)}\n")


def escape_unprintable(text: str) -> str:
    """Return a text with escapes instead of control characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
