"""The engine ends at the deadline of the run."""

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from schemathesis.engine.core import EventStream

from conformance.errors import BudgetExhausted
from conformance.schemathesis_engine import time_limit
from conformance.schemathesis_engine.time_limit import limit_time


@pytest.fixture(autouse=True)
def short_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "GRACE_SECONDS", 0.2)


def collect(stream: EventStream, seconds_left: Callable[[], float], received: list[Any]) -> list[Any]:
    """Append the events of the engine to a list, which has them also after an error."""
    for event in limit_time(stream, seconds_left):
        received.append(event)
    return received


def count_down(seconds: float) -> Callable[[], float]:
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def create_stream(generate: Callable[[Event], Iterator[Any]]) -> EventStream:
    stop_event = Event()
    return EventStream((event for event in generate(stop_event)), stop_event)


def test_events_are_yielded_until_the_engine_ends() -> None:
    stream = create_stream(lambda stop: iter(["a", "b"]))
    assert collect(stream, count_down(60), []) == ["a", "b"]


def test_error_of_the_engine_is_raised() -> None:
    def fail(stop: Event) -> Iterator[Any]:
        yield "a"
        raise ValueError("internal")

    with pytest.raises(ValueError, match="internal"):
        list(limit_time(create_stream(fail), count_down(60)))


def test_engine_that_generates_one_case_for_long_is_abandoned() -> None:
    released = Event()

    def generate(stop: Event) -> Iterator[Any]:
        yield "a"
        released.wait(30)

    started = time.monotonic()
    with pytest.raises(BudgetExhausted, match="--max-time"):
        collect(create_stream(generate), count_down(0.2), [])
    assert time.monotonic() - started < 5
    released.set()


def test_engine_is_stopped_between_cases() -> None:
    def generate(stop: Event) -> Iterator[Any]:
        while not stop.wait(0.01):
            yield "case"
        yield "finished"

    received: list[Any] = []
    with pytest.raises(BudgetExhausted, match="--max-time"):
        collect(create_stream(generate), count_down(0.2), received)
    assert received[0] == "case"


def test_engine_is_stopped_if_its_events_are_not_read_further() -> None:
    stream = create_stream(lambda stop: iter(["a", "b"]))
    events = limit_time(stream, count_down(60))
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert stream.stop_event.is_set()
