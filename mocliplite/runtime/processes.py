"""The engine `processes`: calls in processes of this machine."""

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeVar

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
    # An interrupt kills the processes at once: otherwise idle ones print tracebacks, and the pool may wait for one of
    # them forever.
    killed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with ProcessPoolExecutor(min(workers, len(specs)), mp_context=context, initializer=killed) as pool:
        try:
            futures = [pool.submit(_call, function, spec) for spec in specs]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, probably because memory was full; finished shards are kept: "
                "lower compute.workers and run the stage again."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def _call(function: Callable[[Spec], Iterable[Outcome]], spec: Spec) -> list[Outcome]:
    return list(function(spec))
