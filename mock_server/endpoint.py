"""The innermost application: one typed call to an action, and its answer."""

from collections.abc import Callable
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from mock_server.actions import NEVER_GRANTED
from mock_server.actions.lookup import named_in_path
from mock_server.call import Answer, Call
from mock_server.exchange import Exchange, answer, exchange_of
from mock_server.pages import Kept, Rests
from mock_server.representation import with_base
from mock_server.world import World
from spec.contract import Operation

Run = Callable[[Call], Answer]


class Endpoint:
    """Runs the action of a validated request in one world."""

    def __init__(self, world: World, run: Run) -> None:
        self.world = world
        self.run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        exchange = exchange_of(scope)
        operation = exchange.operation
        assert operation is not None
        self.world.due(exchange.now)
        found = self.run(self.call(exchange, operation))
        exchange.notes += found.ignored
        body = None if found.body is None else with_base(found.body, exchange.base)
        if exchange.asked is not None and found.rests is not None and body is not None:
            self.keep(exchange, operation, found.rests, body)
        await answer(send, exchange, operation.envelope.status, body, headers=found.headers)

    def keep(self, exchange: Exchange, operation: Operation, rests: Rests, body: bytes) -> None:
        """Let a read be answered as it was while that holds, if nothing but its body was told."""
        known = exchange.token is not None or not operation.security
        if exchange.asked is not None and known and not exchange.notes:
            kept = Kept(body, operation.envelope.status, exchange.viewer, exchange.token, rests)
            self.world.pages.keep(exchange.asked, kept)

    def call(self, exchange: Exchange, operation: Operation) -> Call:
        """The call that an exchange has become."""
        return Call(
            operation,
            self.world,
            exchange.viewer,
            exchange.path_values,
            exchange.query,
            exchange.raw_query.decode("latin-1"),
            exchange.body,
            exchange.base,
            exchange.now,
            exchange.token,
        )

    def look_up(self, exchange: Exchange, operation: Operation) -> None:
        """Raise Refusal (404, 403) where the path names no record that the viewer may do this to.

        For a request that is to be refused anyway: Laravel finds the record before it looks at what was sent. Who may
        write is asked where the contract says that an operation may be forbidden.
        """
        names_a_record = exchange.path_values and operation.resource and HTTPStatus.NOT_FOUND in operation.responses
        if names_a_record and operation.action not in ("list", "create"):
            self.world.due(exchange.now)
            call, to_write = self.call(exchange, operation), HTTPStatus.FORBIDDEN in operation.responses
            named_in_path(call, to_write=to_write, granted=operation.action not in NEVER_GRANTED)


async def _live(receive: Receive, send: Send) -> None:
    """Agree to start and to stop. Connexion has built its stack by the time that this is reached."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
