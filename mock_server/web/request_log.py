"""The request log: one line on the terminal for each error, with its reason and the location in the contract."""

import contextlib
import os
from functools import cached_property
from pathlib import Path
from typing import TextIO

from mock_server.errors import ApiError
from mock_server.web.context import RequestContext
from spec.document import Document
from spec.line_numbers import find_line_numbers

MAX_LINE_CHARS = 600


class RequestLog:
    """Prints lines to `stream`; none if `quiet`."""

    def __init__(self, document: Document, stream: TextIO, *, quiet: bool = False) -> None:
        self.document = document
        self.stream = stream
        self.quiet = quiet

    @cached_property
    def line_numbers(self) -> dict[str, int]:
        """Line number of each JSON pointer of the contract. Computed for the first error, since it takes a while."""
        return find_line_numbers(self.document.content)

    @cached_property
    def contract_path(self) -> str:
        """Path of the contract, relative to the working directory if it is below it."""
        path = Path(self.document.name)
        with contextlib.suppress(ValueError, OSError):
            return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)
        return str(path)

    def log_error(self, context: RequestContext, error: ApiError) -> None:
        """``404 GET /api/v1/agent - route-not-found: did you mean /agents? (openapi.yaml:812) [req 17]``"""
        if self.quiet:
            return
        location = error.location or (context.operation.pointer if context.operation else None)
        suffix = f" ({self.contract_path}:{self.find_line(location)})" if location else ""
        self.write(context, error.status, f"{error.reason}: {error.detail}{suffix}")

    def warn(self, location: str, text: str) -> None:
        """Print a line about a place in the contract (a JSON pointer)."""
        if not self.quiet:
            self._print(f"warning: {self.contract_path}:{self.find_line(location)}: {location}: {text}")

    def write(self, context: RequestContext, status: int, text: str) -> None:
        """Print one line, with unprintable characters escaped."""
        if self.quiet:
            return
        line = f"{status} {context.method} {context.display_path} - {text}"
        self._print(line, f" [req {context.id}]")

    def _print(self, line: str, suffix: str = "") -> None:
        line = line if len(line) <= MAX_LINE_CHARS else line[:MAX_LINE_CHARS] + "..."
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(escape_unprintable(line + suffix, self.stream.encoding) + "\n")
            self.stream.flush()

    def find_line(self, location: str) -> int:
        """Return the line of a JSON pointer, or of the nearest enclosing pointer."""
        while location not in self.line_numbers and "/" in location:
            location = location.rpartition("/")[0]
        return self.line_numbers.get(location, 1)


def escape_unprintable(text: str, encoding: str | None = "utf-8") -> str:
    """Escape characters that are not printable or not available in `encoding`."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return escaped.encode(encoding or "ascii", "backslashreplace").decode(encoding or "ascii")
