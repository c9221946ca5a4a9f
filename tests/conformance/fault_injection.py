"""ASGI middleware that injects faults into the in-process mock by changing requests and responses."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BASE = "/api/v1"


@dataclass(frozen=True, slots=True)
class FaultRequest:
    """Request below the base path. `headers`: lower-case names; `body`: parsed JSON, None if it is none."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        try:
            return json.loads(self.raw)
        except ValueError:
            return None

    def with_json(self, body: Any) -> "FaultRequest":
        """Return a copy with another JSON body."""
        return replace(self, raw=json.dumps(body).encode())

    def with_token(self, token: str) -> "FaultRequest":
        """Return a copy with another bearer token."""
        return replace(self, headers={**self.headers, "authorization": f"Bearer {token}"})


@dataclass(frozen=True, slots=True)
class FaultResponse:
    """Response. `headers`: lower-case names."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None

    def with_json(self, body: Any) -> "FaultResponse":
        """Return a copy with another JSON body."""
        return replace(self, raw=json.dumps(body).encode())

    def with_data(self, **changes: Any) -> "FaultResponse":
        """Return a copy with changed attributes of its record."""
        body = self.body
        return self.with_json({**body, "data": {**body["data"], **changes}})


CallNext = Callable[[FaultRequest], Any]


@dataclass(slots=True)
class FaultMiddleware:
    """Middleware that delegates to `fault(request, call_next, memory)`; `call_next` calls the application."""

    app: ASGIApp
    fault: Callable[[FaultRequest, CallNext, dict[str, Any]], Any]
    memory: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        raw, more = b"", True
        while more:  # the server sends a long body in several messages
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        path = scope["path"].removeprefix(BASE)
        request = FaultRequest(scope["method"], path, scope["query_string"].decode(), headers, raw)
        response = await self.fault(request, lambda other: self.call_app(scope, other), self.memory)
        headers = {**response.headers, "content-length": str(len(response.raw))}
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": response.status, "headers": pairs})
        await send({"type": "http.response.body", "body": response.raw, "more_body": False})

    async def call_app(self, scope: Scope, request: FaultRequest) -> FaultResponse:
        """Call the application and return its response."""
        base = BASE if scope["path"].startswith(BASE) else ""  # the paths of other contracts are unchanged
        headers = {**request.headers, "content-length": str(len(request.raw))}
        inner_scope = {
            **scope,
            "method": request.method,
            "path": f"{base}{request.path}",
            "raw_path": quote(f"{base}{request.path}").encode(),
            "query_string": request.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        }
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": request.raw, "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        await self.app(inner_scope, receive, send)
        headers = {name.decode(): value.decode("latin-1") for name, value in messages[0]["headers"]}
        headers.pop("content-length", None)
        return FaultResponse(
            messages[0]["status"], headers, b"".join(message.get("body", b"") for message in messages[1:])
        )


# Conforming variant: another serialization ---------------------------------------------------------------------------


def _to_php_json(value: Any) -> Any:
    """Serialize like PHP and MySQL: seconds, floats, empty objects as lists, reversed key order."""
    if isinstance(value, dict):
        return {n: _to_php_json(v) for n, v in reversed(value.items())} or []
    if isinstance(value, list):
        return [_to_php_json(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and len(value) > 18 and value[10:11] == "T" and value.endswith("Z"):
        return value[:19] + ".000000Z"
    return value


async def serialize_like_php(request: FaultRequest, ask: CallNext, memory: dict[str, Any]) -> FaultResponse:
    """Serialize every successful response like PHP."""
    response: FaultResponse = await ask(request)
    return response.with_json(_to_php_json(response.body)) if response.raw and response.status < 300 else response
