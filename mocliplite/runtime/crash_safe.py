"""Calls that may crash or hang: each runs in a worker process, and a crash is returned as a Failure."""

from collections.abc import Callable, Iterator
from functools import cache
from queue import LifoQueue

from mocliplite import packages
from mocliplite.errors import Failure, LimitError, MachineError, UserError
from mocliplite.params import Compute
from mocliplite.runtime.engines import Outcome
from mocliplite.runtime.subprocess_worker import SubprocessWorker, WorkerDiedError, WorkerStartError

# Signals of a crash, probably caused by the clip. Other signals are sent from outside.
_CRASHES = ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS")

# What the function raises for a clip, and what happens to its process.
_FAILURES = (WorkerDiedError, TimeoutError, MemoryError, UserError, OSError)


@cache
def crash_safe(function: Callable[..., Outcome], compute: Compute) -> Callable[..., Outcome | Failure]:
    """Return a callable that calls function(path, ...) in a worker process and returns its result or a Failure.

    A UserError of the function is a Failure of the clip. A Failure of the machine, which the next run tries again, is a
    crash, a signal, an exit, lack of memory, a read error, or a clip beyond compute.time_limit or another limit of
    compute; a worker that died is replaced in the next call. Up to compute.workers threads may call at the same time,
    each with its own process. With the engine inline, the function is called in this process.

    Raises UserError if no process can call the function, such as for a library that is not installed.
    """
    # Last in, first out, so that there are no more processes than callers. Workers exit with this process.
    idle: LifoQueue[Callable[..., Outcome]] = LifoQueue()
    for _ in range(compute.workers):
        inline = compute.engine == "inline"
        # Twice, because the estimate in the room video leaves out memory such as the frames in the decoder.
        idle.put(function if inline else SubprocessWorker(function, compute.time_limit, 2 * compute.max_memory))

    def call(path: str, *arguments: object) -> Outcome | Failure:
        worker = idle.get()
        try:
            return worker(path, *arguments)
        except (WorkerStartError, ImportError) as error:
            raise _no_worker(error) from None
        except _FAILURES as error:
            return _failure(path, error, compute)
        finally:
            idle.put(worker)

    return call


def iterate_crash_safe(
    function: Callable[..., Iterator[Outcome]], compute: Compute, path: str, *arguments: object
) -> Iterator[Outcome]:
    """Yield the items of function(path, *arguments), which are computed in a worker process, one in advance.

    compute.time_limit is that of one item. Raises the error of a Failure where crash_safe returns one.
    """
    if compute.engine == "inline":
        yield from function(path, *arguments)
        return
    try:
        yield from SubprocessWorker(function, compute.time_limit, 2 * compute.max_memory).items(path, *arguments)
    except (WorkerStartError, ImportError) as error:
        raise _no_worker(error) from None
    except _FAILURES as error:
        raise _failure(path, error, compute).error() from None


def call_crash_safe(function: Callable[..., Outcome], compute: Compute, path: str, *arguments: object) -> Outcome:
    """Return function(path, *arguments), called by crash_safe. Raises the error of a Failure."""
    found = crash_safe(function, compute)(path, *arguments)
    if isinstance(found, Failure):
        raise found.error()
    return found


def _no_worker(error: Exception) -> UserError:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return packages.not_installed(error.name)
    return UserError(f"no clip can be read: {error}; repair the installation, then run again.")


def _failure(path: str, error: Exception, compute: Compute) -> Failure:
    """Return the Failure of a clip. That of the machine is tried again, and a transient one also stops the stage."""
    if isinstance(error, MachineError):
        return Failure(str(error), retry=True, transient=not isinstance(error, LimitError))
    if isinstance(error, UserError):
        return Failure(str(error))
    if isinstance(error, TimeoutError):
        limit = f"compute.time_limit, {compute.time_limit} s (for predict: --time-limit)"
        return Failure(f"{path} took longer than {limit}; raise the limit, or replace or remove the clip.", retry=True)
    if isinstance(error, OSError):
        reason = error.strerror or type(error).__name__
        return Failure(f"{path} was not read ({reason}); check the disks of this machine.", retry=True, transient=True)
    if isinstance(error, WorkerDiedError) and error.signal in _CRASHES:
        reason = f"the decoder crashed ({error.signal}); run again, and remove the clip if it crashes every time."
        return Failure(f"{path} was not read: {reason}", retry=True)
    if isinstance(error, WorkerDiedError) and error.signal.startswith("exit"):
        reason = f"its process exited ({error.signal}); see its output for the reason."
        return Failure(f"{path} was not read: {reason}", retry=True, transient=True)
    reason = "its process was killed, probably because memory was full; lower compute.workers."
    return Failure(f"{path} was not read: {reason}", retry=True, transient=True)
