"""The exception for users' mistakes, and the function that turns it into one line and an exit status."""

import errno
import io
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TextIO

from mocliplite import interrupts

# What could change the terminal, or the order in which letters are shown. Progress bars need "\r", on stderr only.
_CONTROLS = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069"
# What to do about errors of the system that are neither mistakes in a path nor in this program. Windows lacks some.
_ADVICE = {
    getattr(errno, name): advice
    for names, advice in (
        ("EIO ENXIO ENODEV EREMOTEIO ESTALE ETIMEDOUT", "check its disk"),
        ("ENOSPC EDQUOT", "free disk space"),
        ("EACCES EPERM EROFS", "fix the permissions"),
        ("EFBIG", "raise the limit of its size"),
        ("ENAMETOOLONG", "choose a shorter name"),
        ("EMFILE ENFILE", "raise the limit of open files"),
    )
    for name in names.split()
    if hasattr(errno, name)
}


class UserError(Exception):
    """A mistake that the user can fix. The message names the file or key, what is wrong, and what to do."""


class MachineError(UserError):
    """The machine failed, such as its disk, not the file: the same may go well in the next run."""


class LimitError(MachineError):
    """A file is larger than a setting allows on this machine."""


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Context in which an error of the disk, or of the permissions, is raised as a MachineError that names path.

    Other errors pass, such as FileNotFoundError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        raise not_readable(path, error) from None


def refuse_special(path: str | Path, advice: str = "save its content to a file instead") -> None:
    """Raise UserError for a pipe, a device or a socket, also where links lead to one.

    Opening one may wait for ever, reading it may never end, and renaming a file to its path replaces it.
    """
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):  # whoever opens the path then says why it cannot be used
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"{path} is not a regular file; {advice}.")


def not_readable(path: str | Path, error: OSError) -> MachineError:
    """Return the exception for an error of the system while path was read."""
    return MachineError(f"{path} cannot be read {_reason_and_advice(error)}.")


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Context in which any error of the system is raised as a MachineError that names path."""
    try:
        yield
    except OSError as error:
        raise MachineError(f"{path} cannot be written {_reason_and_advice(error)}: finished work is kept.") from None


def _reason_and_advice(error: OSError) -> str:
    advice = _ADVICE.get(error.errno, "check the path")
    return f"({error.strerror or error}); {advice} and run again"


def run(main: Callable[[], None], status: int = 1) -> None:
    """Call main. A UserError is printed as one line to stderr, without a traceback, and exits with this status.

    So are errors of the disk. Control characters in the output, such as those in a file name, are printed as escape
    sequences: `\\u001b`. So are letters that the encoding of the output lacks.
    SIGINT (Ctrl-C), SIGTERM and SIGHUP also end main with one line, and exit with 128 and the number of the signal.
    """
    restore = interrupts.stop_at_signals()
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        # A file's name may be no text. Under some locales even letters are none, as in a pipe on Windows.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    interrupt = None
    try:
        with _escaped(sys.stdout, _CONTROLS + r"\r"), _escaped(sys.stderr, _CONTROLS):
            _run(main, status)
    except KeyboardInterrupt as error:
        interrupt = error
    finally:
        restore()
    if interrupt:
        interrupts.report(interrupt)


def _open_closed_streams() -> None:
    """Open standard streams that are closed, which Python leaves out: other files would take their places."""
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            file = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115
            if file.fileno() != descriptor:
                os.dup2(file.fileno(), descriptor)
            os.set_inheritable(descriptor, True)  # the processes that this one starts need it for the same reason
            setattr(sys, name, file)


def _run(main: Callable[[], None], status: int) -> None:
    try:
        _refuse_removed_folder()
        interrupts.call(main)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(status)
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        _discard_output()
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        # Reading and writing files have contexts that name them.
        path = error.filename or "the output or a temporary file"
        print(f"error: {path} cannot be used {_reason_and_advice(error)}.", file=sys.stderr)
        if error.filename is None:
            _discard_output()
        sys.exit(status)
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        sentence = f"memory is full{reason}; lower compute.workers, or end other programs, and run again."
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(status)


def _refuse_removed_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        reason = "was removed" if isinstance(error, FileNotFoundError) else f"cannot be used ({error.strerror})"
        raise UserError(f"the working folder {reason}; change to another one and run again.") from None


def report_interrupts() -> None:
    """Report interrupts in one line before `run` is called, such as while a stage imports its libraries."""

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            interrupts.report(error)
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = report
    interrupts.stop_at_signals()


def _discard_output() -> None:
    """Discard what could not be printed: otherwise Python would try again at exit, and report it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def visible(text: str, controls: str = _CONTROLS) -> str:
    """Return text with control characters, and those that reverse the order of letters, as escape sequences."""
    # Those of JSON, so that JSON text stays valid.
    return re.sub(f"[{controls}]", lambda one: f"\\u{ord(one[0]):04x}", text)


@contextmanager
def _escaped(stream: TextIO, controls: str) -> Iterator[None]:
    write = stream.write
    stream.write = lambda text: write(visible(text, controls))  # type: ignore[method-assign]
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

    def error(self) -> UserError:
        """Return the exception for this failure, where a clip that fails is an error."""
        return MachineError(self.reason) if self.transient else UserError(self.reason)
