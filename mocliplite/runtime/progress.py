"""Progress bars."""

import sys
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm


def progress(name: str, total: int, unit: str) -> "tqdm[Any]":
    """Return a progress bar; if stderr is not a terminal, it prints at most one line per ten seconds, for logs."""
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(total=total, desc=name, unit=unit, mininterval=interval, dynamic_ncols=True)


def progress_range(name: str, total: int, unit: str) -> Iterator[int]:
    """Yield the numbers of range(total) and show a progress bar."""
    with progress(name, total, unit) as bar:
        try:
            for index in range(total):
                yield index
                bar.update()
        except GeneratorExit:  # the caller left the loop early, after its last step
            bar.total = bar.n + 1
            bar.update()
            raise
