"""The one exception meant for users, and the boundary that turns it into a line and an exit status."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass


class UserError(Exception):
    """A mistake the user can mend: names the file or key, what is wrong, what to do."""


def run(main: Callable[[], None], status: int = 1) -> None:
    """Call main; a UserError becomes one line on stderr and this exit status, not a traceback."""
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(status)
    except BrokenPipeError:
        # Whoever read the output has seen enough, as `head` does. Else Python would complain of it on leaving.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, run the same command again to go on.", file=sys.stderr)
        sys.exit(130)


@dataclass(frozen=True)
class Failure:
    """Why a clip could not be used, in a sentence.

    retry: the machine failed (memory, time limit), not the clip. The next run tries it again, whereas a clip's own
    failure stays until the clip, the settings or the code change.
    """

    reason: str
    retry: bool = False

    def __str__(self) -> str:
        return self.reason
