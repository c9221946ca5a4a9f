"""Ctrl-C and termination: the first signal ends a run, and later ones cannot interrupt its cleanup and its reports.

The state is that of the process: the handler of its signals. Nothing changes unless `install` was called.
"""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def install() -> Mapping[signal.Signals, Any]:
    """Let the signals raise KeyboardInterrupt; return the previous handlers."""
    return {number: signal.signal(number, _interrupt) for number in SIGNALS}


def restore(handlers: Mapping[signal.Signals, Any]) -> None:
    """Restore previous handlers."""
    for number, handler in handlers.items():
        signal.signal(number, handler)


def ignore_until_exit() -> None:
    """Ignore the signals while the process ends, so that its exit code is that of the command."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def hold() -> None:
    """Ignore further signals."""
    _replace(_interrupt, _ignore)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the signals raise KeyboardInterrupt within the block, and ignore them afterwards."""
    try:
        _replace(_ignore, _interrupt)
        yield
    finally:
        hold()


def _interrupt(signum: int, frame: FrameType | None) -> None:
    hold()
    raise KeyboardInterrupt


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, child processes do not inherit it."""


def _replace(old: Callable[[int, FrameType | None], None], new: Callable[[int, FrameType | None], None]) -> None:
    for number in SIGNALS:
        if signal.getsignal(number) is old:
            signal.signal(number, new)
