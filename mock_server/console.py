"""What the mock says to the person at the terminal: one line for each refusal, and why."""

import contextlib
import os
from functools import cached_property
from pathlib import Path
from typing import TextIO

from mock_server.exchange import Exchange
from mock_server.problems import Refusal
from spec.document import Document, find_line_numbers

_LONGEST = 600


class Console:
    """Lines for people on `stream`; none at all when `quiet`."""

    def __init__(self, document: Document, stream: TextIO, *, quiet: bool = False) -> None:
        self.document = document
        self.stream = stream
        self.quiet = quiet

    @cached_property
    def lines(self) -> dict[str, int]:
        """Line of each place in the contract; found out when the first refusal is told, for it takes a moment."""
        return find_line_numbers(self.document.content)

    @cached_property
    def file(self) -> str:
        """The contract's file as seen from here."""
        path = Path(self.document.name)
        with contextlib.suppress(ValueError, OSError):
            return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)
        return str(path)

    def refused(self, exchange: Exchange, refusal: Refusal) -> None:
        """``404 GET /api/v1/agent - no-operation: did you mean /agents? (openapi.yaml:812) [req 17]``"""
        if self.quiet:
            return
        place = refusal.place or (exchange.operation.pointer if exchange.operation else None)
        where = f" ({self.file}:{self.line(place)})" if place else ""
        self.say(exchange, refusal.status, f"{refusal.reason}: {refusal.why}{where}")

    def failed(self, exchange: Exchange) -> None:
        """A request that the mock itself could not answer; the traceback is in the log."""
        self.say(exchange, 500, "failure: a fault of the mock, not of the request; the log has the traceback")

    def noted(self, exchange: Exchange) -> None:
        """What of an accepted request was ignored."""
        status = exchange.operation.envelope.status if exchange.operation else 200
        self.say(exchange, status, "ignored: " + ", ".join(exchange.notes))

    def say(self, exchange: Exchange, status: int, text: str) -> None:
        """One line, with nothing in it that a terminal could take for a command."""
        if self.quiet:
            return
        line = f"{status} {exchange.method} {exchange.shown_path} - {text}"
        line = line if len(line) <= _LONGEST else line[:_LONGEST] + "..."
        with contextlib.suppress(OSError, ValueError):
            self.stream.write(printable(f"{line} [req {exchange.id}]", self.stream.encoding) + "\n")
            self.stream.flush()

    def line(self, place: str) -> int:
        """The line of a place, or of the nearest one around it that has a line."""
        while place not in self.lines and "/" in place:
            place = place.rpartition("/")[0]
        return self.lines.get(place, 1)


def printable(text: str, encoding: str | None = "utf-8") -> str:
    """`text` with everything escaped that is no visible character, or that `encoding` cannot say."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown.encode(encoding or "ascii", "backslashreplace").decode(encoding or "ascii")
