"""The outermost ASGI application.

It creates the request context, enforces host and CORS rules, serves system routes and converts each `ApiError` to a
response.
"""

import logging
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.errors import ApiError, ErrorKind, deleted_sandbox_error
from mock_server.sandbox.journal import RequestJournal
from mock_server.sandbox.sandbox import Sandbox
from mock_server.static_responses.error_responses import ErrorResponses
from mock_server.store.errors import StoreFull, StoreReadOnly, to_store_failure
from mock_server.web.context import (
    ABORTED_SCOPE_TYPE,
    CONTEXT_KEY,
    KEEP_ALIVE_KEY,
    READ_METHODS,
    RequestContext,
    send_response,
)
from mock_server.web.faults import CapturedResponse, capture_response
from mock_server.web.forced_responses import EXPLAIN_HEADER, ResponseForcer
from mock_server.web.hosts_and_cors import CorsPolicy, HostPolicy
from mock_server.web.request_log import RequestLog, escape_unprintable
from mock_server.web.routing import Routes
from mock_server.web.rule_responses import RuleResponder
from mock_server.web.sandbox_selection import (
    AUTHORIZATION,
    BAGGAGE_HEADER,
    CONTROL_PREFIX,
    HOST_SUFFIX,
    SANDBOX_HEADER,
    SYSTEM_PREFIX,
    TOKEN_SEPARATOR_BYTE,
    SandboxSelector,
)

ALL_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_REQUEST_ID_PATTERN = re.compile(rb"[A-Za-z0-9_.-]{1,64}")
_REQUEST_ID_HEADER = b"x-request-id"
# Lists, which may be in several lines (RFC 9110, section 5.3).
_LIST_HEADERS = frozenset({b"accept", SANDBOX_HEADER, BAGGAGE_HEADER})
_KEEP_ALIVE_HEADERS = (b"connection", b"keep-alive")
_METHODS_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_FALSE_VALUES = (b"", b"0", b"false")  # of X-Mock-Explain
_FAILURE_KINDS = {StoreFull: ErrorKind.STORE_FULL, StoreReadOnly: ErrorKind.STORE_READ_ONLY}
# The values of X-Mock-Reason whose details are recorded: these never contain what the client has sent.
_ACCESS_REASONS = frozenset({ErrorKind.UNAUTHENTICATED.value.reason, ErrorKind.CSRF_MISMATCH.value.reason})
_log = logging.getLogger("mock_server")

# Sends the explanation of a response.
Explain = Callable[[RequestContext, CapturedResponse, Send], Awaitable[None]]
ControlApp = Callable[[RequestContext, Scope, Receive, Send], Awaitable[None]]


