"""Map a function over shards, in parallel processes or sequentially in this process."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from mocliplite.errors import UserError
from mocliplite.params import Compute

Spec = TypeVar("Spec")
Outcome = TypeVar("Outcome")


def map_shards(function: Callable[[Spec], Outcome], specs: Sequence[Spec], compute: Compute) -> Iterator[Outcome]:
    """Yield function(spec) for every spec, in the order in which they finish.

    The function must be idempotent and write its result to disk, so that an interrupted run can continue.
    Raises UserError if a worker process dies.
    """
    if compute.engine == "inline" or compute.workers == 1 or len(specs) < 2:
        yield from map(function, specs)
        return
    # Spawned, not forked, because a fork copies threads and locks of decoders and HDF5 in any state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(compute.workers, len(specs)), mp_context=context) as pool:
        try:
            futures = [pool.submit(function, spec) for spec in specs]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was killed, probably because memory was full; finished shards are kept: "
                "lower compute.workers and run the stage again."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def map_ahead(
    function: Callable[[Spec], Outcome], specs: Iterable[Spec], workers: int, ahead: int = 0
) -> Iterator[Outcome]:
    """Yield function(spec) in the order of specs. Threads compute `ahead` results in advance, at least 2 * workers."""
    waiting: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for spec in specs:
            waiting.append(pool.submit(function, spec))
            # Bounded, because the results are pictures, which need memory.
            if len(waiting) > max(ahead, 2 * workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
