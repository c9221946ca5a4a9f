"""Signals that arrive while a write is sent, and while a run sleeps."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from conformance import interrupts


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    previous = interrupts.install()
    yield
    interrupts.restore(previous)


def send_signal(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_signal_interrupts_at_once(number: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        send_signal(number)


def run_deferred(*steps: Callable[[], object]) -> list[int]:
    """Run steps in a deferred block; return the indexes of those that ended. Checks that the block is interrupted."""
    finished = []

    def run() -> None:
        with interrupts.deferred():
            for number, step in enumerate(steps):
                step()
                finished.append(number)

    with pytest.raises(KeyboardInterrupt):
        run()
    return finished


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_signal_in_a_deferred_block_interrupts_at_its_end(number: int) -> None:
    def send_in_inner_block() -> None:
        with interrupts.deferred():
            send_signal(number)

    assert run_deferred(send_in_inner_block, send_signal, time.monotonic) == [0, 1, 2]


def test_signal_replaces_the_error_of_a_deferred_block() -> None:
    assert run_deferred(send_signal, partial(int, "x")) == [0]


def test_later_signals_do_not_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt):
        send_signal()
    with interrupts.deferred():
        send_signal()
    with pytest.raises(KeyboardInterrupt), interrupts.interruptible():
        send_signal()


def test_sleep_is_interrupted_in_a_deferred_block() -> None:
    start = time.monotonic()
    assert run_deferred(threading.Timer(0.05, send_signal).start, partial(interrupts.sleep, 20)) == [0]
    assert time.monotonic() - start < 10


def test_sleep_raises_a_pending_interrupt() -> None:
    assert run_deferred(send_signal, partial(interrupts.sleep, 20)) == [0]


def test_interrupt_is_raised_once() -> None:
    run_deferred(send_signal)
    with interrupts.deferred():
        interrupts.sleep(0)
