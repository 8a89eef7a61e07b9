"""All clips of a data set, from class folders or from lists, with size and content hash of each file."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from mocliplite import params
from mocliplite.data import folders, listed
from mocliplite.data.clips import Clip
from mocliplite.data.lists import formats
from mocliplite.errors import UserError
from mocliplite.runtime.progress import progress


def find_clips(settings: params.Dataset) -> list[Clip]:
    """Return all clips in order of id. Raises UserError for a file that cannot be read.

    The files that a list names and that are missing have size 0 and no hash, so that extraction records a failure.
    """
    missing: set[str] = set()
    if formats.list_format(settings) in ("none", *formats.SPLIT_LISTS):
        clips = folders.name_clips(settings)
    else:
        clips, missing = listed.name_clips(settings)
    contents = dict(_contents(Path(settings.root), sorted({clip.path for clip in clips} - missing)))
    contents |= dict.fromkeys(missing, (0, ""))
    return [replace(clip, bytes=contents[clip.path][0], sha256=contents[clip.path][1]) for clip in clips]


def _contents(root: Path, paths: list[str]) -> Iterator[tuple[str, tuple[int, str]]]:
    # Threads suffice, because hashlib releases the global interpreter lock.
    pool = ThreadPoolExecutor()
    try:
        contents = pool.map(lambda path: size_and_digest(root / path), paths)
        with progress("index", len(paths), "clip") as bar:
            for path, content in zip(paths, contents, strict=True):
                bar.update()
                yield path, content
    finally:
        pool.shutdown(cancel_futures=True)  # otherwise an interrupt would first read all remaining files


def size_and_digest(path: Path) -> tuple[int, str]:
    """Return size in bytes and SHA-256 of a file. Raises UserError if it cannot be read."""
    if not path.is_file():  # opening a pipe would wait for a writer
        raise UserError(f"{path} is not a regular file; remove it.")
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); fix or remove it.") from None
