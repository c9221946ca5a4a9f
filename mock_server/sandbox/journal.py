"""The request journal of a sandbox: the latest requests with their responses, within a limit of memory.

A request is recorded in few objects: `python -m bench.journal` measures the time. Everything else is done when the
entries are read.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import NamedTuple

from mock_server.serialization.layout import insert_base_url

DEFAULT_JOURNAL_BYTES = 8 * 1024 * 1024
MAX_RECORDED_BODY_BYTES = 256 * 1024  # of a request or a response; the rest is cut off
_ENTRY_BYTES = 600  # memory of an entry without the lengths of its texts
_SEPARATOR = b"\0"  # of the texts of a head: HTTP allows it neither in a target nor in a header
_COMPLETE = (0, 0)

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
        head: Path and query as sent, then the names and values of the headers, then those of the response headers, in
            one text: it takes less time and a fraction of the memory of the separate texts.
        header_count: Number of headers of the request.
        body: The body as far as it was received and recorded; None if it was not received.
        status: 0 without a response.
        response_content: The recorded part of the response body, or the parts of which it is made: most of a body of
            8 KB are encodings that are in a cache, and to write 8 KB to other memory takes 2 µs.
        fault: The fault that a rule injects; empty without one.
        rejection: Why access was denied; empty if it was not.
        cut_off: Numbers of bytes that were cut off from the bodies of request and response.
        size: Estimated memory in bytes.
    """

    number: int
    request_id: str
    received_at: datetime
    now: datetime
    duration: float
    method: str
    base_url: str
    head: bytes
    header_count: int
    body: bytes | None
    status: int
    response_content: bytes | Sequence[bytes] | None
    source: ResponseSource
    fault: str
    rejection: str
    cut_off: tuple[int, int]
    size: int

    @property
    def raw_path(self) -> bytes:
        """The path as sent, percent-encoded."""
        return self.head.split(_SEPARATOR, 1)[0]

    @property
    def raw_query(self) -> bytes:
        return self.head.split(_SEPARATOR, 2)[1]

    @property
    def headers(self) -> HeaderList:
        return _pair(self.head.split(_SEPARATOR)[2 : 2 + 2 * self.header_count])

    @property
    def response_headers(self) -> HeaderList:
        return _pair(self.head.split(_SEPARATOR)[2 + 2 * self.header_count :])

    @property
    def response_body(self) -> bytes | None:
        """The recorded part of the response body; None without one."""
        content = self.response_content
        if content is None or isinstance(content, bytes):
            return content
        return insert_base_url(b"".join(content), self.base_url)

    @property
    def body_size(self) -> int:
        """Number of received bytes of the body."""
        return len(self.body or b"") + self.cut_off[0]

    @property
    def response_body_size(self) -> int:
        """Number of bytes of the response body."""
        return len(self.response_body or b"") + self.cut_off[1]


# The values of a RecordedRequest, without the number: a tuple is created faster than the object.
_Entry = tuple[
    str,
    datetime,
    datetime,
    float,
    str,
    str,
    bytes,
    int,
    bytes | None,
    int,
    bytes | Sequence[bytes] | None,
    ResponseSource,
    str,
    str,
    tuple[int, int],
    int,
]


@dataclass(slots=True)
class RequestJournal:
    """The latest requests. `max_bytes`: limit of their memory; beyond it the oldest are dropped.

    `dropped_count`: number of dropped entries. `deleted_number`: number of the last entry that `clear` deleted.
    `listeners`: events that are set after each new entry, and by `close`.
    """

    max_bytes: int = DEFAULT_JOURNAL_BYTES
    byte_count: int = 0
    last_number: int = 0
    dropped_count: int = 0
    deleted_number: int = 0
    is_closed: bool = False
    listeners: set[asyncio.Event] = field(default_factory=set)
    _entries: deque[_Entry] = field(default_factory=deque)

    @property
    def entries(self) -> list[RecordedRequest]:
        """The entries, oldest first."""
        return self.list_after(0)

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
        response_parts: Sequence[bytes] | None,
        source: ResponseSource,
        fault: str,
        rejection: str = "",
    ) -> None:
        """Add an entry; drop the oldest ones if there is no memory for it. Arguments: see `RecordedRequest`.

        `response_parts`: those of the body, before the base URL is inserted; None if it was not made of them.

        Called for each request, so the arguments are positional, and the loops and conditions are in this function.
        """
        texts = [raw_path, raw_query]
        for header in headers:  # itertools.chain takes 1 µs longer
            texts += header
        for header in response_headers:
            texts += header
        head = _SEPARATOR.join(texts)
        size = _ENTRY_BYTES + len(head) + len(rejection)
        if body is not None:
            size += len(body)
        if response_body is not None:
            size += len(response_body)
        cut_off = _COMPLETE
        if size > MAX_RECORDED_BODY_BYTES:
            body, cut_from_request = _cut_off(body)
            response_body, cut_from_response = _cut_off(response_body)
            cut_off = (cut_from_request, cut_from_response)
            response_parts = None
            size -= cut_from_request + cut_from_response
        header_count = len(headers)
        self._entries.append(
            (
                request_id,
                received_at,
                now,
                duration,
                method,
                base_url,
                head,
                header_count,
                body,
                status,
                response_body if response_parts is None else response_parts,
                source,
                fault,
                rejection,
                cut_off,
                size,
            )
        )
        self.last_number += 1
        self.byte_count += size
        while self.byte_count > self.max_bytes:
            self.byte_count -= self._entries.popleft()[-1]
            self.dropped_count += 1
        if self.listeners:
            self._notify_listeners()

    def clear(self) -> None:
        """Delete all entries."""
        self._entries.clear()
        self.byte_count = self.dropped_count = 0
        self.deleted_number = self.last_number

    def close(self) -> None:
        """Notify the listeners that there will be no further entries."""
        self.is_closed = True
        self._notify_listeners()

    def list_after(self, number: int) -> list[RecordedRequest]:
        """Return the entries after `number`, oldest first."""
        first = self.last_number - len(self._entries) + 1
        entries = islice(self._entries, max(0, number + 1 - first), None)
        return [RecordedRequest(n, *entry) for n, entry in enumerate(entries, max(first, number + 1))]

    def count_dropped_after(self, number: int) -> int:
        """Return how many entries after `number` were dropped. Those that `clear` deleted are not counted."""
        return max(0, self.last_number - len(self._entries) - max(number, self.deleted_number))

    def _notify_listeners(self) -> None:
        for listener in self.listeners:
            listener.set()


def _pair(texts: Sequence[bytes]) -> HeaderList:
    return list(zip(texts[::2], texts[1::2], strict=False))


def _cut_off(body: bytes | None) -> tuple[bytes | None, int]:
    """Return the recorded part of a body, and the number of the other bytes."""
    if body is None or len(body) <= MAX_RECORDED_BODY_BYTES:
        return body, 0
    return body[:MAX_RECORDED_BODY_BYTES], len(body) - MAX_RECORDED_BODY_BYTES
