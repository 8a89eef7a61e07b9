"""Map a function over specs: in this process, in processes of this machine, or on a cluster; and over threads.

An engine is a module with one function, `outcomes`, which makes three calls of its library: submit, as completed,
result. Another engine is another such module, and a case in map_specs.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import chain
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from mocliplite import packages
from mocliplite.params import Compute

Spec = TypeVar("Spec")
Outcome = TypeVar("Outcome")


def map_specs(
    function: Callable[[Spec], Iterable[Outcome]], specs: Sequence[Spec], compute: Compute
) -> Iterator[Outcome]:
    """Yield the outcomes of function(spec) for every spec; specs are in the order in which they finish.

    The function must be importable by name, be idempotent and write its results to disk: an interrupted run continues,
    and an engine may call it twice for a spec, even at the same time. Outcomes are small.
    Raises UserError if workers die or are lost, and where a package of the engine is not installed.
    """
    if compute.engine == "dask":
        yield from chain.from_iterable(_dask_outcomes(function, specs, compute))
    elif compute.engine == "inline" or compute.workers == 1 or len(specs) < 2:
        yield from chain.from_iterable(map(function, specs))
    else:
        from mocliplite.runtime import processes

        yield from chain.from_iterable(processes.outcomes(function, specs, compute.workers))


def _dask_outcomes(
    function: Callable[[Spec], Iterable[Outcome]], specs: Sequence[Spec], compute: Compute
) -> Iterator[list[Outcome]]:
    try:
        from mocliplite.runtime import dask_engine
    except ModuleNotFoundError as error:
        raise packages.not_installed(str(error.name), "compute.engine dask") from None
    return dask_engine.outcomes(function, specs, compute)


def groups(items: Sequence[Spec], compute: Compute) -> list[Sequence[Spec]]:
    """Return the items in the groups that a call computes together: one by one on a cluster, otherwise all in one.

    For functions that use all cores, or a GPU, by themselves.
    """
    return [[item] for item in items] if compute.engine == "dask" else [items]


def map_ahead(
    function: Callable[[Spec], Outcome], specs: Iterable[Spec], workers: int, ahead: int = 0
) -> Iterator[Outcome]:
    """Yield function(spec) in the order of specs. Threads compute `ahead` results in advance, at least 2 * workers."""
    tasks, waiting = SimpleQueue[tuple[Future[Outcome], Spec] | None](), deque[Future[Outcome]]()
    started = 0
    try:
        for spec in specs:
            if started < workers:
                # Python would wait for those of a ThreadPoolExecutor, also at an interrupt: minutes for a long video.
                Thread(target=_work, args=(function, tasks), daemon=True).start()
                started += 1
            waiting.append(Future())
            tasks.put((waiting[-1], spec))
            # Bounded, because the results are pictures, which need memory.
            if len(waiting) > max(ahead, 2 * workers):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        for _ in range(started):
            tasks.put(None)


def _work(function: Callable[[Spec], Outcome], tasks: "SimpleQueue[tuple[Future[Outcome], Spec] | None]") -> None:
    while (task := tasks.get()) is not None:
        future, spec = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(spec))
            except BaseException as error:  # noqa: BLE001  raised by result()
                future.set_exception(error)
        del task, future, spec  # an idle thread would keep the result
