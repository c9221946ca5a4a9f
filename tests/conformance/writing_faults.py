"""Faults in writing for a mock in process: an application around it that changes a request, its answer, or both."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BASE = "/api/v1"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request below the base path. `headers`: lower-case names; `body`: JSON, None without one."""

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

    def saying(self, body: Any) -> "Asked":
        """The same with another JSON body."""
        return replace(self, raw=json.dumps(body).encode())

    def by(self, token: str) -> "Asked":
        """The same from somebody else."""
        return replace(self, headers={**self.headers, "authorization": f"Bearer {token}"})


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer. `headers`: lower-case names."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None

    def showing(self, body: Any) -> "Answered":
        """The same with another JSON body."""
        return replace(self, raw=json.dumps(body).encode())

    def with_data(self, **changes: Any) -> "Answered":
        """The same with changes to the record that it shows."""
        shown = self.body
        return self.showing({**shown, "data": {**shown["data"], **changes}})


Next = Callable[[Asked], Any]


@dataclass(slots=True)
class Faulty:
    """The application behind a fault. `fault(asked, ask, memory)` answers; `ask` asks the application."""

    app: ASGIApp
    fault: Callable[[Asked, Next, dict[str, Any]], Any]
    memory: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        raw, more = b"", True
        while more:  # a server hands a long body on in pieces
            message = await receive()
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        path = scope["path"].removeprefix(BASE)
        asked = Asked(scope["method"], path, scope["query_string"].decode(), headers, raw)
        answered = await self.fault(asked, lambda other: self.ask(scope, other), self.memory)
        lines = {**answered.headers, "content-length": str(len(answered.raw))}
        said = [(name.encode(), value.encode("latin-1")) for name, value in lines.items()]
        await send({"type": "http.response.start", "status": answered.status, "headers": said})
        await send({"type": "http.response.body", "body": answered.raw, "more_body": False})

    async def ask(self, scope: Scope, asked: Asked) -> Answered:
        """What the application answers."""
        base = BASE if scope["path"].startswith(BASE) else ""  # another contract's path stands as it was sent
        lines = {**asked.headers, "content-length": str(len(asked.raw))}
        passed = {
            **scope,
            "method": asked.method,
            "path": f"{base}{asked.path}",
            "raw_path": quote(f"{base}{asked.path}").encode(),
            "query_string": asked.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in lines.items()],
        }
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": asked.raw, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(passed, receive, send)
        headers = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        headers.pop("content-length", None)
        return Answered(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))


# No fault: another way to write the same ---------------------------------------------------------------------------


def _written_in_php(shown: Any) -> Any:
    """As PHP and MySQL write: whole seconds, numbers with a point, empty objects as lists, keys the other way."""
    if isinstance(shown, dict):
        return {n: _written_in_php(v) for n, v in reversed(shown.items())} or []
    if isinstance(shown, list):
        return [_written_in_php(v) for v in shown]
    if isinstance(shown, int) and not isinstance(shown, bool):
        return float(shown)
    if isinstance(shown, str) and len(shown) > 18 and shown[10:11] == "T" and shown.endswith("Z"):
        return shown[:19] + ".000000Z"
    return shown


async def is_written_in_php(asked: Asked, ask: Next, memory: dict[str, Any]) -> Answered:
    """Every success is written so."""
    answered: Answered = await ask(asked)
    return answered.showing(_written_in_php(answered.body)) if answered.raw and answered.status < 300 else answered
