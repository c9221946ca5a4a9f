"""Writes of one process to a file that others write to as well: those that wait for its turn are done together.

One transaction for all of them, with a savepoint for each: what a commit costs, and what others have written and has to
be taken in before, is paid for once. None is answered before all are committed. Nothing else runs meanwhile, so nobody
reads what is not. While it is another process's turn, this one goes on reading.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mock_server.call import Answer
from mock_server.store import Busy
from mock_server.world import World

MOST = 32  # of one transaction: others wait for all of it
_GLANCE = 0.000_5  # seconds that a turn is waited for before what else there is to do is done

Work = Callable[[], Answer]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A write that waits, since when, and who is to be told what came of it. It is done for who its viewer was then."""

    work: Work
    since: float
    future: "asyncio.Future[Answer]"


@dataclass(slots=True)
class Batch:
    """The writes to one world's shared store that wait, in the order in which they came."""

    world: World
    waiting: list[Waiting] = field(default_factory=list)

    async def done(self, work: Work) -> Answer:
        """The answer of a write, once it is committed. Raises what it raises, and Busy."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        if not self.waiting:
            loop.call_soon(self.turn, loop)
        self.waiting.append(Waiting(work, time.monotonic(), future))
        return await future

    def turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write, if it is this process's turn; else let those go who have waited too long."""
        sharing = self.world.store.sharing
        assert sharing is not None
        try:
            if sharing.queue.take(_GLANCE):
                self.write(self.first(min(MOST, len(self.waiting))))
            else:
                last = time.monotonic() - sharing.queue.patience
                tired = self.first(sum(one.since <= last for one in self.waiting))
                _settle(tired, [Busy() for _ in tired])
        except OSError as error:  # where files cannot be locked, nobody's turn comes
            writes = self.first(len(self.waiting))
            _settle(writes, [error for _ in writes])
        if self.waiting:
            loop.call_soon(self.turn, loop)

    def first(self, number: int) -> list[Waiting]:
        """Take so many of those that wait."""
        found, self.waiting = self.waiting[:number], self.waiting[number:]
        return found

    def write(self, writes: list[Waiting]) -> None:
        """Do writes in one transaction, and say what came of each when it is committed."""
        try:
            with self.world.store.transaction():
                found = [self.outcome(one.work) for one in writes]
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


def _settle(writes: list[Waiting], found: Sequence[Answer | Exception]) -> None:
    for one, outcome in zip(writes, found, strict=True):
        if one.future.done():  # who waited was told to stop
            continue
        if isinstance(outcome, Exception):
            one.future.set_exception(outcome)
        else:
            one.future.set_result(outcome)
