"""Calls that may crash or hang: each runs in a worker process, and a crash becomes a recorded failure."""

from collections.abc import Callable
from functools import cache
from queue import LifoQueue

from mocliplite.errors import Failure, LimitError, MachineError, UserError
from mocliplite.params import Compute
from mocliplite.runtime.engines import Outcome
from mocliplite.runtime.subprocess_worker import SubprocessWorker, WorkerDiedError, WorkerStartError

# Signals by which a process ends itself: by what it did to this clip, as far as one can tell.
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS")


@cache
def crash_safe(function: Callable[..., Outcome], compute: Compute) -> Callable[..., Outcome | Failure]:
    """A callable that does what function(path, ...) does, in a process beside this one that is kept from call to call.

    A UserError that the function raises is a Failure of the clip. What keeps the process from answering is a Failure of
    the machine, and the next call has a new process: a crash, a signal, an exit, too little memory, a read error, a
    clip that takes longer than compute.time_limit or is beyond the other limits of compute. Up to compute.workers
    threads may call side by side, each in a process of its own. With the engine inline there is no other process.

    Raises UserError where no process can do the work, such as for a library that is not installed.
    """
    # The last one used first, so that there are no more processes than callers; they end with this process.
    idle: LifoQueue[Callable[..., Outcome]] = LifoQueue()
    for _ in range(compute.workers):
        inline = compute.engine == "inline"
        # Twice, for what the estimate in room video does not count, such as pictures that the decoder holds.
        idle.put(function if inline else SubprocessWorker(function, compute.time_limit, 2 * compute.max_memory))

    def call(path: str, *arguments: object) -> Outcome | Failure:
        one = idle.get()
        try:
            return one(path, *arguments)
        except WorkerStartError as error:
            raise UserError(f"no clip can be read here: {error}; mend the installation, then run again.") from None
        except ImportError as error:
            raise UserError(f"no clip can be read here: {error}; install what is missing, then run again.") from None
        except (WorkerDiedError, TimeoutError, MemoryError, MachineError, OSError) as error:
            return _failure(path, error, compute)
        except UserError as error:
            return Failure(str(error))
        finally:
            idle.put(one)

    return call


def call_crash_safe(function: Callable[..., Outcome], compute: Compute, path: str, *arguments: object) -> Outcome:
    """function(path, *arguments) by crash_safe; any Failure is raised as UserError."""
    found = crash_safe(function, compute)(path, *arguments)
    if isinstance(found, Failure):
        raise UserError(found.reason)
    return found


def _failure(path: str, error: Exception, compute: Compute) -> Failure:
    """Of the machine: tried again by the next run. One that may pass by itself also ends this run with a sentence."""
    if isinstance(error, MachineError):
        return Failure(str(error), retry=True, transient=not isinstance(error, LimitError))
    if isinstance(error, TimeoutError):
        limit = f"compute.time_limit, {compute.time_limit} s (of predict: --time-limit)"
        return Failure(f"{path} took longer than {limit}; raise that, or replace or remove it.", retry=True)
    if isinstance(error, OSError):
        why = error.strerror or type(error).__name__
        return Failure(f"{path} was not read ({why}); see to this machine's disks.", retry=True, transient=True)
    if isinstance(error, WorkerDiedError) and error.signal in _CRASHES:
        why = f"the decoder crashed ({error.signal}); the next run tries it again; if it crashes always, remove it."
        return Failure(f"{path} was not read: {why}", retry=True)
    if isinstance(error, WorkerDiedError) and error.signal.startswith("exit"):
        why = f"its process ended by itself ({error.signal}); what it printed says why."
        return Failure(f"{path} was not read: {why}", retry=True, transient=True)
    why = "its process was ended from outside, most likely for lack of memory; lower compute.workers."
    return Failure(f"{path} was not read: {why}", retry=True, transient=True)
