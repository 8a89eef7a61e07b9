"""Signals that end a run: SIGINT, which Ctrl-C sends, SIGTERM and SIGHUP."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import FrameType
from typing import Any, NoReturn

INTERRUPTED = "interrupted; finished work is kept. Run the same command again to continue."
_USUAL = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
_HAS_THREADS = hasattr(signal, "pthread_sigmask")  # whether signals can be for one thread; not on Windows
_PAUSE = 0.05  # seconds after which a signal is sent again
_deferred: ContextVar[list[int] | None] = ContextVar("_deferred", default=None)  # signals that came; None: not deferred
_status: list[int] = []  # with which an interrupted process ends


class Stopped(KeyboardInterrupt):
    """SIGINT, SIGTERM or SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def signal_of(interrupt: KeyboardInterrupt) -> int:
    """Return the number of the signal that an interrupt came from."""
    return interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT


def stop_at_signals() -> Callable[[], None]:
    """Raise Stopped in the main thread at each of the signals that has no other handler, such as that of nohup.

    Returns a function that restores the handlers. In another thread, which cannot set any, nothing is done.
    """
    numbers = {getattr(signal, name): handler for name, handler in _USUAL.items() if hasattr(signal, name)}
    in_main = threading.current_thread() is threading.main_thread()
    found = {number: usual for number, usual in numbers.items() if in_main and signal.getsignal(number) == usual}
    hook = sys.unraisablehook
    for number in found:
        signal.signal(number, _stopper(os.getpid()))
    if found:
        sys.unraisablehook = _sender_again(hook)
        atexit.register(_end)  # so early that it is called after what others register

    def restore() -> None:
        for number, usual in found.items():
            signal.signal(number, usual)
        if found:
            sys.unraisablehook = hook

    return restore


def report(interrupt: KeyboardInterrupt) -> NoReturn:
    """Print one line, and exit with the status that a shell gives a process that a signal ended."""
    print(INTERRUPTED, file=sys.stderr)
    _status.append(128 + signal_of(interrupt))
    with suppress(ValueError):  # in another thread than the main one
        for number in (signal.SIGINT, signal.SIGTERM):  # of an impatient user, while Python ends
            signal.signal(number, lambda number, _: os._exit(128 + number))
    sys.exit(_status[0])


def _end() -> None:
    """End an interrupted process before Python ends its threads, which those in C++ code do not survive."""
    if _status:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(_status[0])


def call(function: Callable[[], None]) -> None:
    """Call a function that can be interrupted, also where a module that is being imported does so."""
    function()


def _stopper(process: int) -> Callable[[int, FrameType | None], None]:
    """Return the handler of signals of a process, which those that it forks inherit."""

    def stop(number: int, frame: FrameType | None) -> None:
        received = _deferred.get()
        if received is not None:
            received.append(number)
        elif _imports(frame) and os.getpid() == process:
            # An exception would leave modules half imported, or be lost: some libraries go on without what they import.
            with suppress(Exception):
                sys.stdout.flush()
                print(INTERRUPTED, file=sys.stderr, flush=True)
            os._exit(128 + number)
        else:
            raise Stopped(number)

    return stop


def _imports(frame: FrameType | None) -> bool:
    """Return whether a frame runs while a module is imported."""
    while frame is not None and frame.f_code is not call.__code__:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _sender_again(print_lost: Callable[["sys.UnraisableHookArgs"], object]) -> Callable[[Any], None]:
    """Return a hook for exceptions that Python ignores, as in `__del__` and callbacks: it sends lost signals again."""

    def send_again(lost: "sys.UnraisableHookArgs") -> None:
        if not isinstance(lost.exc_value, Stopped):
            print_lost(lost)
            return
        main, number = threading.get_ident(), lost.exc_value.number
        send = (signal.pthread_kill, (main, number)) if _HAS_THREADS else (signal.raise_signal, (number,))
        timer = threading.Timer(_PAUSE, *send)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # Python ends
            os._exit(128 + number)

    return send_again


@contextmanager
def deferred() -> Iterator[None]:
    """Raise Stopped at the end only, and in `deliver`, where `stop_at_signals` was called.

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
