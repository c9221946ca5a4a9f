"""Fault injection into an ASGI application, by the operations of a contract.

A fault is a coroutine function `fault(request, call_next) -> response`. It receives each request to its operation,
may send any requests to the application with `call_next`, and returns the response.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

import orjson
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conformance.transport.credentials import CredentialFormat
from conformance.transport.routes import Router
from spec.model import Contract, Operation

QueryParameters = tuple[tuple[str, str], ...]
BEARER = CredentialFormat()


@dataclass(frozen=True, slots=True)
class InterceptedRequest:
    """A request. `path`: as sent, without the base path. `path_values`: decoded. `headers`: lower-case names.

    `method`: in upper case. `operation`: another one of the path if the contract has none for the method.
    """

    operation: Operation
    method: str
    path: str
    path_values: Mapping[str, str]
    query: QueryParameters
    headers: Mapping[str, str]
    body: bytes

    @property
    def has_documented_method(self) -> bool:
        """Whether the method is that of the operation."""
        return self.method.lower() == self.operation.method

    @property
    def json(self) -> Any:
        """The body as JSON; None when it is not JSON."""
        return _parse_json(self.body)

    def with_json(self, body: Any) -> "InterceptedRequest":
        """Copy with another JSON body."""
        headers = {**self.headers, "content-type": "application/json"}
        return replace(self, body=json.dumps(body).encode(), headers=headers)

    @property
    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is none."""
        body = self.json
        return body if isinstance(body, dict) else {}

    @property
    def key(self) -> str:
        """The first path value, or ""."""
        return next(iter(self.path_values.values()), "")

    def parameter_values(self, name: str) -> list[str]:
        """The values of a query parameter, with or without the `[]` suffix."""
        return [v for n, v in self.query if n.removesuffix("[]") == name]

    def with_parameters(self, values: Mapping[str, object]) -> "InterceptedRequest":
        """Copy with other values of query parameters; None removes a parameter."""
        others = tuple((n, v) for n, v in self.query if n.removesuffix("[]") not in values)
        return replace(self, query=(*others, *((n, str(v)) for n, v in values.items() if v is not None)))

    def with_headers(self, changes: Mapping[str, str | None]) -> "InterceptedRequest":
        """Copy with other headers; None removes a header."""
        return replace(self, headers={n: v for n, v in {**self.headers, **changes}.items() if v is not None})

    def with_token(self, token: str, place: CredentialFormat = BEARER) -> "InterceptedRequest":
        """Copy with another token at a place, by default the bearer token."""
        if place.location == "query":
            return self.with_parameters({place.name: token})
        headers: dict[str, str] = {}
        place.add(token, "", headers)
        return self.with_headers({name.lower(): value for name, value in headers.items()})

    def find_credential(self, place: CredentialFormat) -> str:
        """Return the value at the place of a credential, with its prefix; "" if there is none."""
        if place.location == "query":
            return next(iter(self.parameter_values(place.name)), "")
        if place.location == "header":
            return self.headers.get(place.name.lower(), "")
        cookies = (part.strip().partition("=") for part in self.headers.get("cookie", "").split(";"))
        return next((value for name, _, value in cookies if name == place.name), "")

    def follow_up(self, operation: Operation, *values: object) -> "InterceptedRequest":
        """A request of the same client to another operation, without a body."""
        path_values = dict(zip(operation.path_parameter_names, map(str, values), strict=True))
        path = operation.path
        for name, value in path_values.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        headers = {n: v for n, v in self.headers.items() if n not in ("content-type", "content-length")}
        return InterceptedRequest(operation, operation.method.upper(), path, path_values, (), headers, b"")


@dataclass(frozen=True, slots=True)
class InterceptedResponse:
    """A response. `headers`: lower-case names, without content-length."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None when it is not JSON."""
        return _parse_json(self.body)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def with_json(self, body: Any) -> "InterceptedResponse":
        """Copy with another JSON body."""
        return replace(self, body=_encode_json(body))

    def with_headers(self, changes: Mapping[str, str | None]) -> "InterceptedResponse":
        """Copy with other headers; None removes a header."""
        return replace(self, headers={n: v for n, v in {**self.headers, **changes}.items() if v is not None})

    def data(self, operation: Operation) -> Any:
        """The record or the rows in a response of `operation`; None when it is not successful."""
        name, body = operation.envelope.data_property, self.json if self.is_success else None
        return body.get(name) if name and isinstance(body, dict) else body

    def with_data(self, operation: Operation, data: Any) -> "InterceptedResponse":
        """Copy with another record or other rows."""
        name = operation.envelope.data_property
        return self.with_json({**self.json, name: data} if name else data)


CallNext = Callable[[InterceptedRequest], Awaitable[InterceptedResponse]]
Fault = Callable[[InterceptedRequest, CallNext], Awaitable[InterceptedResponse]]


def _parse_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)  # faster than json: a variant parses every response several times
    except ValueError:
        return None


def _encode_json(body: Any) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # an integer of more than 64 bits
        return json.dumps(body, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class FaultInjector:
    """ASGI middleware with a fault in some operations. `operations`: their operationIds; empty: all operations."""

    app: ASGIApp
    base_path: str
    router: Router
    operations: frozenset[str]
    fault: Fault

    @classmethod
    def create(cls, app: ASGIApp, contract: Contract, fault: Fault, operations: Iterable[str] = ()) -> "FaultInjector":
        """Inject a fault into an application that serves a contract."""
        return cls(app, contract.base_path, Router.from_contract(contract), frozenset(operations), fault)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await self._intercept(scope, receive) if scope["type"] == "http" else None
        if request is None:
            await self.app(scope, receive, send)
            return
        response = await self.fault(request, lambda inner_request: self._call_app(scope, inner_request))
        await StarletteResponse(response.body, response.status, response.headers)(scope, receive, send)

    async def _intercept(self, scope: Scope, receive: Receive) -> InterceptedRequest | None:
        path = scope.get("raw_path", scope["path"].encode()).decode("latin-1").partition("?")[0]
        path = path.removeprefix(self.base_path) if path.startswith(self.base_path) else ""
        route = self.router.match(path)
        if route is None:
            return None
        candidates = [o for o in route.operations.values() if not self.operations or o.id in self.operations]
        operation = route.operations.get(scope["method"].lower()) or next(iter(candidates), None)
        if operation is None or operation not in candidates:
            return None
        query = tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await StarletteRequest(scope, receive).body()
        return InterceptedRequest(operation, scope["method"], path, route.values, query, headers, body)

    async def _call_app(self, scope: Scope, request: InterceptedRequest) -> InterceptedResponse:
        path = self.base_path + request.path
        headers = {n: v for n, v in request.headers.items() if n != "content-length"}
        if request.body:
            headers["content-length"] = str(len(request.body))
        inner_scope = {
            **scope,
            "method": request.method,
            "path": unquote(path),
            "raw_path": path.encode("latin-1"),
            "query_string": urlencode(request.query).encode(),
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        }
        response = await call_asgi(self.app, inner_scope, request.body)
        return response.with_headers({"content-length": None})


async def call_asgi(app: ASGIApp, scope: Scope, body: bytes) -> InterceptedResponse:
    """Send a request with a body to an ASGI application and return the response."""
    incoming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    outgoing: list[Message] = []

    async def receive() -> Message:
        return incoming.pop() if incoming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        outgoing.append(message)

    await app(scope, receive, send)
    start, *rest = outgoing
    headers: dict[str, str] = {}
    for name, value in ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in start["headers"]):
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return InterceptedResponse(start["status"], headers, b"".join(message.get("body", b"") for message in rest))
