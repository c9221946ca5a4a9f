"""The whole application: Connexion's stack with our routing, security and validation, and one layer around it.

That layer, `MockApp`, opens the exchange, says who may speak to the mock, serves what is not the API, and is the one place
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

from mock_server import actions
from mock_server.errors import ApiError, ErrorKind
from mock_server.sandbox.response_cache import build_cache_key
from mock_server.sandbox.sandbox import BUILTIN_TOKENS, Sandbox
from mock_server.system_routes.docs import Docs
from mock_server.system_routes.router import ALLOWED_METHODS, SystemRoutes
from mock_server.web import body, hosts_and_cors, parameters, security, validation
from mock_server.web.context import CONTEXT_KEY, INTERNAL_REQUEST_KEY, RequestContext, send_response
from mock_server.web.endpoint import Endpoint, RunAction
from mock_server.web.hosts_and_cors import CorsPolicy, HostPolicy
from mock_server.web.request_log import RequestLog, escape_unprintable
from mock_server.web.routing import Routes, RoutingMiddleware
from mock_server.web.security import FastPathSecurityMiddleware, security_map
from mock_server.web.validation import ValidationMiddleware
from spec.loader import Contract

_REQUEST_ID_PATTERN = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_REQUEST_ID_HEADER = b"x-request-id"
# The type of a scope whose request broke before it was begun.
ABORTED_SCOPE_TYPE = "given-up"
_log = logging.getLogger("mock_server")


class AppConfig(Protocol):
    """What of the settings the application asks for."""

    @property
    def allowed_hosts(self) -> tuple[str, ...]: ...
    @property
    def cors_origins(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class PermissiveAppConfig:
    """Manners for tests and for programs that embed the mock."""

    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()


class _EndpointResolver(Resolver):  # type: ignore[misc]
    """Resolves nothing: every operation ends in the same endpoint, which finds its action by name."""

    def __init__(self, endpoint: ASGIApp) -> None:
        self.endpoint = endpoint

    def resolve(self, operation: Any) -> Resolution:
        return Resolution(self.endpoint, operation.operation_id)


@dataclass(frozen=True, slots=True)
class MockApp:
    """The outermost layer. `allowed_headers`: names of the headers that the mock reads, and all that layers get to see.

    `request_ids`: the ids of requests that bring none.
    """

    api: ASGIApp
    routes: Routes
    system_routes: SystemRoutes
    host_policy: HostPolicy
    cors_policy: CorsPolicy
    request_log: RequestLog
    sandbox: Sandbox
    allowed_headers: frozenset[bytes]
    request_ids: Iterator[int] = field(default_factory=lambda: count(1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.handle_lifespan(scope, receive, send)
            return
        context = self.start_request(scope)
        try:
            await self.serve(context, scope, receive, send)
            if context.notes:
                self.request_log.log_notes(context)
        except ApiError as error:
            self.log_error(context, error)
            await self.send_error(context, error, send)
        except Exception:
            _log.exception("request %s failed", context.id)
            self.request_log.log_failure(context)
            await self.send_error(context, ApiError(ErrorKind.INTERNAL_ERROR), send)
        if b"origin" in context.headers or (_log.isEnabledFor(logging.INFO) and INTERNAL_REQUEST_KEY not in scope):
            self.log_response(context)

    async def serve(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the API, or as the house. Raises Refusal."""
        context.base_url, context.notes = self.host_policy.get_base_url(scope, context.headers)
        if context.method == "OPTIONS" and b"access-control-request-method" in context.headers:
            await self.respond_to_preflight(context, send)
        elif self.is_api_path(context.raw_path):
            if not await self.respond_from_cache(context, send):
                await self.api(scope, receive, send)
        elif not await self.system_routes.serve(context, send):
            await self.api(scope, receive, send)

    async def respond_from_cache(self, context: RequestContext, send: Send) -> bool:
        """Answer what was asked before as it was answered then, if that still holds; whether it does."""
        if context.method not in ("GET", "HEAD") or context.notes:
            return False
        sandbox = self.sandbox
        sandbox.apply_scheduled_changes(context.now)
        key = context.cache_key = build_cache_key(
            context.method, context.raw_path, context.raw_query, context.base_url, context.headers
        )
        cached = sandbox.response_cache.get(key)
        if cached is None or (
            cached.token is not None and sandbox.resolve_token(cached.token, context.now) != cached.viewer
        ):
            return False
        await send_response(send, context, cached.status, cached.body)
        return True

    def error_app(self, error: ApiError) -> ASGIApp:
        """The application for what is refused before it is a request."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            context = self.start_request(scope)
            self.log_error(context, error)
            await self.send_error(context, error, send)

        return app

    def is_api_path(self, path: bytes) -> bool:
        """Whether a path is the API's. Of a contract without a base path only its own paths are, else the house's."""
        base_path = self.routes.base_path
        return path.startswith(base_path + b"/") if base_path else self.routes.find(path) is not None

    async def handle_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start and stop with the server; no web sockets, and nothing of what was given up before it was begun."""
        if scope["type"] == "lifespan":
            await self.api(scope, receive, send)
        elif scope["type"] != ABORTED_SCOPE_TYPE:
            await send({"type": "websocket.close", "code": 1000})

    def start_request(self, scope: Scope) -> RequestContext:
        """The exchange of a new request."""
        all_headers: dict[bytes, bytes] = dict(scope["headers"])
        client_id = all_headers.get(_REQUEST_ID_HEADER)
        allowed_headers = self.allowed_headers
        headers = {name: value for name, value in all_headers.items() if name in allowed_headers}
        if INTERNAL_REQUEST_KEY in scope:
            client_id = b"own"
        request_id = (
            client_id
            if client_id is not None and _REQUEST_ID_PATTERN.fullmatch(client_id)
            else b"%d" % next(self.request_ids)
        )
        raw_path = scope.get("raw_path")
        context = scope[CONTEXT_KEY] = RequestContext(
            request_id.decode(),
            scope["method"],
            scope["path"].encode() if raw_path is None else raw_path,
            scope["query_string"],
            headers,
            [(_REQUEST_ID_HEADER, request_id), *self.cors_policy.get_response_headers(headers)],
            "",
            self.sandbox.clock.now(),
        )
        context.is_head = context.method == "HEAD"
        return context

    async def respond_to_preflight(self, context: RequestContext, send: Send) -> None:
        """Answer a browser's question. To an unknown path the answer is yes, so that the 404 itself can be read."""
        match = self.routes.find(context.raw_path)
        is_below_base = context.raw_path.startswith(self.routes.base_path + b"/")
        allowed_methods = (
            match.route.allowed_methods
            if match
            else "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
            if is_below_base
            else ALLOWED_METHODS
        )
        await send_response(
            send,
            context,
            204,
            headers={"Allow": allowed_methods}
            | self.cors_policy.build_preflight_headers(context.headers, allowed_methods),
        )

    def log_error(self, context: RequestContext, error: ApiError) -> None:
        """One line on the console."""
        if not self.request_log.quiet:
            is_unknown_route = error.kind is ErrorKind.ROUTE_NOT_FOUND
            self.request_log.log_error(
                context, self.routes.not_found_error(context.display_path) if is_unknown_route else error
            )

    def log_response(self, context: RequestContext) -> None:
        """What is told of any answer: one line on the console for each origin whose pages may not read, and the log."""
        cors_denial = (
            self.cors_policy.explain_denial(context.get_header(b"origin"), f"{context.base_url}/")
            if b"origin" in context.headers
            else None
        )
        if cors_denial is not None:
            self.request_log.write(context, context.status, f"cross-origin: {cors_denial}")
        line = f"{context.status} {context.method} {context.display_path[:600]} [req {context.id}]"
        _log.info("%s", escape_unprintable(line))

    async def send_error(self, context: RequestContext, error: ApiError, send: Send) -> None:
        """Send a refusal."""
        headers = {"X-Mock-Reason": error.reason, **error.headers}
        await send_response(send, context, error.status, error.encode_body(), headers=headers)


