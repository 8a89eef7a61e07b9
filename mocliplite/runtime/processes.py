"""The engine `processes`: calls in processes of this machine, which end with this process, even if it is killed."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TypeVar

from mocliplite import interrupts
from mocliplite.errors import UserError

Spec = TypeVar("Spec")
Outcome = TypeVar("Outcome")


def outcomes(
    function: Callable[[Spec], Iterable[Outcome]], specs: Sequence[Spec], workers: int
) -> Iterator[list[Outcome]]:
    """Yield list(function(spec)) for every spec, in the order in which they finish.

    Raises UserError if a process dies.
    """
    # Spawned, not forked, because a fork copies threads and locks of decoders and HDF5 in any state.
    context = multiprocessing.get_context("spawn")
    ends, lives = context.Pipe(duplex=False)
    with ends, lives, ProcessPoolExecutor(min(workers, len(specs)), context, _start, (ends,)) as pool:
        try:
            # submit starts the processes. The tracker of multiprocessing, whose start unblocks SIGINT, runs already.
            with interrupts.blocked():
                futures = [pool.submit(_call, function, spec) for spec in specs]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, probably because memory was full; finished shards are kept: "
                "lower compute.workers and run the stage again."
            ) from None
        except (KeyboardInterrupt, GeneratorExit):  # the latter if the caller is interrupted
            lives.close()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _start(ends: Connection) -> None:
    """Let this worker end at an interrupt, and when the other end of the pipe is closed, as at the end of the pool.

    Otherwise idle workers print tracebacks at an interrupt, and the pool may wait for one of them forever; and those
    of a killed process would remain.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    interrupts.unblock()
    threading.Thread(target=_exit_at_end, args=(ends,), daemon=True).start()


def _exit_at_end(pipe: Connection) -> None:
    with suppress(EOFError, OSError):
        pipe.recv()  # nothing is ever sent
    os._exit(1)


def _call(function: Callable[[Spec], Iterable[Outcome]], spec: Spec) -> list[Outcome]:
    return list(function(spec))
