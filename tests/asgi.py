"""A minimal client that calls an ASGI application in process, without sockets or threads."""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class Reply:
    """A response. `headers`: lower-case names; `body`: the raw bytes; `set_cookies`: the values of all Set-Cookie."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    set_cookies: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        """The body parsed as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests to `app`, each with `headers`."""

    app: ASGIApp
    headers: Mapping[str, str]
    client: tuple[str, int] | None = ("127.0.0.1", 50000)

    def request(
        self,
        method: str,
        target: str | bytes,
        *,
        body: bytes | Sequence[bytes] = b"",
        data: Any = None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Reply:
        """Send one request. `target`: raw path and query. `data` is sent as JSON."""
        all_headers: dict[str, str | bytes] = {"host": "localhost:8000", **self.headers}
        if data is not None:
            body = json.dumps(data).encode()
            all_headers |= {"content-type": "application/json", "content-length": str(len(body))}
        if not isinstance(body, bytes):
            all_headers["transfer-encoding"] = "chunked"
        all_headers |= headers or {}
        return run_coroutine(call(self.app, method, target, all_headers, body, self.client))

    def get(self, target: str | bytes, **headers: str) -> Reply:
        """Send a GET request. Keyword arguments are headers, with underscores for hyphens."""
        return self.request("GET", target, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, target: str, data: Any) -> Reply:
        """Send a POST request with a JSON body."""
        return self.request("POST", target, data=data)


def run_coroutine(reply: Coroutine[Any, Any, Reply]) -> Reply:
    """Run `call` on a new event loop. `asyncio.run` would install a signal handler for each request."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(reply)
    finally:
        loop.close()


async def call(
    app: ASGIApp,
    method: str,
    target: str | bytes,
    headers: Mapping[str, str | bytes],
    body: bytes | Sequence[bytes],
    client: tuple[str, int] | None,
) -> Reply:
    """Exchange the ASGI messages of one request."""
    raw = target.encode() if isinstance(target, str) else target
    path, _, query = raw.partition(b"?")
    chunks = [body] if isinstance(body, bytes) else list(body)
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.decode("latin-1"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode("latin-1") if isinstance(v, str) else v) for k, v in headers.items()],
        "client": client,
        "server": ("127.0.0.1", 8000),
    }
    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not chunks:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        messages.append(message)

    await app(scope, receive, send)
    if not messages:
        return Reply(0, {}, b"")
    response_headers = {name.decode(): value.decode("latin-1") for name, value in messages[0]["headers"]}
    assert all(name == name.lower() for name in response_headers)
    set_cookies = tuple(value.decode("latin-1") for name, value in messages[0]["headers"] if name == b"set-cookie")
    content = b"".join(message.get("body", b"") for message in messages[1:])
    return Reply(messages[0]["status"], response_headers, content, set_cookies)
