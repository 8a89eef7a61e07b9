"""Map a function over shards: side by side in processes, or one after the other in this one."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from queue import LifoQueue
from typing import TypeVar

from mocliplite.errors import UserError
from mocliplite.isolated import DiedError, Isolated
from mocliplite.params import Compute
from mocliplite.store import Failure

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


@cache
def guarded(function: Callable[..., Outcome], compute: Compute) -> Callable[..., Outcome | Failure]:
    """A callable that does what function(path, ...) does, in a process beside this one that is kept from call to call.

    A clip that ends the process, by a crash of the decoder or for lack of memory, or that takes longer than
    compute.time_limit, is a Failure, and the next call has a new process. Up to compute.workers threads may call side
    by side, each in a process of its own. With the engine inline it is the function itself.
    """
    if compute.engine == "inline":
        return function
    # The last one used first, so that there are no more processes than callers; they end with this process.
    idle: LifoQueue[Isolated[..., Outcome]] = LifoQueue()
    for _ in range(compute.workers):
        idle.put(Isolated(function, compute.time_limit))

    def call(path: str, *arguments: object) -> Outcome | Failure:
        one = idle.get()
        try:
            return one(path, *arguments)
        except (DiedError, TimeoutError, MemoryError) as error:
            return _failure(path, error, compute.time_limit)
        finally:
            idle.put(one)

    return call


def _failure(path: str, error: Exception, time_limit: int) -> Failure:
    if isinstance(error, TimeoutError):
        why = f"took longer than compute.time_limit, {time_limit} s; raise that, or replace or remove it."
        return Failure(f"{path} {why}", retry=True)
    if isinstance(error, DiedError) and error.signal not in ("SIGKILL", "SIGTERM"):
        return Failure(f"{path} crashes the decoder ({error.signal}); encode it again, or replace or remove it.")
    why = "its process was ended from outside, most likely for lack of memory; lower compute.workers."
    return Failure(f"{path} was not read: {why}", retry=True)


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
