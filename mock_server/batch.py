"""Writes of one process to a file that others write to as well: those that wait for its turn are done together.

One transaction for all of them, with a savepoint for each: what a commit costs, and what others have written and has to
be taken in before, is paid for once. None is answered before all are committed. Nothing else runs meanwhile, so nobody
reads what is not. While it is another process's turn, this one goes on reading.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mock_server.call import Answer
from mock_server.store import Busy
from mock_server.world import World

MOST = 32  # of one transaction: others wait for all of it
_GLANCE = 0.000_5  # seconds that a turn is waited for before what else there is to do is done

Work = Callable[[], Answer]


@dataclass(slots=True)
class Batch:
    """The writes to one world's shared store that wait. `since`: when the first of them began to."""

    world: World
    waiting: list[tuple[Work, "asyncio.Future[Answer]"]] = field(default_factory=list)
    since: float = 0.0

    async def done(self, work: Work) -> Answer:
        """The answer of a write, once it is committed. Raises what it raises, and Busy."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if not self.waiting:
            self._begin(loop)
        self.waiting.append((work, future))
        return await future

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self.since = time.monotonic()
        loop.call_soon(self.turn, loop)

    def turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write, if it is this process's turn."""
        sharing = self.world.store.sharing
        assert sharing is not None
        queue = sharing.queue
        if not queue.take(_GLANCE) and time.monotonic() - self.since < queue.patience:
            loop.call_soon(self.turn, loop)
            return
        writes, self.waiting = self.waiting[:MOST], self.waiting[MOST:]
        if self.waiting:
            self._begin(loop)
        if queue.held:
            self.write(writes)
        else:
            _settle(writes, [Busy() for _ in writes])

    def write(self, writes: list[tuple[Work, "asyncio.Future[Answer]"]]) -> None:
        """Do writes in one transaction, and say what came of each when it is committed."""
        try:
            with self.world.store.transaction():
                found = [self.outcome(work) for work, _ in writes]
        except Exception as error:  # a transaction that cannot be begun, or committed, is none of theirs
            found = [error for _ in writes]
        _settle(writes, found)

    def outcome(self, work: Work) -> Answer | Exception:
        """What comes of a write, alone: all of it, or nothing and why."""
        try:
            with self.world.store.transaction():
                return work()
        except Exception as error:
            if not self.world.store.connection.in_transaction:  # SQLite has undone all of them
                raise
            return error


def _settle(writes: list[tuple[Work, "asyncio.Future[Answer]"]], found: list[Answer | Exception]) -> None:
    for (_, future), outcome in zip(writes, found, strict=True):
        if future.done():  # who waited was told to stop
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
