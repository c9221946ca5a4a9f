"""The innermost ASGI application: runs the action of a validated request and sends the response."""

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from mock_server.actions import OUTCOME_ACTIONS, SIGN_IN_ACTION, TEXT_ACTIONS, check_access
from mock_server.actions.call import ActionRequest, ActionResult
from mock_server.serialization.layout import insert_base_url
from mock_server.static_responses.completion import NO_COMPLETION, ResponseCompleter
from mock_server.static_responses.success_responses import StaticResponse, SuccessResponses
from mock_server.web.context import JSON_CONTENT_TYPE, RequestContext, get_context, send_response
from mock_server.web.forced_responses import OUTCOME_HEADER, TEXT_HEADER
from mock_server.web.sandbox_selection import SandboxSelector
from spec.model import STATIC_ACTION, Operation

RunAction = Callable[[ActionRequest], ActionResult]

EXAMPLE_NOTE = "example"  # in X-Mock-Note: the response is an example of the contract, or generated from its schema
_ACCEPT = b"accept"


class Endpoint:
    """Runs the actions of validated requests, each in the sandbox of its context.

    `static_responses`: the responses of operations without an action.
    """

    def __init__(
        self, run_action: RunAction, static_responses: SuccessResponses, selector: SandboxSelector | None = None
    ) -> None:
        self.run_action = run_action
        self.static_responses = static_responses
        self.completer = ResponseCompleter(static_responses)
        self.selector = selector

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _handle_lifespan(receive, send)
            return
        context = get_context(scope)
        operation = context.operation
        assert operation is not None
        if operation.action == STATIC_ACTION:
            await self.send_documented(
                context, self.static_responses.get(operation, context.headers.get(_ACCEPT)), send
            )
        else:
            await self.run(context, operation, send)

    async def run(self, context: RequestContext, operation: Operation, send: Send) -> None:
        """Run the action of an operation and send its result. Raises ApiError."""
        if operation.action == SIGN_IN_ACTION and self.selector is not None:
            self.selector.select_by_login(context, context.sandbox.contract)
        context.check_sandbox()
        context.sandbox.apply_scheduled_changes(context.now)
        if context.sandbox.owner is not None and operation.is_write and not operation.has_query_body:
            context.sandbox.prepare_write()
        result = self.run_action(self.create_request(context, operation))
        context.notes += result.ignored
        if context.outcome is not None or context.text is not None:
            context.notes += _list_ignored_choices(context, operation)
        await self.send_result(context, operation, result, send)

    async def send_result(
        self, context: RequestContext, operation: Operation, result: ActionResult, send: Send
    ) -> None:
        """Send the response of an action."""
        if result.cookies:
            context.response_headers += ((b"set-cookie", cookie.encode("latin-1")) for cookie in result.cookies)
        completion, status = self.completer.get(operation), operation.envelope.status
        body, headers = result.body, result.headers
        if completion is not NO_COMPLETION:
            headers = {**completion.build_headers(context.base_url, body, result.values), **headers}
            body = None if body is None else completion.complete(body)
        elif context.content_type is JSON_CONTENT_TYPE:
            context.dependencies = result.dependencies  # the cache stores neither headers nor content types
        if body is not None:
            body = insert_base_url(body, context.base_url)
            await send_response(send, context, status, body, content_type=context.content_type, headers=headers)
            if completion is NO_COMPLETION:
                context.response_parts = result.body_parts
        elif operation.envelope.schema_pointer is None:
            await send_response(send, context, status, headers=headers)
        else:
            response = self.completer.create_body(operation, context.headers.get(_ACCEPT), result.values)
            await self.send_documented(context, replace(response, headers={**response.headers, **headers}), send)

    async def send_documented(self, context: RequestContext, response: StaticResponse, send: Send) -> None:
        """Send a response that follows from the contract alone, with a note that it does."""
        content_type, headers = (b"content-type", response.content_type), response.headers
        await send_response(
            send, context, response.status, response.body, content_type=content_type, headers=headers, note=EXAMPLE_NOTE
        )

    def create_request(self, context: RequestContext, operation: Operation) -> ActionRequest:
        path_parameters, raw_query = context.path_parameters, context.raw_query.decode("latin-1")
        sent = (path_parameters, context.query, raw_query, context.body, context.base_url, context.now, context.token)
        chosen = (context.outcome, context.text)
        return ActionRequest(operation, context.sandbox, context.viewer, *sent, *chosen)

    def check_path_record(self, context: RequestContext, operation: Operation) -> None:
        """Raise ApiError (404, 403) unless the viewer may use the operation on the record in the path.

        Called for invalid requests, since Laravel finds the record before it validates.
        """
        names_record = context.path_parameters and operation.resource and HTTPStatus.NOT_FOUND in operation.responses
        if names_record and operation.action not in ("list", "create", STATIC_ACTION):
            context.check_sandbox()
            context.sandbox.apply_scheduled_changes(context.now)
            check_access(self.create_request(context, operation))


def _list_ignored_choices(context: RequestContext, operation: Operation) -> tuple[str, ...]:
    """Return the headers with choices that the action of the operation does not use."""
    has_ignored_outcome = OUTCOME_HEADER in context.headers and operation.action not in OUTCOME_ACTIONS
    has_ignored_text = TEXT_HEADER in context.headers and operation.action not in TEXT_ACTIONS
    return ("X-Mock-Outcome",) * has_ignored_outcome + ("X-Mock-Text",) * has_ignored_text


async def _handle_lifespan(receive: Receive, send: Send) -> None:
    """Complete startup and shutdown. Connexion has built its middlewares before."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
