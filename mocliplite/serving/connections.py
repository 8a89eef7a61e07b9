"""For how long and how many connections may wait for their clients, and what is said when none can be accepted."""

import asyncio
import errno
import logging
import math
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from mocliplite.errors import UserError

CONNECTIONS = 1000
ACCEPTED = 8  # connections that asyncio accepts in a turn of its loop; some turns later, those too many are closed
RESERVE = 100  # file descriptors for these turns, the models and the pipes to the processes that decode
SILENCE = 60  # seconds between two lines about connections that cannot be accepted


def most_connections(queue: int) -> int:
    """Return how many connections may be open, beside the uploads of a queue that are being saved.

    Raises UserError if the process may not open files for all requests of the queue.
    """
    most = max(CONNECTIONS, 2 * queue)
    try:
        import resource
    except ModuleNotFoundError:  # Windows, which has no such limit
        return most
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return most
    needed = 2 * queue + RESERVE
    if descriptors < needed:
        raise UserError(
            f"--queue {queue} needs {needed} open files, and a process may have {descriptors}; "
            f"run ulimit -n {needed} before, or lower --queue."
        )
    return min(most, descriptors - RESERVE - queue)


def limited(time_limit: float, most: int) -> type[H11Protocol]:
    """Return the protocol of connections that wait for their clients for time_limit seconds at most.

    A connection waits until the header of a request is complete, after an answer (where uvicorn ends it earlier if no
    byte comes), and while the client does not take an answer. What uvicorn has instead, timeout_keep_alive, begins
    after an answer, and ends with the next byte. Beyond `most` connections, a new one ends the one that has waited
    longest: uvicorn's limit_concurrency would leave silent connections open, and refuse the requests of all others.
    """

    class Limited(H11Protocol):
        end: asyncio.TimerHandle | None = None  # of the wait; None while the server works on a request

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()
            if len(self.connections) > most:
                all_limited = (other for other in self.connections if isinstance(other, Limited))
                ends = {other.end.when(): other for other in all_limited if other.end}
                ends[min(ends)]._give_up()  # the new one, if all others are at work

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._work()

        def handle_events(self) -> None:
            super().handle_events()
            self._wait_or_work()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._wait_or_work()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._wait_or_work()

        def resume_writing(self) -> None:
            super().resume_writing()
            self._wait_or_work()

        def _wait_or_work(self) -> None:
            if self.cycle is None or self.cycle.response_complete or self.flow.write_paused:
                self._wait()
            else:
                self._work()

        def _wait(self) -> None:
            # Bytes that arrive do not prolong a wait: one at a time, they could do so for ever.
            if self.end is None:
                self.end = self.loop.call_later(time_limit, self._give_up)

        def _work(self) -> None:
            if self.end is not None:
                self.end.cancel()
                self.end = None

        def _give_up(self) -> None:
            self._work()
            self.transport.abort()  # close would wait until the client has taken the rest of an answer

    return Limited


def accept_failures() -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """Return a handler of a loop's errors that says in one line, not in tracebacks, that no file can be opened."""
    said = -math.inf

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal said
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE) and "socket" in context):
            loop.default_exception_handler(context)
        elif loop.time() - said > SILENCE:  # asyncio tries again each second
            said = loop.time()
            sentence = "no connection can be accepted (%s); start the server with a higher ulimit -n."
            logging.getLogger(__name__).error(sentence, error.strerror)

    return handle
