"""Whole HDF5 files: equal content gives equal bytes, and a SHA-256 digest of them precedes them, for `verify`."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import h5py

from mocliplite import interrupts
from mocliplite.errors import reading
from mocliplite.files import atomic_write

USERBLOCK = 512  # bytes at the beginning that HDF5 does not use
# Bytes of an open file's own structures that HDF5 keeps in memory. By default up to 32 MiB, 17 kB for each clip
# of a motion shard. When they leave the memory decides where they are in the file: with this much for writing, shards
# of up to 600 clips have the same bytes as by default. With a quarter of it, shards of 330 would have other bytes.
_WRITING, _READING = 1 << 22, 1 << 18
Result = TypeVar("Result")


class _Output:
    """A file for HDF5 to write to. It keeps the first error of the disk and writes no more.

    HDF5 cannot handle an error of a file that it writes: it may crash, or never close the file. Interrupts would be
    such errors, too, so they are deferred while a file is written.
    """

    def __init__(self, file: io.BufferedRandom) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        return self._try(lambda: self._file.write(content), len(content))

    def flush(self) -> None:
        self._try(self._file.flush, None)

    def truncate(self, size: int) -> int:
        return self._try(lambda: self._file.truncate(size), size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._try(lambda: self._file.seek(offset, whence), 0)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int) -> bytes:
        return self._try(lambda: self._file.read(size), b"").ljust(size, b"\0")

    def _try(self, operation: Callable[[], Result], otherwise: Result) -> Result:
        try:
            return otherwise if self.error else operation()
        except OSError as error:
            self.error = error
            return otherwise


@contextmanager
def create(path: Path) -> Iterator[h5py.File]:
    """Yield an HDF5 file to write; at the end, rename it to path. Raises UserError if path cannot be written.

    What is written goes to disk, so the size of a file is not limited by memory. The format version is pinned, because
    the bytes must not depend on the version of the library.
    """
    with atomic_write(path) as partial, partial.open("w+b") as out, interrupts.deferred():
        output = _Output(out)
        try:
            with h5py.File(output, "w", libver=("v110", "v110"), userblock_size=USERBLOCK) as file:
                _limit_cache(file, _WRITING)
                yield file
        finally:
            if output.error:
                raise output.error
        block = _digest_block(out)
        out.seek(0)
        out.write(block)


def open_to_read(path: Path) -> h5py.File:
    """Return a file opened for reading. Raises OSError if HDF5 cannot open it."""
    # A shared cache may be on a file system without locks, and its files may be read-only.
    file = h5py.File(path, "r", locking=False)
    _limit_cache(file, _READING)
    return file


def _limit_cache(file: h5py.File, size: int) -> None:
    """Limit the memory for the structures of an open file, which would grow with the number of clips."""
    config = file.id.get_mdc_config()
    config.set_initial_size = True
    config.initial_size = config.min_size = config.max_size = size
    config.incr_mode = config.flash_incr_mode = config.decr_mode = 0  # never another size
    file.id.set_mdc_config(config)


def digest_matches(path: Path) -> bool:
    """Return whether a file is byte for byte what was written, including bytes that carry no value."""
    with reading(path), path.open("rb") as file:
        return file.read(USERBLOCK) == _digest_block(file)


def read_digest(path: Path) -> str:
    """Return the digest of all content of a file, as recorded in its user block: 64 hexadecimal digits.

    Raises ValueError for a file that does not begin with one.
    """
    with reading(path), path.open("rb") as file:
        block = file.read(USERBLOCK).decode("ascii", errors="replace")
    found = re.fullmatch(r"sha256 of all bytes from \d+ on: ([0-9a-f]{64})\n\0*", block)
    if found is None:
        raise ValueError("no digest at its beginning")
    return found[1]


def _digest_block(file: io.BufferedRandom | io.BufferedReader) -> bytes:
    """Return the user block of a file: the bytes before the content, which HDF5 does not use."""
    file.seek(USERBLOCK)
    text = f"sha256 of all bytes from {USERBLOCK} on: {hashlib.file_digest(file, 'sha256').hexdigest()}\n"
    return text.encode().ljust(USERBLOCK, b"\0")
