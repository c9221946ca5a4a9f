"""The request journal of a sandbox: the latest requests with their responses, within a limit of memory.

A request is recorded in few objects: `python -m bench.journal` measures the time. It is formatted when it is read.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import chain
from typing import NamedTuple

DEFAULT_JOURNAL_BYTES = 8 * 1024 * 1024
MAX_RECORDED_BODY_BYTES = 256 * 1024  # of a request or a response; the rest is cut off
_ENTRY_BYTES = 800  # memory of an entry without the lengths of its texts
_SEPARATOR = b"\0"  # of the names and values of headers, which cannot contain it

HeaderList = Sequence[tuple[bytes, bytes]]


class ResponseSource(Enum):
    """Where a response comes from."""

    PROCESSED = "processed"
    CACHE = "cache"
    REQUEST = "request"  # the request demands this response
    RULE = "rule"


class RecordedRequest(NamedTuple):
    """A request and its response.

    Args:
        number: Position in the journal, from 1; the numbers of deleted entries are not used again.
        request_id: The value of X-Request-Id.
        received_at: System time at which the request arrived.
        now: Sandbox time.
        duration: Seconds.
        base_url: URL of the mock, followed by the path that selects the sandbox if the URLs of the response contain it.
        raw_path: The path as sent, percent-encoded.
        raw_headers: Names and values in one text: it takes a fraction of the memory of `headers`.
        body: The body as far as it was received and recorded; None if it was not received.
        body_size: Number of received bytes of the body.
        status: 0 without a response.
        fault: The fault that a rule injects; empty without one.
    """

    number: int
    request_id: str
    received_at: datetime
    now: datetime
    duration: float
    method: str
    base_url: str
    raw_path: bytes
    raw_query: bytes
    raw_headers: bytes
    body: bytes | None
    body_size: int
    status: int
    raw_response_headers: bytes
    response_body: bytes | None
    response_body_size: int
    source: ResponseSource
    fault: str
    size: int

    @property
    def headers(self) -> HeaderList:
        return _split_headers(self.raw_headers)

    @property
    def response_headers(self) -> HeaderList:
        return _split_headers(self.raw_response_headers)


@dataclass(slots=True)
class RequestJournal:
    """The entries, oldest first. `max_bytes`: limit of their memory; beyond it the oldest are dropped.

    `dropped_count`: number of dropped entries. `deleted_number`: number of the last entry that `clear` deleted.
    `listeners`: events that are set after each new entry, and by `close`.
    """

    max_bytes: int = DEFAULT_JOURNAL_BYTES
    entries: deque[RecordedRequest] = field(default_factory=deque)
    byte_count: int = 0
    last_number: int = 0
    dropped_count: int = 0
    deleted_number: int = 0
    is_closed: bool = False
    listeners: set[asyncio.Event] = field(default_factory=set)

    def record(
        self,
        request_id: str,
        received_at: datetime,
        now: datetime,
        duration: float,
        method: str,
        base_url: str,
        raw_path: bytes,
        raw_query: bytes,
        headers: HeaderList,
        body: bytes | None,
        status: int,
        response_headers: HeaderList,
        response_body: bytes | None,
        source: ResponseSource,
        fault: str,
    ) -> None:
        """Add an entry; drop the oldest ones if there is no memory for it. Arguments: see `RecordedRequest`.

        Called for each request, so the arguments are positional and the entry is created without the
        `__new__` of RecordedRequest.
        """
        raw_headers = _SEPARATOR.join(chain.from_iterable(headers))
        raw_response_headers = _SEPARATOR.join(chain.from_iterable(response_headers))
        body_size, response_size = len(body or b""), len(response_body or b"")
        size = _ENTRY_BYTES + len(raw_path) + len(raw_query) + len(raw_headers) + len(raw_response_headers)
        size += body_size + response_size
        if size > MAX_RECORDED_BODY_BYTES:
            body = body and body[:MAX_RECORDED_BODY_BYTES]
            response_body = response_body and response_body[:MAX_RECORDED_BODY_BYTES]
            size += len(body or b"") + len(response_body or b"") - body_size - response_size
        number = self.last_number = self.last_number + 1
        request = (number, request_id, received_at, now, duration, method, base_url, raw_path, raw_query, raw_headers)
        response = (body, body_size, status, raw_response_headers, response_body, response_size, source, fault, size)
        self.entries.append(tuple.__new__(RecordedRequest, request + response))
        self.byte_count += size
        while self.byte_count > self.max_bytes:
            self.byte_count -= self.entries.popleft().size
            self.dropped_count += 1
        for listener in self.listeners:
            listener.set()

    def clear(self) -> None:
        """Delete all entries."""
        self.entries.clear()
        self.byte_count = self.dropped_count = 0
        self.deleted_number = self.last_number

    def close(self) -> None:
        """Notify the listeners that there will be no further entries."""
        self.is_closed = True
        for listener in self.listeners:
            listener.set()

    def list_after(self, number: int) -> list[RecordedRequest]:
        return [entry for entry in self.entries if entry.number > number]

    def count_dropped_after(self, number: int) -> int:
        """Return how many entries after `number` were dropped. Those that `clear` deleted are not counted."""
        oldest = self.entries[0].number if self.entries else self.last_number + 1
        return max(0, oldest - 1 - max(number, self.deleted_number))


def _split_headers(raw_headers: bytes) -> HeaderList:
    parts = raw_headers.split(_SEPARATOR)
    return list(zip(parts[::2], parts[1::2], strict=False))
