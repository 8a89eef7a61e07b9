"""The exception for users' mistakes, and the function that turns it into one line and an exit status."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn, TextIO

# What could change the terminal, or the order in which letters are shown. Progress bars need "\r", on stderr only.
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
# Signals that end a run like Ctrl-C. Windows has no SIGHUP.
_STOPPING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
INTERRUPTED = "interrupted; finished work is kept. Run the same command again to continue."


class UserError(Exception):
    """A mistake that the user can fix. The message names the file or key, what is wrong, and what to do."""


class MachineError(UserError):
    """The machine failed, such as its disk, not the file: the same may go well in the next run."""


class LimitError(MachineError):
    """A file is larger than a setting allows on this machine."""


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def signal_of(interrupt: KeyboardInterrupt) -> int:
    """Return the number of the signal that an interrupt came from."""
    return interrupt.number if isinstance(interrupt, Stopped) else signal.SIGINT


def run(main: Callable[[], None], status: int = 1) -> None:
    """Call main. A UserError is printed as one line to stderr, without a traceback, and exits with this status.

    Control characters in the output, such as those in a file name, are printed as escape sequences: `\\u001b`.
    SIGINT (Ctrl-C), SIGTERM and SIGHUP also end main with one line, and exit with 128 and the number of the signal.
    """
    stop_at_signals()
    with _escaped(sys.stdout, _CONTROLS + r"\r"), _escaped(sys.stderr, _CONTROLS):
        _run(main, status)


def _run(main: Callable[[], None], status: int) -> None:
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(status)
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does. Without this Python would report the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as interrupt:
        report_interrupt(interrupt)


def stop_at_signals() -> None:
    """Raise Stopped in the main thread at SIGTERM and SIGHUP, unless another handler is set, such as that of nohup."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    for number in _STOPPING:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, stop)


def report_interrupt(interrupt: KeyboardInterrupt) -> NoReturn:
    """Print one line, and exit with the status that a shell gives a process that a signal ended."""
    print(INTERRUPTED, file=sys.stderr)
    sys.exit(128 + signal_of(interrupt))


@contextmanager
def _escaped(stream: TextIO, controls: str) -> Iterator[None]:
    write = stream.write
    # The escape sequences of JSON, so that JSON text stays valid.
    stream.write = lambda text: write(re.sub(f"[{controls}]", lambda one: f"\\u{ord(one[0]):04x}", text))  # type: ignore[method-assign]
    try:
        yield
    finally:
        stream.write = write  # type: ignore[method-assign]


@dataclass(frozen=True)
class Failure:
    """The reason, one sentence, why a clip could not be used.

    retry: the cause was the machine (disk, memory, time limit) and not the clip, so the next run tries the clip again.
    Other failures remain until the clip, the settings or the code change.
    transient: such a failure may not occur in another run, so the stage never succeeds with it; see check_machine.
    """

    reason: str
    retry: bool = False
    transient: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return self.reason
