"""The engine `dask`: calls on the workers of a Dask cluster. The only module that imports distributed."""

import logging
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar
from uuid import uuid4

from distributed import Client, Future, KilledWorker, LocalCluster, NannyPlugin, get_worker

import mocliplite
from mocliplite import versions
from mocliplite.errors import UserError
from mocliplite.params import Compute
from mocliplite.runtime.memory_watch import limited_memory

Spec = TypeVar("Spec")
Outcome = TypeVar("Outcome")

_RUN = "MOCLIPLITE_RUN"  # environment variable of the workers: a run's own name
_CONNECT_LIMIT = 30  # seconds
_POLL = 1  # seconds between two looks at the number of workers and at slow calls
_PATIENCE = 10  # polls without any worker after which this is said
_DEATHS = 3  # times that Dask may give up a spec whose workers die; each time, four workers have died


def outcomes(
    function: Callable[[Spec], Iterable[Outcome]], specs: Sequence[Spec], compute: Compute
) -> Iterator[list[Outcome]]:
    """Yield list(function(spec)) for every spec, in the order in which they finish.

    The spec of a worker that died is given to another one. That of a call which takes compute.time_limit seconds
    longer than the slowest call that has finished is also given to another one as soon as one is idle; the first to
    finish counts.

    Raises UserError if there is no scheduler, if it is lost, if the workers have another version of the code, or, after
    all other specs, if the workers of a spec always die.
    """
    if not specs:
        return
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is raised
    os.environ[_RUN] = uuid4().hex
    with _client(compute, len(specs)) as client:
        calls = _Calls(client, function, specs, compute.time_limit)
        try:
            yield from calls.finished()
        except CancelledError:
            raise UserError(
                "the Dask scheduler was lost; finished shards are kept: start it and its workers again, and run the "
                "stage again."
            ) from None
        finally:
            calls.cancel()


@contextmanager
def _client(compute: Compute, specs: int) -> Iterator[Client]:
    """Connect to the scheduler of compute.scheduler, or start a cluster on this machine."""
    if compute.scheduler is None:
        # Without an address, it would try the same port as every other cluster.
        local = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL}
        with LocalCluster(n_workers=min(compute.workers, specs), **local) as cluster, Client(cluster) as client:
            yield client
        return
    is_address = "://" in compute.scheduler
    if not is_address and not Path(compute.scheduler).is_file():
        raise UserError(
            f"compute.scheduler is {compute.scheduler}, which is neither a file nor an address such as "
            "tcp://10.0.0.1:8786; start a scheduler first: `python -m dask scheduler --scheduler-file FILE`."
        )
    where = {"address": compute.scheduler} if is_address else {"scheduler_file": compute.scheduler}
    try:
        client = Client(**where, timeout=_CONNECT_LIMIT)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no scheduler answers at compute.scheduler, {compute.scheduler} ({_one_line(error)}); start it, or "
            "correct the setting."
        ) from None
    with client:
        try:
            client.run_on_scheduler(_code)
            with suppress(OSError):  # a worker died meanwhile; those that were missed are stale
                client.register_plugin(_FreshWorkers())
        except Exception as error:  # that of a nanny arrives as a plain Exception
            if "No module named" not in str(error):
                raise
            raise UserError(
                f"the Dask scheduler or a worker cannot import the project ({_one_line(error)}); start both in its "
                "folder, by `python -m dask`."
            ) from None
        yield client


class _FreshWorkers(NannyPlugin):
    """Starts each worker anew before its first call, with the settings of this process for numerical libraries.

    These take effect only before numpy is imported, which Dask does early. And nothing remains of earlier runs: models,
    settings, calls that hang or whose stage was killed.
    """

    name = "mocliplite"
    restart = True

    def __init__(self) -> None:
        names = [_RUN, *mocliplite.SAME_CODE, "OMP_WAIT_POLICY", "CUBLAS_WORKSPACE_CONFIG"]
        self.environment = {name: os.environ[name] for name in names if name in os.environ}

    def setup(self, nanny: Any) -> None:
        """Set the environment of the next worker process."""
        nanny.pre_spawn_env.update(self.environment)


class _StaleWorkerError(Exception):
    """The worker of this address was being started when the run began, and has the settings of an earlier one."""


def _set_up(plugin: _FreshWorkers, dask_worker: Any) -> None:
    """Do on the nanny of a stale worker what Dask does for the workers that it knows. The nanny is dask_worker."""
    plugin.setup(dask_worker)


