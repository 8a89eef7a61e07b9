"""A limit on the memory of this process and its children together."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

_INTERVAL = 0.2  # seconds
_LIMIT = 0.95  # of the memory, the fraction at which Dask ends a worker


@contextmanager
def limited_memory(limit: int | None) -> Iterator[None]:
    """Context in which the largest child is killed while this process and its children use almost `limit` bytes.

    A child decodes one clip, which then fails like one for which the system has no memory left. The limit of a Dask
    worker does not count its children.
    """
    if not limit:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(limit * _LIMIT, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _watch(limit: float, ended: threading.Event) -> None:
    process = psutil.Process()
    while not ended.wait(_INTERVAL):
        # A child may end at any time.
        with suppress(psutil.Error):
            children = {child: child.memory_info().rss for child in process.children(recursive=True)}
            if children and process.memory_info().rss + sum(children.values()) > limit:
                max(children, key=children.__getitem__).kill()
