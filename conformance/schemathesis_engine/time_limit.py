"""Ends the engine at the deadline of the run, also while it generates cases and sends no request."""

from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from threading import Thread

from schemathesis.engine import events
from schemathesis.engine.core import EventStream

from conformance.errors import BudgetExhausted

GRACE_SECONDS = 2.0  # for the current request and the events of the engine, after the deadline
_END = None


def limit_time(stream: EventStream, seconds_left: Callable[[], float]) -> Iterator[events.EngineEvent]:
    """Yield the events of the engine until the deadline. Raises BudgetExhausted at the deadline.

    The engine runs in its own thread. It stops between two cases; if one case takes longer than `GRACE_SECONDS`, the
    thread is abandoned: its transport sends nothing more, and it ends with the process.
    """
    received: SimpleQueue[events.EngineEvent | BaseException | None] = SimpleQueue()
    thread = Thread(target=_forward, args=(stream, received), name="schemathesis", daemon=True)
    thread.start()
    try:
        while True:
            event = _receive(stream, received, seconds_left)
            if event is _END:
                break
            if isinstance(event, BaseException):
                raise event
            yield event
    finally:
        stream.stop()
        thread.join(GRACE_SECONDS)
    if seconds_left() <= 0:
        raise _build_error()


def _forward(stream: EventStream, received: "SimpleQueue[events.EngineEvent | BaseException | None]") -> None:
    """Put the events of the engine into a queue, and at last its end or the exception that it raised."""
    try:
        for event in stream:
            received.put(event)
        received.put(_END)
    except BaseException as error:
        received.put(error)


def _receive(
    stream: EventStream,
    received: "SimpleQueue[events.EngineEvent | BaseException | None]",
    seconds_left: Callable[[], float],
) -> events.EngineEvent | BaseException | None:
    """Return the next event. Raises BudgetExhausted if there is none after the deadline and the grace period."""
    try:
        return received.get(timeout=max(0.0, seconds_left()))
    except Empty:
        stream.stop()
    try:
        return received.get(timeout=max(0.0, seconds_left() + GRACE_SECONDS))
    except Empty:
        raise _build_error() from None


def _build_error() -> BudgetExhausted:
    return BudgetExhausted("the time limit is reached (--max-time)")