class _Calls:
    """Calls of a function on a cluster, at most as many at once as it has threads, so that each runs at once."""

    def __init__(self, client: Client, function: Callable[[Any], Any], specs: Sequence[Any], time_limit: int) -> None:
        self._client, self._function, self._specs, self._time_limit = client, function, specs, time_limit
        self._waiting = deque(range(len(specs)))
        self._running: dict[Future, tuple[int, float]] = {}  # number of the spec, and when it was submitted
        self._unfinished = set(self._waiting)
        self._given_up = dict.fromkeys(self._waiting, 0)  # times
        self._slowest = 0.0  # seconds
        self._found, self._looked = 0, -math.inf  # threads of all workers, and when they were counted
        self._without_workers = 0  # polls
        self._done: SimpleQueue[Future] = SimpleQueue()

    def finished(self) -> Iterator[Any]:
        """Yield the results. Raises CancelledError if the scheduler is lost."""
        lost: list[int] = []
        while self._unfinished:
            self._submit()
            try:
                future = self._done.get(timeout=_POLL)
            except Empty:
                continue
            number, started = self._running.pop(future)
            if number not in self._unfinished:
                continue
            try:
                result = future.result()
            except _StaleWorkerError as error:
                self._renew(str(error))
                self._waiting.append(number)
                continue
            except KilledWorker:
                self._given_up[number] += 1
                if self._given_up[number] < _DEATHS:
                    self._waiting.append(number)
                else:
                    self._unfinished.remove(number)
                    lost.append(number)
                continue
            self._unfinished.remove(number)
            self._slowest = max(self._slowest, time.monotonic() - started)
            yield result
        if lost:
            raise UserError(
                f"the workers of {len(lost)} of {len(self._specs)} parts died each time, probably because memory was "
                "full; all other shards are kept: see the logs of the workers, and run the stage again."
            )

    def cancel(self) -> None:
        """Cancel what is left: calls that were given to a second worker, or all after an error."""
        if self._client.status == "running":
            busy = [address for address, keys in self._client.processing().items() if keys]
            self._client.cancel(list(self._running), force=True)
            if busy:  # a call that runs cannot be cancelled, and would write to the store after the stage
                with suppress(OSError, KeyError, ValueError):
                    self._client.restart_workers(busy, raise_for_error=False)

    def _submit(self) -> None:
        """Give specs to idle workers: those that wait, then those whose calls are slow."""
        for _ in range(self._threads() - len(self._running)):
            number = self._waiting.popleft() if self._waiting else self._slow()
            if number is None:
                break
            # Not pure: Dask would return the result of an equal call, even of one that runs.
            arguments = (os.environ[_RUN], _code(), str(Path.cwd()), self._function, self._specs[number])
            future = self._client.submit(_call, *arguments, pure=False)
            self._running[future] = number, time.monotonic()
            future.add_done_callback(self._done.put)

    def _renew(self, address: str) -> None:
        """Start a worker anew for this run, unless it dies or is gone."""
        with suppress(OSError, KeyError, ValueError):
            self._client.run(_set_up, _FreshWorkers(), workers=[address], nanny=True)
            self._client.restart_workers([address], raise_for_error=False)

    def _threads(self) -> int:
        """Return the number of threads of all workers. Raises CancelledError if the scheduler is lost."""
        if self._client.status != "running":
            raise CancelledError
        if time.monotonic() < self._looked + _POLL:
            return self._found
        try:
            self._found = sum(self._client.nthreads().values())
        except OSError:
            raise CancelledError from None
        self._looked = time.monotonic()
        self._without_workers = 0 if self._found else self._without_workers + 1
        if self._without_workers == _PATIENCE:
            print("waiting for workers of the scheduler", file=sys.stderr)
        return self._found

    def _slow(self) -> int | None:
        """Return a spec whose only call takes too long."""
        latest = time.monotonic() - self._time_limit - self._slowest
        numbers = [number for number, _ in self._running.values()]
        slow = (
            number
            for number, started in self._running.values()
            if started < latest and number in self._unfinished and numbers.count(number) == 1
        )
        return next(slow, None)


def _code() -> dict[str, object]:
    """Return what must be the same on all machines: values of other versions are not those of the recorded settings."""
    names = [name for name in vars(versions) if name.isupper()]
    return {"mocliplite": mocliplite.__version__, **{name: getattr(versions, name) for name in names}}


def _call(
    run: str, code: dict[str, object], folder: str, function: Callable[[Spec], Iterable[Outcome]], spec: Spec
) -> list[Outcome]:
    """Return list(function(spec)), called on a worker."""
    worker = get_worker()
    if code != _code():
        raise UserError(f"the worker {worker.address} has another version of mocliplite; install the same one there.")
    if not worker.nanny or worker.state.nthreads > 1:
        raise UserError(f"the worker {worker.address} must have a nanny and one thread; start it with `--nthreads 1`.")
    if os.environ.get(_RUN) != run:
        raise _StaleWorkerError(worker.address)
    try:
        os.chdir(folder)
    except OSError as error:
        raise UserError(
            f"the worker {worker.address} cannot open {folder} ({error.strerror}); all machines must have the project "
            "in the same folder, which they share."
        ) from None
    with limited_memory(worker.memory_manager.memory_limit):
        return list(function(spec))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
