"""Calls that may crash or hang: each runs in a worker process, and a crash becomes a recorded failure."""

from collections.abc import Callable
from functools import cache
from queue import LifoQueue

from mocliplite.errors import Failure
from mocliplite.params import Compute
from mocliplite.runtime.engines import Outcome
from mocliplite.runtime.subprocess_worker import SubprocessWorker, WorkerDiedError


@cache
def crash_safe(function: Callable[..., Outcome], compute: Compute) -> Callable[..., Outcome | Failure]:
    """A callable that does what function(path, ...) does, in a process beside this one that is kept from call to call.

    A clip that ends the process, by a crash of the decoder or for lack of memory, or that takes longer than
    compute.time_limit, is a Failure, and the next call has a new process. Up to compute.workers threads may call side
    by side, each in a process of its own. With the engine inline it is the function itself.
    """
    if compute.engine == "inline":
        return function
    # The last one used first, so that there are no more processes than callers; they end with this process.
    idle: LifoQueue[SubprocessWorker[..., Outcome]] = LifoQueue()
    for _ in range(compute.workers):
        idle.put(SubprocessWorker(function, compute.time_limit))

    def call(path: str, *arguments: object) -> Outcome | Failure:
        one = idle.get()
        try:
            return one(path, *arguments)
        except (WorkerDiedError, TimeoutError, MemoryError) as error:
            return _failure(path, error, compute.time_limit)
        finally:
            idle.put(one)

    return call


def _failure(path: str, error: Exception, time_limit: int) -> Failure:
    if isinstance(error, TimeoutError):
        why = f"took longer than compute.time_limit, {time_limit} s; raise that, or replace or remove it."
        return Failure(f"{path} {why}", retry=True)
    if isinstance(error, WorkerDiedError) and error.signal not in ("SIGKILL", "SIGTERM"):
        return Failure(f"{path} crashes the decoder ({error.signal}); encode it again, or replace or remove it.")
    why = "its process was ended from outside, most likely for lack of memory; lower compute.workers."
    return Failure(f"{path} was not read: {why}", retry=True)
