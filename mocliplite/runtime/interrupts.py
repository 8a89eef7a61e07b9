"""SIGINT in processes that start: a terminal sends it to all, also to those that cannot handle or ignore it yet."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_CAN_BLOCK = hasattr(signal, "pthread_sigmask")  # not on Windows


@contextmanager
def blocked() -> Iterator[None]:
    """Block SIGINT in this thread, and in the processes that it starts meanwhile, until they call `unblock`.

    Otherwise one that only imports its modules would print a traceback.
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