def create_app(
    contract: Contract,
    sandbox: Sandbox,
    config: AppConfig,
    *,
    request_log: RequestLog,
    run_action: RunAction = actions.run_action,
) -> MockApp:
    """The application that serves `contract` in `sandbox`. Raises ContractError for what it cannot serve."""
    routes = Routes.from_contract(contract)
    endpoint = Endpoint(sandbox, run_action)
    api = ConnexionMiddleware(
        endpoint,
        middlewares=[RoutingMiddleware, FastPathSecurityMiddleware, ValidationMiddleware],
        security_map=security_map(contract, sandbox),
        resolver=_EndpointResolver(endpoint),
    )
    api.add_api(
        _build_minimal_spec(contract),
        routes=routes,
        sandbox=sandbox,
        contract=contract,
        schemas=sandbox.validators,
        look_up=endpoint.check_path_record,
    )
    system_routes = SystemRoutes(Docs.from_contract(contract, next(iter(BUILTIN_TOKENS))), sandbox)
    host_policy = HostPolicy(frozenset(host.lower() for host in config.allowed_hosts))
    cors_policy = CorsPolicy(frozenset(origin.lower().rstrip("/") for origin in config.cors_origins))
    header_groups = (
        hosts_and_cors.READ_HEADERS,
        body.READ_HEADERS,
        validation.READ_HEADERS,
        security.list_credential_headers(contract),
        parameters.list_header_names(contract),
    )
    return MockApp(
        api,
        routes,
        system_routes,
        host_policy,
        cors_policy,
        request_log,
        sandbox,
        frozenset(chain.from_iterable(header_groups)),
    )


def _build_minimal_spec(contract: Contract) -> dict[str, Any]:
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
        "components": {"securitySchemes": {name: dict(scheme) for name, scheme in contract.security_schemes.items()}},
    }
