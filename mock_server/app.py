"""The whole application: Connexion's stack with our routing, security and validation, and one layer around it.

That layer, `Edge`, opens the exchange, says who may speak to the mock, serves what is not the API, and is the one place
where a refusal becomes an answer.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any, Protocol

from connexion.middleware import ConnexionMiddleware
from connexion.resolver import Resolution, Resolver
from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server import actions, body, origin, parameters, security, validation
from mock_server.console import RequestLog, escape_unprintable
from mock_server.docs import Docs
from mock_server.endpoint import Endpoint, RunAction
from mock_server.exchange import CONTEXT_KEY, INTERNAL_REQUEST_KEY, RequestContext, send_response
from mock_server.house import ALLOWED_METHODS, SystemRoutes
from mock_server.origin import CorsPolicy, HostPolicy
from mock_server.pages import asked
from mock_server.problems import ApiError, ErrorKind
from mock_server.routing import Routes, RoutingMiddleware
from mock_server.security import FastPathSecurityMiddleware, security_map
from mock_server.validation import ValidationMiddleware
from mock_server.world import STANDING_TOKENS, World
from spec.contract import Contract

_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_ID_HEADER = b"x-request-id"
# The type of a scope whose request broke before it was begun.
GIVEN_UP = "given-up"
_log = logging.getLogger("mock_server")


class Manners(Protocol):
    """What of the settings the application asks for."""

    @property
    def allowed_hosts(self) -> tuple[str, ...]: ...
    @property
    def cors_origins(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class Open:
    """Manners for tests and for programs that embed the mock."""

    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()


class _Lookup(Resolver):  # type: ignore[misc]
    """Resolves nothing: every operation ends in the same endpoint, which finds its action by name."""

    def __init__(self, endpoint: ASGIApp) -> None:
        self.endpoint = endpoint

    def resolve(self, operation: Any) -> Resolution:
        return Resolution(self.endpoint, operation.operation_id)


@dataclass(frozen=True, slots=True)
class Edge:
    """The outermost layer. `reads`: names of the headers that the mock reads, and all that layers get to see.

    `numbers`: the ids of requests that bring none.
    """

    api: ASGIApp
    routes: Routes
    house: SystemRoutes
    hosts: HostPolicy
    cors: CorsPolicy
    console: RequestLog
    world: World
    reads: frozenset[bytes]
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.live(scope, receive, send)
            return
        exchange = self.open(scope)
        try:
            await self.serve(exchange, scope, receive, send)
            if exchange.notes:
                self.console.log_notes(exchange)
        except ApiError as refusal:
            self.tell(exchange, refusal)
            await self.refuse(exchange, refusal, send)
        except Exception:
            _log.exception("request %s failed", exchange.id)
            self.console.log_failure(exchange)
            await self.refuse(exchange, ApiError(ErrorKind.INTERNAL_ERROR), send)
        if b"origin" in exchange.headers or (_log.isEnabledFor(logging.INFO) and INTERNAL_REQUEST_KEY not in scope):
            self.answered(exchange)

    async def serve(self, exchange: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the API, or as the house. Raises Refusal."""
        exchange.base_url, exchange.notes = self.hosts.get_base_url(scope, exchange.headers)
        if exchange.method == "OPTIONS" and b"access-control-request-method" in exchange.headers:
            await self.preflight(exchange, send)
        elif self.is_api(exchange.raw_path):
            if not await self.again(exchange, send):
                await self.api(scope, receive, send)
        elif not await self.house.serve(exchange, send):
            await self.api(scope, receive, send)

    async def again(self, exchange: RequestContext, send: Send) -> bool:
        """Answer what was asked before as it was answered then, if that still holds; whether it does."""
        if exchange.method not in ("GET", "HEAD") or exchange.notes:
            return False
        world = self.world
        world.due(exchange.now)
        said = exchange.cache_key = asked(
            exchange.method, exchange.raw_path, exchange.raw_query, exchange.base_url, exchange.headers
        )
        kept = world.pages.get(said)
        if kept is None or (kept.token is not None and world.viewer(kept.token, exchange.now) != kept.viewer):
            return False
        await send_response(send, exchange, kept.status, kept.body)
        return True

    def refusing(self, refusal: ApiError) -> ASGIApp:
        """The application for what is refused before it is a request."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            exchange = self.open(scope)
            self.tell(exchange, refusal)
            await self.refuse(exchange, refusal, send)

        return app

    def is_api(self, path: bytes) -> bool:
        """Whether a path is the API's. Of a contract without a base path only its own paths are, else the house's."""
        base = self.routes.base_path
        return path.startswith(base + b"/") if base else self.routes.find(path) is not None

    async def live(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start and stop with the server; no web sockets, and nothing of what was given up before it was begun."""
        if scope["type"] == "lifespan":
            await self.api(scope, receive, send)
        elif scope["type"] != GIVEN_UP:
            await send({"type": "websocket.close", "code": 1000})

    def open(self, scope: Scope) -> RequestContext:
        """The exchange of a new request."""
        every: dict[bytes, bytes] = dict(scope["headers"])
        sent = every.get(_ID_HEADER)
        reads = self.reads
        headers = {name: value for name, value in every.items() if name in reads}
        if INTERNAL_REQUEST_KEY in scope:
            sent = b"own"
        identity = sent if sent is not None and _ID.fullmatch(sent) else b"%d" % next(self.numbers)
        path = scope.get("raw_path")
        exchange = scope[CONTEXT_KEY] = RequestContext(
            identity.decode(),
            scope["method"],
            scope["path"].encode() if path is None else path,
            scope["query_string"],
            headers,
            [(_ID_HEADER, identity), *self.cors.get_response_headers(headers)],
            "",
            self.world.clock.now(),
        )
        exchange.is_head = exchange.method == "HEAD"
        return exchange

    async def preflight(self, exchange: RequestContext, send: Send) -> None:
        """Answer a browser's question. To an unknown path the answer is yes, so that the 404 itself can be read."""
        match = self.routes.find(exchange.raw_path)
        inside = exchange.raw_path.startswith(self.routes.base_path + b"/")
        methods = (
            match.route.allowed_methods
            if match
            else "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
            if inside
            else ALLOWED_METHODS
        )
        await send_response(
            send,
            exchange,
            204,
            headers={"Allow": methods} | self.cors.build_preflight_headers(exchange.headers, methods),
        )

    def tell(self, exchange: RequestContext, refusal: ApiError) -> None:
        """One line on the console."""
        if not self.console.quiet:
            unknown = refusal.kind is ErrorKind.ROUTE_NOT_FOUND
            self.console.log_error(exchange, self.routes.not_found_error(exchange.display_path) if unknown else refusal)

    def answered(self, exchange: RequestContext) -> None:
        """What is told of any answer: one line on the console for each origin whose pages may not read, and the log."""
        news = (
            self.cors.explain_denial(exchange.get_header(b"origin"), f"{exchange.base_url}/")
            if b"origin" in exchange.headers
            else None
        )
        if news is not None:
            self.console.write(exchange, exchange.status, f"cross-origin: {news}")
        said = f"{exchange.status} {exchange.method} {exchange.display_path[:600]} [req {exchange.id}]"
        _log.info("%s", escape_unprintable(said))

    async def refuse(self, exchange: RequestContext, refusal: ApiError, send: Send) -> None:
        """Send a refusal."""
        headers = {"X-Mock-Reason": refusal.reason, **refusal.headers}
        await send_response(send, exchange, refusal.status, refusal.encode_body(), headers=headers)


