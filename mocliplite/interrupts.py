"""Signals that end a run: SIGINT, which Ctrl-C sends, SIGTERM and SIGHUP."""

import signal
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

_HAS_THREADS = hasattr(signal, "pthread_sigmask")  # whether signals can be for one thread; not on Windows
_PAUSE = 0.05  # seconds after which a signal is sent again
# Where Python's own code imports modules, and has callbacks for objects that are removed.
_LOSING = {
    "<frozen importlib._bootstrap>",
    weakref.WeakValueDictionary.__init__.__code__.co_filename,
    weakref.WeakSet.__init__.__code__.co_filename,
}
_waiting: set[int] = set()  # signals that are going to be sent again
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


def _stop(number: int, frame: FrameType | None) -> None:
    received = _deferred.get()
    if received is not None:
        received.append(number)
    elif _is_lost_in(frame):
        _send_again(number)
    else:
        raise Stopped(number)


def _is_lost_in(frame: FrameType | None) -> bool:
    """Return whether an exception in a frame may be lost: while a module is imported, or an object removed.

    Python prints exceptions of the latter and goes on. Some libraries go on if a module that they import raises one.
    """
    while frame is not None:
        if frame.f_code.co_filename in _LOSING or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def _send_again(number: int) -> None:
    """Send a signal to the main thread a little later."""
    main = threading.get_ident()  # handlers run there

    def send() -> None:
        _waiting.discard(number)
        if _HAS_THREADS:
            signal.pthread_kill(main, number)
        else:
            signal.raise_signal(number)

    if number not in _waiting:
        _waiting.add(number)
        timer = threading.Timer(_PAUSE, send)
        timer.daemon = True
        timer.start()


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
    if not _HAS_THREADS:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock() -> None:
    """Let SIGINT through in this thread, also one that came meanwhile."""
    if _HAS_THREADS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