class ConsoleApp(Protocol):
    """Serves pages that use the control API of `app`."""

    def has_page(self, raw_path: bytes) -> bool: ...

    async def __call__(
        self, app: ASGIApp, context: RequestContext, scope: Scope, receive: Receive, send: Send
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class MockApp:
    """The outermost ASGI application.

    `serve_system_route`: sends the response for a path outside the API, and returns whether it did. `allowed_headers`:
    request headers passed to inner layers. `sandbox`: the default one. `system_paths`: paths to suggest in the log of
    an unknown path. `control`: serves the paths below CONTROL_PREFIX; None if they do not exist. `rare_headers`: those
    that may select a sandbox or force a response. `error_responses`: None: errors have Laravel's bodies.
    `request_ids`: ids of requests without X-Request-Id. `console`: None if there is no control API.
    """

    api: ASGIApp
    routes: Routes
    serve_system_route: Callable[[RequestContext, Send], Awaitable[bool]]
    host_policy: HostPolicy
    cors_policy: CorsPolicy
    request_log: RequestLog
    sandbox: Sandbox
    allowed_headers: frozenset[bytes]
    system_paths: Collection[str] = ()
    selector: SandboxSelector | None = None
    control: ControlApp | None = None
    forcer: ResponseForcer | None = None
    rule_responder: RuleResponder | None = None
    explain: Explain | None = None
    rare_headers: frozenset[bytes] = frozenset()
    error_responses: ErrorResponses | None = None
    request_ids: Iterator[bytes] = field(default_factory=lambda: map(b"%d".__mod__, count(1)))
    console: ConsoleApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.handle_lifespan(scope, receive, send)
            return
        context = self.start_request(scope)
        try:
            await self.serve(context, scope, receive, send)
            if context.notes:
                self.request_log.write(context, context.status, "ignored: " + ", ".join(context.notes))
        except ApiError as error:
            await self.reject(context, error, send)
        except Exception as error:
            await self.handle_failure(context, error, send)
        if context.is_recorded and (journal := context.sandbox.journal) is not None:
            _record_request(journal, context, scope)
            context.receive = None  # it refers to the scope, which contains the context
        if b"origin" in context.headers or _log.isEnabledFor(logging.INFO):
            self.log_response(context)

    async def handle_failure(self, context: RequestContext, error: Exception, send: Send) -> None:
        """Respond to a request that failed because of its store, or because of a defect."""
        failure = to_store_failure(error)
        if context.sandbox.is_deleted and isinstance(error, sqlite3.ProgrammingError):  # its store is closed
            await self.reject(context, deleted_sandbox_error(context.sandbox.name), send)
        elif failure is not None:
            kind = next((k for cls, k in _FAILURE_KINDS.items() if isinstance(failure, cls)), ErrorKind.STORE_FAILED)
            api_error = ApiError(kind, cause=str(failure))
            await self.reject(context, api_error, send)
        else:
            _log.exception("request %s failed", context.id)
            self.request_log.write(context, 500, "internal-error: a defect of the mock; the log contains the traceback")
            await self.send_error(context, ApiError(ErrorKind.INTERNAL_ERROR), send)

    async def serve(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response of the API or of a system route. Raises ApiError."""
        context.base_url, context.notes = self.host_policy.get_base_url(scope, context.headers)
        # One expression, since each request pays for it: whether it may name a sandbox or ask for a response. To search
        # bytes in bytes with `in` takes 0.3 microseconds: CPython first tries to convert the operand to an integer.
        headers, selector = context.headers, self.selector
        is_api_path = self.is_api_path(context.raw_path)
        is_special = selector is not None and (
            not is_api_path
            or not self.rare_headers.isdisjoint(headers)
            or TOKEN_SEPARATOR_BYTE in headers.get(AUTHORIZATION, b"")
            or HOST_SUFFIX in context.base_url
            or (context.raw_query and context.raw_query.find(b"__") >= 0)
        )
        if is_special and selector is not None:
            await selector.select(context)
            is_api_path = self.is_api_path(context.raw_path)
        sandbox, method = context.sandbox, context.method
        if sandbox.journal is not None:  # a request without a valid host or sandbox is not recorded
            context.is_recorded = True
            if method not in _METHODS_WITHOUT_BODY:
                context.expect_body(receive)
        if method == "OPTIONS" and b"access-control-request-method" in headers:
            await self.respond_to_preflight(context, send)
        elif is_api_path:
            if is_special or sandbox.rules.rules:
                sandbox.pending_requests += 1
                try:
                    await self.serve_api(context, scope, receive, send)
                finally:
                    sandbox.pending_requests -= 1
            else:
                await self.api(scope, receive, send)
        else:
            await self.serve_other(context, scope, receive, send)

    async def serve_other(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response of test control, the console, a system route, or for an unknown path. Raises ApiError."""
        if self.control is not None and context.raw_path.startswith(CONTROL_PREFIX):
            context.is_recorded = False
            await self.control(context, scope, receive, send)
        elif self.console is not None and self.console.has_page(context.raw_path):
            context.is_recorded, context.receive = False, None
            await self.console(self, context, scope, receive, send)
        elif await self.serve_system_route(context, send):
            context.is_recorded = False
        else:
            await self.api(scope, receive, send)

    async def serve_api(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response, or its explanation if the request asks for that. Raises ApiError."""
        value = context.headers.get(EXPLAIN_HEADER, b"").strip().lower()
        if self.explain is None or value in _FALSE_VALUES:
            await self.serve_controlled(context, scope, receive, send)
            return

        async def respond(captured_send: Send) -> None:
            try:
                await self.serve_controlled(context, scope, receive, captured_send)
            except ApiError as error:
                await self.reject(context, error, captured_send)

        captured = await capture_response(respond)
        if captured.status:  # no fault has closed the connection
            await self.explain(context, captured, send)

    async def serve_controlled(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response that the request or a rule of the sandbox forces, or the usual one. Raises ApiError."""
        if self.forcer is not None and await self.forcer.respond(context, send):
            return
        if self.rule_responder is not None and context.sandbox.rules.rules:
            await self.respond_by_rules(self.rule_responder, context, scope, receive, send)
        else:
            await self.api(scope, receive, send)

    async def respond_by_rules(
        self, responder: RuleResponder, context: RequestContext, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Send the response of a rule of the sandbox, or the usual one. Raises ApiError."""

        async def respond_as_usual(usual_receive: Receive, usual_send: Send) -> None:
            try:
                await self.api(scope, usual_receive, usual_send)
            except ApiError as error:
                await self.reject(context, error, usual_send)

        await responder.respond(context, scope, receive, send, respond_as_usual)

    def error_app(self, error: ApiError) -> ASGIApp:
        """Return an application that responds with `error`, for requests that the HTTP layer rejects."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            context = self.start_request(scope)
            await self.reject(context, error, send)

        return app

    def is_api_path(self, path: bytes) -> bool:
        """Whether a path is below a base path of the contract; without one, whether a route has it."""
        routes = self.routes
        if not routes.has_root:
            return path.startswith(routes.prefixes) or path in routes.literal_matches
        return not path.startswith(SYSTEM_PREFIX) and routes.find(path) is not None

    async def handle_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle startup and shutdown, and close WebSocket connections."""
        if scope["type"] == "lifespan":
            await self.api(scope, receive, send)
        elif scope["type"] != ABORTED_SCOPE_TYPE:
            await send({"type": "websocket.close", "code": 1000})

    def start_request(self, scope: Scope) -> RequestContext:
        """Create the context of a request and store it in the scope."""
        all_headers: dict[bytes, bytes] = dict(scope["headers"])
        if len(all_headers) != len(scope["headers"]):
            for name in _LIST_HEADERS & all_headers.keys():
                all_headers[name] = b", ".join(value for other, value in scope["headers"] if other == name)
        allowed_headers = self.allowed_headers
        headers = {name: value for name, value in all_headers.items() if name in allowed_headers}
        request_id = all_headers.get(_REQUEST_ID_HEADER)
        if request_id is None or not _REQUEST_ID_PATTERN.fullmatch(request_id):
            request_id = next(self.request_ids)
        raw_path = scope.get("raw_path")
        clock = self.sandbox.clock
        received_at = clock.source()
        context = scope[CONTEXT_KEY] = RequestContext(
            request_id.decode(),
            scope["method"],
            scope["path"].encode() if raw_path is None else raw_path,
            scope["query_string"],
            headers,
            [
                (_REQUEST_ID_HEADER, request_id),
                *self.cors_policy.get_response_headers(headers),
                *scope.get(KEEP_ALIVE_KEY, ()),
            ],
            "",
            clock.convert(received_at),
            self.sandbox,
            received_at,
            time.perf_counter(),
        )
        return context

    async def respond_to_preflight(self, context: RequestContext, send: Send) -> None:
        """Respond to a CORS preflight. An unknown path is allowed, so that the page can read the 404."""
        context.is_recorded = False
        match = self.routes.find(context.raw_path)
        if match is not None:
            methods = match.route.allowed_methods
        else:
            is_below_base = context.raw_path.startswith((*self.routes.prefixes, CONTROL_PREFIX))
            methods = ALL_METHODS if is_below_base else READ_METHODS
        headers = {"Allow": methods} | self.cors_policy.build_preflight_headers(context.headers, methods)
        await send_response(send, context, 204, headers=headers)

    async def reject(self, context: RequestContext, error: ApiError, send: Send) -> None:
        """Log an error and send its response."""
        if self.error_responses is not None:
            error.status = self.error_responses.find_status(context.operation, error)
        self.log_error(context, error)
        await self.send_error(context, error, send)

    def log_error(self, context: RequestContext, error: ApiError) -> None:
        """Print one line for an error; for an unknown route with the most similar routes."""
        if not self.request_log.quiet:
            if error.kind is ErrorKind.ROUTE_NOT_FOUND:
                error = self.routes.not_found_error(context.display_path, self.system_paths)
            self.request_log.log_error(context, error)
        context.rejection = (error.reason, error.detail, error.location)

    def log_response(self, context: RequestContext) -> None:
        """Log the response. If the CORS rules deny it to the origin of the request, print a line, once per origin."""
        if b"origin" in context.headers:
            denial = self.cors_policy.explain_denial(context.headers, f"{context.base_url}/")
            if denial is not None:
                self.request_log.write(context, context.status, f"cross-origin: {denial}")
        line = f"{context.status} {context.method} {context.display_path[:600]} [req {context.id}]"
        _log.info("%s", escape_unprintable(line))

    async def send_error(self, context: RequestContext, error: ApiError, send: Send) -> None:
        headers = {"X-Mock-Reason": error.reason, **error.headers}
        if "Connection" in headers:
            context.response_headers = [h for h in context.response_headers if h[0] not in _KEEP_ALIVE_HEADERS]
        if self.error_responses is None or context.raw_path.startswith(SYSTEM_PREFIX):
            await send_response(send, context, error.status, error.encode_body(), headers=headers)
            return
        body, content_type = self.error_responses.encode(context.operation, error)
        await send_response(
            send, context, error.status, body, content_type=(b"content-type", content_type), headers=headers
        )


def _record_request(journal: RequestJournal, context: RequestContext, scope: Scope) -> None:
    """Record a request in the journal of its sandbox."""
    journal.record(
        context.id,
        context.received_at,
        context.now,
        time.perf_counter() - context.started_at,
        context.method,
        context.base_url,
        scope.get("raw_path") or scope["path"].encode(),
        scope["query_string"],
        scope["headers"],
        context.raw_body,
        context.status,
        context.response_headers,
        context.response_body,
        context.response_parts,
        context.source,
        context.fault,
        context.rejection[1] if context.rejection is not None and context.rejection[0] in _ACCESS_REASONS else "",
    )
