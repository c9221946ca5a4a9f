"""The innermost application: one typed call to an action, and its answer."""

from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from mock_server.call import Answer, Call
from mock_server.exchange import answer, exchange_of
from mock_server.representation import with_base
from mock_server.world import World

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
        found = self.run(
            Call(
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
        )
        body = None if found.body is None else with_base(found.body, exchange.base)
        await answer(send, exchange, operation.result.status, body, headers=found.headers)


async def _live(receive: Receive, send: Send) -> None:
    """Agree to start and to stop. Connexion has built its stack by the time that this is reached."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
