"""The exception for users' mistakes, and the function that turns it into one line and an exit status."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

INTERRUPTED = "interrupted; finished work is kept. Run the same command again to continue."


class UserError(Exception):
    """A mistake that the user can fix. The message names the file or key, what is wrong, and what to do."""


class MachineError(UserError):
    """The machine failed, such as its disk, not the file: the same may go well in the next run."""


class LimitError(MachineError):
    """A file is larger than a setting allows on this machine."""


def run(main: Callable[[], None], status: int = 1) -> None:
    """Call main. A UserError is printed as one line to stderr, without a traceback, and exits with this status."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(status)
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does. Without this Python would report the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)
        sys.exit(130)


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
