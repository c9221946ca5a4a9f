"""Calls an ASGI application in process: no sockets, no threads, no client library."""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `headers`: lower-case names; `body`: as it was sent."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests to `app`; `headers` go with each of them."""

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
        """Send one request. `target`: path and query as they go over the wire. `data` is sent as JSON."""
        sent: dict[str, str | bytes] = {"host": "localhost:8000", **self.headers}
        if data is not None:
            body = json.dumps(data).encode()
            sent["content-type"] = "application/json"
        sent |= headers or {}
        return completed(call(self.app, method, target, sent, body, self.client))

    def get(self, target: str | bytes, **headers: str) -> Reply:
        """A GET; keyword arguments are headers with underscores for hyphens."""
        return self.request("GET", target, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, target: str, data: Any) -> Reply:
        """A POST of JSON."""
        return self.request("POST", target, data=data)


def completed(reply: Coroutine[Any, Any, Reply]) -> Reply:
    """What `call` comes to, on a loop of its own. `asyncio.run` would write out the task for each signal handler."""
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
    """One exchange of ASGI messages."""
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
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        if not chunks:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if not sent:
        return Reply(0, {}, b"")
    lines = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    assert all(name == name.lower() for name in lines)
    return Reply(sent[0]["status"], lines, b"".join(message.get("body", b"") for message in sent[1:]))
