"""Map a function over shards: side by side in processes, or one after the other in this one."""

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

    The function is idempotent and leaves its result on disk, so that a run that was ended goes on where it was.
    Raises UserError where a worker process dies.
    """
    if compute.engine == "inline" or compute.workers == 1 or len(specs) < 2:
        yield from map(function, specs)
        return
    # Spawned, not forked: decoders and HDF5 keep threads and locks that a fork would copy in any state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(compute.workers, len(specs)), mp_context=context) as pool:
        try:
            futures = [pool.submit(function, spec) for spec in specs]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise UserError(
                "a worker process was ended from outside, most likely for lack of memory; finished shards are kept: "
                "run the stage again, with fewer compute.workers."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def map_ahead(function: Callable[[Spec], Outcome], specs: Iterable[Spec], workers: int) -> Iterator[Outcome]:
    """Yield function(spec) in the order of specs, threads working a few specs ahead of whoever takes the results."""
    waiting: deque[Future[Outcome]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for spec in specs:
            waiting.append(pool.submit(function, spec))
            # Bounded: the results are pictures.
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