def create_app(
    contract: Contract, world: World, manners: Manners, *, console: RequestLog, run: RunAction = actions.run_action
) -> Edge:
    """The application that serves `contract` in `world`. Raises ContractError for what it cannot serve."""
    routes = Routes.from_contract(contract)
    endpoint = Endpoint(world, run)
    api = ConnexionMiddleware(
        endpoint,
        middlewares=[RoutingMiddleware, FastPathSecurityMiddleware, ValidationMiddleware],
        security_map=security_map(contract, world),
        resolver=_Lookup(endpoint),
    )
    api.add_api(
        _skeleton(contract),
        routes=routes,
        world=world,
        contract=contract,
        schemas=world.schemas,
        look_up=endpoint.check_path_record,
    )
    house = SystemRoutes(Docs.from_contract(contract, next(iter(STANDING_TOKENS))), world)
    hosts = HostPolicy(frozenset(host.lower() for host in manners.allowed_hosts))
    cors = CorsPolicy(frozenset(origin.lower().rstrip("/") for origin in manners.cors_origins))
    said = (
        origin.READ_HEADERS,
        body.READ_HEADERS,
        validation.READ_HEADERS,
        security.list_credential_headers(contract),
        parameters.list_header_names(contract),
    )
    return Edge(api, routes, house, hosts, cors, console, world, frozenset(chain.from_iterable(said)))


def _skeleton(contract: Contract) -> dict[str, Any]:
    """What Connexion needs of the contract: operations and their security.

    The rest is ours to hold requests against; Connexion's check of the whole document took a fifth of a second.
    """
    paths: dict[str, Any] = {}
    for operation in contract.operations.values():
        paths.setdefault(operation.path, {})[operation.method] = {
            "operationId": operation.id,
            "security": [{name: [] for name in alternative} for alternative in operation.security],
            "responses": {str(operation.envelope.status): {"description": operation.summary}},
        }
    return {
        "openapi": "3.0.3",
        "info": {"title": contract.title, "version": contract.version},
        "servers": [{"url": contract.base_path or "/"}],
        "paths": paths,
        "components": {"securitySchemes": {name: dict(said) for name, said in contract.security_schemes.items()}},
    }
