"""Size and content hash of files, several at a time."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from mocliplite.errors import UserError, reading
from mocliplite.params import is_address
from mocliplite.remote.connection import CONNECTIONS
from mocliplite.remote.copies import local_copy
from mocliplite.runtime.engines import map_ahead
from mocliplite.runtime.progress import progress

_WAITING = 4  # threads above the number of cores, since some wait for the disk


def read_contents(root: str, paths: Sequence[str], task: str) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yield each path below dataset.root with the size in bytes and the SHA-256 of its file.

    task: the name of the progress bar. Raises UserError for a file that cannot be read.
    """
    # Threads suffice, because hashlib releases the global interpreter lock.
    workers = CONNECTIONS if is_address(root) else (os.cpu_count() or 1) + _WAITING
    contents = map_ahead(partial(_content_of, root), paths, workers)
    with progress(task, len(paths), "clip") as bar:
        for path, content in zip(paths, contents, strict=True):
            bar.update()
            yield path, content


def _content_of(root: str, path: str) -> tuple[int, str]:
    with local_copy(root, path) as file:
        return size_and_digest(file)


def size_and_digest(path: Path) -> tuple[int, str]:
    """Return size in bytes and SHA-256 of a file. Raises UserError if it cannot be read."""
    if not path.is_file():  # opening a pipe would wait for a writer
        raise UserError(f"{path} is not a regular file; remove it.")
    try:
        with reading(path), path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); fix or remove it.") from None
