"""A fault planted into an application: an ASGI wrapper that knows HTTP and the contract, not what it stands around.

A fault is a coroutine function `fault(asked, ask) -> Answered`: it gets each request to its operation, may ask the
application whatever it likes (this request, another, several or none), and says what is answered.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spec.contract import Contract, Operation

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `path`: below the base path, as sent. `values`: of the path's parameters, decoded. `headers`:
    lower-case names. `operation`: what it asks for. `method`: upper case, where it is another than the operation's
    (its path has none for it), else ""."""

    operation: Operation
    path: str
    values: Mapping[str, str]
    query: Pairs
    headers: Mapping[str, str]
    body: bytes
    method: str = ""

    @property
    def json(self) -> Any:
        """The body's JSON; None when it is none."""
        return _json(self.body)

    def saying(self, body: Any) -> "Asked":
        """The same with another JSON body."""
        return replace(
            self, body=json.dumps(body).encode(), headers={**self.headers, "content-type": "application/json"}
        )

    def querying(self, pairs: Pairs) -> "Asked":
        """The same with another query."""
        return replace(self, query=pairs)

    def having(self, **headers: str | None) -> "Asked":
        """The same with other headers (underscores stand for hyphens); None takes one away."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={n: v for n, v in {**self.headers, **changed}.items() if v is not None})

    def of(self, operation: Operation, *values: object, query: Pairs = ()) -> "Asked":
        """A request of the same client to another operation, without a body."""
        named = dict(zip(operation.path_parameter_names, map(str, values), strict=True))
        path = operation.path
        for name, value in named.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        kept = {n: v for n, v in self.headers.items() if n not in ("content-type", "content-length")}
        return Asked(operation, path, named, query, kept, b"")


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer. `headers`: lower-case names, without content-length."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON; None when it is none."""
        return _json(self.body)

    @property
    def ok(self) -> bool:
        """Whether it is a success."""
        return 200 <= self.status < 300

    def showing(self, body: Any) -> "Answered":
        """The same with another JSON body."""
        return replace(self, body=_encoded(body))


Ask = Callable[[Asked], Awaitable[Answered]]
Fault = Callable[[Asked, Ask], Awaitable[Answered]]


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)  # a variant reads every answer, several times
    except ValueError:
        return None


def _encoded(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # beyond 64 bits
        return json.dumps(body, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Paths:
    """Which operations a path has. The one with the fewest template parts wins, before the method is looked at."""

    base: str
    found: tuple[tuple[re.Pattern[str], Mapping[str, Operation]], ...]

    @classmethod
    def of(cls, contract: Contract) -> "Paths":
        """Those of a contract."""
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in contract.operations.values():
            by_path.setdefault(operation.path, {})[operation.method] = operation
        ordered = sorted(by_path.items(), key=lambda item: item[0].count("{"))
        return cls(contract.base_path, tuple((_pattern(path), methods) for path, methods in ordered))

    def match(self, path: str) -> tuple[Mapping[str, Operation], tuple[str, ...]] | None:
        """The operations of a path as sent, by method, and the values in it."""
        if not path.startswith(self.base):
            return None
        for pattern, methods in self.found:
            found = pattern.fullmatch(path.removeprefix(self.base))
            if found:
                return methods, tuple(map(unquote, found.groups()))
        return None


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile("".join("([^/]+)" if part[:1] == "{" else re.escape(part) for part in re.split(r"({\w+})", path)))


@dataclass(frozen=True, slots=True)
class Planted:
    """The application with a fault in some of its operations. `operations`: their operationIds; empty: in all."""

    app: ASGIApp
    paths: Paths
    operations: frozenset[str]
    fault: Fault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = await self._asked(scope, receive) if scope["type"] == "http" else None
        if asked is None:
            await self.app(scope, receive, send)
            return
        answered = await self.fault(asked, lambda other: self._ask(scope, other))
        headers = {**answered.headers, "content-length": str(len(answered.body))}
        said = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answered.status, "headers": said})
        await send({"type": "http.response.body", "body": answered.body, "more_body": False})

    async def _asked(self, scope: Scope, receive: Receive) -> Asked | None:
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0]
        found = self.paths.match(path)
        if found is None:
            return None
        methods, parts = found
        here = [o for o in methods.values() if not self.operations or o.id in self.operations]
        operation = methods.get(scope["method"].lower()) or next(iter(here), None)
        if operation is None or operation not in here:
            return None
        values = dict(zip(operation.path_parameter_names, parts, strict=True))
        query = tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _whole(receive)
        method = "" if scope["method"].lower() == operation.method else scope["method"]
        return Asked(operation, path.removeprefix(self.paths.base), values, query, headers, body, method)

    async def _ask(self, scope: Scope, asked: Asked) -> Answered:
        """What the application answers."""
        path = self.paths.base + asked.path
        headers = {n: v for n, v in asked.headers.items() if n != "content-length"}
        if asked.body:
            headers["content-length"] = str(len(asked.body))
        passed = {
            **scope,
            "method": asked.method or asked.operation.method.upper(),
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "query_string": urlencode(asked.query).encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        }
        sent = Sent()
        await self.app(passed, _once(asked.body), sent)
        answered = sent.answered()
        return replace(answered, headers={n: v for n, v in answered.headers.items() if n != "content-length"})


@dataclass(slots=True)
class Sent:
    """Gathers what an application sends."""

    messages: list[Message] = field(default_factory=list)

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)

    def answered(self) -> Answered:
        """All of it as one answer."""
        start, *rest = self.messages
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in start["headers"]}
        return Answered(start["status"], headers, b"".join(message.get("body", b"") for message in rest))


def _once(body: bytes) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    return receive


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)
