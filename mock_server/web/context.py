"""One request and its answer while they pass the layers: the only thing the layers share, under one key of the scope.

The one object here that is not frozen: each layer fills in what it has found out.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.types import Scope, Send

from mock_server.query.viewer import Viewer
from mock_server.sandbox.response_cache import CacheKey
from spec.loader import Operation

CONTEXT_KEY = "mock.exchange"
INTERNAL_REQUEST_KEY = (
    "mock.own"  # a key of the scope of a request that the mock sends itself: neither counted nor logged
)
NOTE_HEADER = b"x-mock-note"
_MAX_NOTES = 20
JSON_CONTENT_TYPE = (b"content-type", b"application/json")

Header = tuple[bytes, bytes]


@dataclass(slots=True)
class RequestContext:
    """What is known of one request.

    `raw_path`: as sent, still encoded. `headers`: those that the mock reads, lower-case names; of a repeated one the last.
    `response_headers`: what every answer to it carries (request id, CORS). `is_head`: the answer goes without its body.
    `notes`: what was ignored. `status`: of its answer, 0 before there is one. `cache_key`: all that is read of it, if its
    answer may be kept.
    """

    id: str
    method: str
    raw_path: bytes
    raw_query: bytes
    headers: Mapping[bytes, bytes]
    response_headers: list[Header]
    base_url: str
    now: datetime
    is_head: bool = False
    operation: Operation | None = None
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    viewer: Viewer | None = None
    token: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    notes: tuple[str, ...] = ()
    status: int = 0
    cache_key: CacheKey | None = None

    def get_header(self, name: bytes) -> str:
        """A header's value, outer blanks taken off; empty when it was not sent."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    @property
    def display_path(self) -> str:
        """The path as people read it."""
        return self.raw_path.decode("latin-1")


def get_context(scope: Scope) -> RequestContext:
    """The exchange that the outermost layer opened."""
    context: RequestContext = scope[CONTEXT_KEY]
    return context


async def send_response(
    send: Send,
    context: RequestContext,
    status: int,
    body: bytes | None = None,
    *,
    content_type: Header = JSON_CONTENT_TYPE,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send one whole answer. `body` None: no body, and no content type."""
    context.status = status
    lines = context.response_headers
    if context.notes:
        lines.append((NOTE_HEADER, _to_ascii("ignored: " + ", ".join(context.notes[:_MAX_NOTES]))))
    if body is not None:
        lines += (content_type, (b"content-length", b"%d" % len(body)))
    if headers:
        lines += ((name.lower().encode("latin-1"), text.encode("latin-1")) for name, text in headers.items())
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": b"" if body is None or context.is_head else body})


def _to_ascii(text: str) -> bytes:
    """`text` as a header's value: one line of printable ASCII."""
    return text[:1000].encode("unicode_escape")


def memoize(cache: MutableMapping[Any, Any], key: Any, value: Any, limit: int = 1024) -> Any:
    """Put `value` into a cache that is emptied when it is full, and answer it."""
    if len(cache) >= limit:
        cache.clear()
    cache[key] = value
    return value
