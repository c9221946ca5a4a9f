"""The ASGI application of the control API, built at its first request: it takes a tenth of a second."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from mock_server.control import clocks, coverage, requests, rules, sandboxes, stored_records
from mock_server.control.access import ControlAccess
from mock_server.control.call import ControlRequest, ControlResult
from mock_server.control.document import build_control_document
from mock_server.control.journal_entries import JournalReader
from mock_server.control.records import create_records
from mock_server.errors import ApiError
from mock_server.registry.registry import SandboxRegistry
from mock_server.web.connexion_app import build_connexion_app
from mock_server.web.context import RequestContext, get_context, send_response
from mock_server.web.routing import Routes, RoutingMiddleware
from mock_server.web.sandbox_selection import CONTROL_PREFIX
from mock_server.web.validation import ValidationMiddleware
from spec.document import Document
from spec.loader import parse_contract
from spec.validators import SchemaValidators

DOCUMENT_PATH = CONTROL_PREFIX + b"/openapi.json"
_CONTENT_TYPE, _JSON = b"content-type", b"application/json"
_EVENT_STREAM = b"text/event-stream"
_FORM = b"application/x-www-form-urlencoded"  # what curl sends with -d

OPERATIONS: Mapping[str, Callable[[ControlRequest], Awaitable[ControlResult]]] = {
    "list-sandboxes": sandboxes.list_sandboxes,
    "create-sandbox": sandboxes.create_sandbox,
    "retrieve-sandbox": sandboxes.retrieve_sandbox,
    "delete-sandbox": sandboxes.delete_sandbox,
    "reset-sandbox": sandboxes.reset_sandbox,
    "list-snapshots": sandboxes.list_snapshots,
    "save-snapshot": sandboxes.save_snapshot,
    "restore-snapshot": sandboxes.restore_snapshot,
    "delete-snapshot": sandboxes.delete_snapshot,
    "list-changes": sandboxes.list_changes,
    "create-records": create_records,
    "list-resources": stored_records.list_resources,
    "list-records": stored_records.list_records,
    "retrieve-record": stored_records.retrieve_record,
    "update-record": stored_records.update_record,
    "delete-record": stored_records.delete_record,
    "list-rules": rules.list_rules,
    "create-rule": rules.create_rule,
    "list-presets": rules.list_presets,
    "delete-rules": rules.delete_rules,
    "delete-rule": rules.delete_rule,
    "retrieve-clock": clocks.retrieve_clock,
    "update-clock": clocks.update_clock,
    "advance-clock": clocks.advance_clock,
    "synchronize-clock": clocks.synchronize_clock,
    "list-requests": requests.list_requests,
    "delete-requests": requests.delete_requests,
    "find-requests": requests.find_requests,
    "count-requests": requests.count_requests,
    "verify-requests": requests.verify_requests,
    "export-requests": requests.export_requests,
    "stream-requests": requests.stream_requests,
    "read-coverage": coverage.read_coverage,
}


@dataclass(slots=True)
class ControlApi:
    """Serves the paths below CONTROL_PREFIX. `dataset_names`: the datasets that a sandbox can be created from."""

    registry: SandboxRegistry
    access: ControlAccess
    dataset_names: Collection[str]
    max_body_bytes: int
    _document: Document | None = None
    _app: ASGIApp | None = field(default=None, repr=False)

    async def __call__(self, context: RequestContext, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response. Raises ApiError."""
        self.access.check(context)
        if context.headers.get(_CONTENT_TYPE, _FORM).partition(b";")[0].strip().lower() == _FORM:
            context.headers = {**context.headers, _CONTENT_TYPE: _JSON}
        accept = context.headers.get(b"accept", b"")
        if _EVENT_STREAM in accept:  # the validation knows JSON only
            context.headers = {**context.headers, b"accept": _JSON}
        app = self._app or self.build()
        if context.raw_path == DOCUMENT_PATH and context.method in ("GET", "HEAD") and self._document is not None:
            servers = [{"url": context.base_url + CONTROL_PREFIX.decode()}]
            await send_response(send, context, 200, orjson.dumps({**self._document.root, "servers": servers}))
            return
        try:
            await app(scope, receive, send)
        except ApiError as error:
            context.operation, error.location = None, None  # the request log shows places of the served contract
            raise

    def build(self) -> ASGIApp:
        """Build the application."""
        self._document = build_control_document(self.registry.default.contract, self.dataset_names)
        # `records` validates each record by its own schema: the errors of alternatives would name no property.
        components = self._document.root["components"]
        schemas = {**components["schemas"], "Records": {"type": "object"}}
        root = {**self._document.root, "components": {**components, "schemas": schemas}}
        contract = parse_contract(replace(self._document, root=root))
        validators = SchemaValidators.from_document(contract.document)
        default = self.registry.default
        reader = JournalReader.from_contract(default.contract, default.validators)
        self._app = build_connexion_app(
            contract,
            ControlEndpoint(self.registry, validators, reader),
            [RoutingMiddleware, ValidationMiddleware],
            routes=Routes.from_contract(contract),
            schemas=validators,
            max_body_bytes=self.max_body_bytes,
            is_strict=True,
        )
        return self._app


@dataclass(frozen=True, slots=True)
class ControlEndpoint:
    """Runs the operation of a validated request."""

    registry: SandboxRegistry
    validators: SchemaValidators
    journal_reader: JournalReader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = get_context(scope)
        operation = context.operation
        assert operation is not None
        headers = dict(scope["headers"])
        request = ControlRequest(
            self.registry,
            self.validators,
            self.journal_reader,
            context.path_parameters,
            context.query,
            context.body,
            context.base_url,
            accepts_events=_EVENT_STREAM in headers.get(b"accept", b""),
            last_event_id=headers.get(b"last-event-id", b"").decode("latin-1").strip(),
        )
        result = await OPERATIONS[operation.action](request)
        if result.events is not None:
            await _send_events(context, receive, send, result.events)
            return
        body = None if result.body is None else orjson.dumps(result.body)
        await send_response(send, context, result.status, body, headers=result.headers)


async def _send_events(
    context: RequestContext, receive: Receive, send: Send, events: AsyncGenerator[bytes, None]
) -> None:
    """Send server-sent events until there are no more, the client disconnects, or the mock stops."""
    end = context.server_stop = asyncio.Event()
    context.status = HTTPStatus.OK
    headers = [*context.response_headers, (_CONTENT_TYPE, _EVENT_STREAM), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": context.status, "headers": headers})
    waits = [asyncio.ensure_future(_wait_for_disconnect(receive)), asyncio.ensure_future(end.wait())]
    try:
        while context.method != "HEAD" and not end.is_set():
            following = asyncio.ensure_future(anext(events, None))
            await asyncio.wait((following, *waits), return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                following.cancel()
                with suppress(asyncio.CancelledError):
                    await following
                break
            content = following.result()
            if content is None:
                break
            await send({"type": "http.response.body", "body": content, "more_body": True})
    finally:
        for wait in waits:
            wait.cancel()
        await events.aclose()
    await send({"type": "http.response.body", "body": b""})


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
