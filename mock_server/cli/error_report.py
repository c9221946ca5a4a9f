"""Error messages of the command: one line on stderr."""

from mock_server.cli.standard_streams import write_stderr

MAX_ERROR_CHARS = 400


def report_error(message: str, status: int) -> int:
    """Print an error, with unprintable characters escaped and without its end if it is very long. Returns `status`."""
    write_line(message[:MAX_ERROR_CHARS])
    return status


def write_line(message: str) -> None:
    """Print a line on stderr, with unprintable characters escaped."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
    write_stderr(f"athena-mock: {shown}\n")
