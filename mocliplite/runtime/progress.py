"""One kind of progress bar for everything that takes a while."""

import sys
from collections.abc import Iterator
from typing import Any

from tqdm import tqdm


def progress(name: str, total: int, unit: str) -> "tqdm[Any]":
    """A bar on a terminal; elsewhere a line every ten seconds, so that logs stay readable."""
    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(total=total, desc=name, unit=unit, mininterval=interval, dynamic_ncols=True)


def progress_range(name: str, total: int, unit: str) -> Iterator[int]:
    """range(total) behind a bar."""
    with progress(name, total, unit) as bar:
        try:
            for index in range(total):
                yield index
                bar.update()
        except GeneratorExit:  # the loop was left early, having all that it wanted
            bar.total = bar.n + 1
            bar.update()
            raise
