"""Arrays larger than memory, and work in parts, which needs less of it."""

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from mocliplite.errors import writing

# Bytes above which an array is kept in a file. The system keeps as much of it in memory as there is room for.
_MAPPED = 1 << 31
_PART = 1 << 20  # bytes written at a time
_WIDE = 400  # numbers of a row above which parts have fewer rows


def new_array(shape: Sequence[int], dtype: np.dtype | type) -> np.ndarray:
    """Return an array to be filled: in memory, or if it is large, in a temporary file that is mapped into memory.

    The file is in the working folder and has no name, so it is gone with the array, even if the process is killed.
    Raises UserError if the file cannot be written.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= _MAPPED:
        return np.empty(shape, dtype)
    what = f"a temporary file of {size / 2**30:.1f} GiB in {Path.cwd()}"
    with writing(what), tempfile.TemporaryFile(dir=".") as file:
        _allocate(file, size)
        return np.memmap(file, dtype, "r+", shape=tuple(shape))


def _allocate(file: IO[bytes], size: int) -> None:
    """Reserve the bytes of a file: writing to a mapped page on a full disk would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    # On macOS and Windows, zeros are written.
    for part in slices(size, _PART):
        file.write(bytes(part.stop - part.start))
    file.flush()


def slices(length: int, size: int, width: int = 1) -> Iterator[slice]:
    """Yield the slices that divide `length` rows into parts of `size`; the last may be smaller.

    width: numbers of a row; where there are more than _WIDE, a part has no more numbers than `size` rows of _WIDE.
    """
    size = max(1, size * _WIDE // max(width, _WIDE))
    return (slice(start, min(start + size, length)) for start in range(0, length, size))
