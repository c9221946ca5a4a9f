"""Ctrl-C and termination: the first signal ends a run, and later ones cannot interrupt its cleanup and its reports.

The state is that of the process: the handler of its signals. Nothing changes unless `install` was called.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class _Deferral:
    """`is_active`: signals do not interrupt now. `is_pending`: one arrived since."""

    is_active: bool = False
    is_pending: bool = False

    def raise_pending(self) -> None:
        """Raise KeyboardInterrupt if a signal arrived."""
        if self.is_pending:
            self.is_pending = False
            raise KeyboardInterrupt


_deferral = _Deferral()


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


@contextmanager
def deferred() -> Iterator[None]:
    """Let a signal within the block raise KeyboardInterrupt at its end.

    For a write and the log of its result: a response that is not read may have created a record that no log names.
    """
    was_active, _deferral.is_active = _deferral.is_active, True
    try:
        yield
    finally:
        _deferral.is_active = was_active
        if not was_active:
            _deferral.raise_pending()


def sleep(seconds: float) -> None:
    """Sleep between two requests; a signal interrupts it even in a deferred block, unless another thread sleeps."""
    if threading.current_thread() is not threading.main_thread():
        time.sleep(seconds)
        return
    was_active, _deferral.is_active = _deferral.is_active, False
    try:
        _deferral.raise_pending()
        time.sleep(seconds)
    finally:
        _deferral.is_active = was_active


def _interrupt(signum: int, frame: FrameType | None) -> None:
    hold()
    if _deferral.is_active:
        _deferral.is_pending = True
    else:
        raise KeyboardInterrupt


def _ignore(signum: int, frame: FrameType | None) -> None:
    """Do nothing. Unlike SIG_IGN, child processes do not inherit it."""


def _replace(old: Callable[[int, FrameType | None], None], new: Callable[[int, FrameType | None], None]) -> None:
    for number in SIGNALS:
        if signal.getsignal(number) is old:
            signal.signal(number, new)
