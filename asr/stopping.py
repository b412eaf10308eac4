"""Signals that ask a run to end: the step it is at is finished and saved first."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asr.launcher import launched, rank, scheduled

DEFAULTS = {
    getattr(signal, name): (signal.default_int_handler, signal.SIG_DFL)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)
}
"""Ctrl-C, `kill` or a scheduler, a terminal that goes → how they are dealt with where nobody has said otherwise."""
NOTICE = b"\nstopping after this step; once more to stop at once, and lose what is not saved\n"
NOTICE_OF_A_LAUNCHER = b"\nstopping after this step\n"
REQUEUE = 75
"""The status that asks a scheduler to start the command again (EX_TEMPFAIL of sysexits.h)."""


def never() -> bool:
    """What does not cancel."""
    return False


@contextmanager
def interruptible() -> Iterator[None]:
    """A block that each of these signals ends as Ctrl-C does, by KeyboardInterrupt, for what has no step to end first.

    Outside the main thread, and where a signal is ignored or has a handler of somebody else's, nothing changes.
    """
    restore = _handle(signal.default_int_handler)
    try:
        yield
    finally:
        restore()


def _handle(handler: Callable[[int, Any], Any]) -> Callable[[], None]:
    """Gives the signals that nobody else deals with to a handler, from the main thread; what takes that back."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {n: signal.getsignal(n) for n, defaults in DEFAULTS.items() if signal.getsignal(n) in defaults}
        for number in before:
            signal.signal(number, handler)

    def restore() -> None:
        for number, usual in before.items():
            signal.signal(number, usual)

    return restore


class Stop:
    """Whether a run is to end."""

    signal: int = 0
    """The signal that asked for it; 0 where none has."""


@contextmanager
def stoppable() -> Iterator[Stop]:
    """A block that looks at what it is given, and ends soon once a signal has asked for it; a second one acts at once.

    Behind the block the signal has its effect: KeyboardInterrupt, or SystemExit with the status 128 + its number; REQUEUE where
    a scheduler sent SIGTERM. A launcher sends its own signal behind the scheduler's, so under one a second one means nothing.
    Outside the main thread, and where a signal is ignored or has a handler of somebody else's, nothing changes.
    """
    stop = Stop()

    def note(number: int, _) -> None:
        if stop.signal:
            return
        stop.signal = number
        if not launched():
            restore()
        if rank() == 0:
            os.write(2, NOTICE_OF_A_LAUNCHER if launched() else NOTICE)  # print might be in the middle of a line

    restore = _handle(note)
    try:
        yield stop
    finally:
        restore()
    if stop.signal == signal.SIGINT:
        raise KeyboardInterrupt
    if stop.signal:
        raise SystemExit(REQUEUE if stop.signal == signal.SIGTERM and scheduled() else 128 + stop.signal)


def leave_to_parent(_: int = 0) -> None:
    """In a process that works for a run: signals that a terminal or a scheduler sends to all are for the run to act on."""
    for number in DEFAULTS:
        signal.signal(number, signal.SIG_IGN)
