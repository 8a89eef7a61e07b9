"""Signals that end a run: SIGINT, which Ctrl-C sends, SIGTERM and SIGHUP."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

_CAN_BLOCK = hasattr(signal, "pthread_sigmask")  # not on Windows
_deferred: ContextVar[list[int] | None] = ContextVar("_deferred", default=None)  # signals that came; None: not deferred


class Stopped(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def signal_of(interrupt: KeyboardInterrupt) -> int:
    """Return the number of the signal that an interrupt came from."""
    return interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT


def stop_at_signals() -> None:
    """Raise Stopped in the main thread at each of the signals that has no other handler, such as that of nohup."""
    usual = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
    for name, handler in usual.items():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) == handler:
            signal.signal(number, _stop)


def _stop(number: int, _: FrameType | None) -> None:
    received = _deferred.get()
    if received is None:
        raise Stopped(number)
    received.append(number)


@contextmanager
def deferred() -> Iterator[None]:
    """Raise Stopped at the end only, and in `deliver`.

    For libraries that call functions of this package and lose what these raise, or do not survive it.
    """
    received = list[int]()
    token = _deferred.set(received)
    try:
        yield
    finally:
        _deferred.reset(token)
        if received:
            raise Stopped(received[0])


def deliver() -> None:
    """Raise Stopped if a signal came that is deferred."""
    if received := _deferred.get():
        raise Stopped(received[0])


@contextmanager
def blocked() -> Iterator[None]:
    """Block SIGINT in this thread, and in the processes that it starts meanwhile, until they call `unblock`.

    A terminal sends it to all processes, and one that only imports its modules would print a traceback.
    """
    if not _CAN_BLOCK:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock() -> None:
    """Let SIGINT through in this thread, also one that came meanwhile."""
    if _CAN_BLOCK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
