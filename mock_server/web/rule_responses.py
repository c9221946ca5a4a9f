"""Applies the rules of a sandbox to requests of the API."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send

from mock_server.json_encoding import encode_json
from mock_server.sandbox.journal import ResponseSource
from mock_server.sandbox.rules import (
    MatchedRequest,
    RateLimit,
    RateLimitCounter,
    Rule,
    RuleResponse,
    merge_patch,
    parse_json_body,
)
from mock_server.static_responses.success_responses import StaticResponse
from mock_server.web.context import JSON_CONTENT_TYPE, Header, RequestContext
from mock_server.web.faults import BODY_FAULTS, CapturedResponse, capture_response, inject_fault, send_with_fault
from mock_server.web.forced_responses import ResponseForcer, get_response_headers
from mock_server.web.routing import Routes
from spec.model import Operation

RULE_HEADER = b"x-mock-rule"
# Sends the usual response of a request, also if it is rejected.
RespondAsUsual = Callable[[Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RuleResponder:
    """Sends the responses of rules.

    `credential_headers`: names in lower case; a rate limit identifies a client by the first of them that is sent.
    """

    routes: Routes
    forcer: ResponseForcer
    credential_headers: Sequence[str] = ()

    async def respond(
        self, context: RequestContext, scope: Scope, receive: Receive, send: Send, respond_as_usual: RespondAsUsual
    ) -> None:
        """Send the response of the first rule that applies, else the usual one. Raises ApiError."""
        match = self.routes.find(context.raw_path)
        operation = match.route.find_operation(context.method) if match else None
        if match is None or operation is None:
            await respond_as_usual(receive, send)
            return
        body: bytes | None = None
        if any(rule.match.has_body for rule in context.sandbox.rules.rules):
            body, receive = await _read_body(receive)
            context.raw_body = body
        path = context.display_path.removeprefix(match.route.base_path)
        request = MatchedRequest.from_bytes(operation, context.method, path, context.raw_query, scope["headers"], body)
        rule_and_response = context.sandbox.rules.find_response(request, context.sandbox.seed)
        if rule_and_response is None:
            await respond_as_usual(receive, send)
            return
        rule, response = rule_and_response
        response = self._prepare(context, request, rule, response)
        if response.delay_ms:
            await context.delay_response(response.delay_ms / 1000)
        if response.fault is not None and response.fault not in BODY_FAULTS:
            await context.record_unread_body()
            seed = f"{context.sandbox.seed}/{rule.name}/{rule.hits}"
            await inject_fault(context, response.fault, seed, scope, receive)
            return
        captured = self.create_response(context, operation, response)
        if captured is None:
            captured = await capture_response(lambda captured_send: respond_as_usual(receive, captured_send))
            context.source = ResponseSource.RULE  # also if the response cache served the usual response
        await _send_response(context, scope, send, response, captured)

    def _prepare(
        self, context: RequestContext, request: MatchedRequest, rule: Rule, response: RuleResponse
    ) -> RuleResponse:
        """Record in the context that a rule applies; return its response after its rate limit was applied."""
        context.source = ResponseSource.RULE
        context.fault = response.fault.value if response.fault else ""
        context.response_headers.append((RULE_HEADER, rule.name.encode()))
        if response.rate_limit is not None:
            headers = request.headers
            client = next((headers[name] for name in self.credential_headers if name in headers), "")
            response = _apply_rate_limit(response, response.rate_limit, rule.rate_limits, client, context.now)
        context.outcome = context.outcome or response.outcome
        context.text = response.text if context.text is None else context.text
        return response

    def create_response(
        self, context: RequestContext, operation: Operation, response: RuleResponse
    ) -> CapturedResponse | None:
        """Return the response that a rule determines; None if the request is processed as usual."""
        captured = CapturedResponse()
        success_status = self.forcer.successes.find_status(operation)
        captured.status = success_status if response.status is None else response.status
        if response.has_body:
            created = StaticResponse(captured.status, encode_json(response.body), JSON_CONTENT_TYPE[1], {})
        elif response.example is not None:
            created = self.forcer.create_example(operation, captured.status, response.example)
        elif captured.status >= HTTPStatus.BAD_REQUEST:
            created = self.forcer.create_error(operation, captured.status)
        elif captured.status == success_status:
            return None
        else:
            created = self.forcer.successes.get(operation, status=captured.status)
        captured.headers = [*context.response_headers, *get_response_headers(captured.status)]
        if created.body:
            captured.body = created.body
            captured.headers.append((b"content-type", created.content_type))
        captured.headers += ((n.lower().encode(), v.encode("latin-1")) for n, v in created.headers.items())
        context.operation = operation
        return captured


def _apply_rate_limit(
    response: RuleResponse, limit: RateLimit, counter: RateLimitCounter, client: str, now: datetime
) -> RuleResponse:
    """Count a request and add the rate limit headers of Laravel. If the limit is exceeded, return a 429 instead.

    A header line of the rule replaces one of these headers.
    """
    state = counter.count(limit, client, now)
    headers = [("X-RateLimit-Limit", str(limit.requests)), ("X-RateLimit-Remaining", str(state.remaining))]
    if not state.is_exceeded:
        return replace(response, headers=_merge_headers(headers, response.headers))
    seconds = math.ceil((state.reset_at - now).total_seconds())
    headers += [("Retry-After", str(seconds)), ("X-RateLimit-Reset", str(math.ceil(state.reset_at.timestamp())))]
    return RuleResponse(status=HTTPStatus.TOO_MANY_REQUESTS, headers=_merge_headers(headers, response.headers))


def _merge_headers(
    defaults: Sequence[tuple[str, str]], lines: Sequence[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    """Return all lines, after the defaults whose names they do not contain."""
    names = {name.lower() for name, _ in lines}
    return (*(line for line in defaults if line[0].lower() not in names), *lines)


async def _read_body(receive: Receive) -> tuple[bytes, Receive]:
    """Read the complete body. Returns it, and a function that receives the same messages again."""
    messages, chunks = [], []
    while True:
        message = await receive()
        messages.append(message)
        chunks.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            break

    async def receive_again() -> Any:
        return messages.pop(0) if messages else await receive()

    return b"".join(chunks), receive_again


async def _send_response(
    context: RequestContext, scope: Scope, send: Send, response: RuleResponse, captured: CapturedResponse
) -> None:
    """Send a response with the headers, patch and fault of a rule."""
    await context.record_unread_body()
    body = captured.body
    if response.has_patch and body:
        body = encode_json(merge_patch(parse_json_body(body), response.patch))
    added = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    removed = {b"content-length", *(name for name, _ in added)}
    if b"connection" in removed:
        removed.add(b"keep-alive")
    headers: list[Header] = [*((n, v) for n, v in captured.headers if n not in removed), *added]
    has_body = context.method != "HEAD" and captured.status not in (204, 304)
    if has_body:
        headers.append((b"content-length", b"%d" % len(body)))
    context.status, context.response_body, context.dependencies = captured.status, body, None
    context.response_parts = None
    context.response_headers = headers
    sent = body if has_body else b""
    if response.fault is not None:
        await send_with_fault(context, response, sent, scope, send)
        return
    await send({"type": "http.response.start", "status": captured.status, "headers": headers})
    await send({"type": "http.response.body", "body": sent})
