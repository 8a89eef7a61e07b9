"""The manifest of a data set: size, time of modification and content hash of each file of a clip.

DVC then watches this one file instead of the folder of the clips, and nobody reads a file twice that did not change.
"""

from collections.abc import Sequence
from pathlib import Path

from mocliplite.data.contents import read_contents
from mocliplite.errors import UserError
from mocliplite.files import read_rows, write_rows

_COLUMNS = ["path", "bytes", "mtime_ns", "sha256"]
_ADVICE = "run `python -m mocliplite manifest`"
State = tuple[int, int]  # size in bytes, time of modification in nanoseconds


def update(file: Path, root: Path, paths: Sequence[str]) -> tuple[int, int]:
    """Write the manifest of the paths below root. Returns their number, and how many had to be hashed."""
    old = _read(file) if file.exists() else {}
    states = {path: _state_of(root / path) for path in paths}
    changed = [path for path in paths if path not in old or old[path][0] != states[path]]
    digests = {path: digest for path, (_, digest) in read_contents(root, changed, "manifest")}
    rows = [[path, *states[path], digests.get(path) or old[path][1]] for path in paths]
    write_rows(file, _COLUMNS, rows)
    return len(paths), len(changed)


def contents_of(file: Path, root: Path, paths: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return size and hash of each path below root, as in the manifest.

    Raises UserError if the manifest is missing, or if a file is new, changed or gone since it was written.
    """
    known = _read(file)
    stale = [path for path in paths if path not in known or known[path][0] != _state_of(root / path)]
    stale += [path for path in sorted(known.keys() - set(paths)) if not (root / path).exists()]
    if stale:
        problem = f"{root / stale[0]} is new, changed or gone ({len(stale)} such files)"
        raise UserError(f"{file} is out of date: {problem}; {_ADVICE}.")
    return {path: (known[path][0][0], known[path][1]) for path in paths}


def _read(file: Path) -> dict[str, tuple[State, str]]:
    """Return size, time and hash of each file in a manifest."""
    if not file.exists():
        raise UserError(f"dataset.files is {file}, which does not exist; {_ADVICE}.")
    try:
        return {path: ((int(size), int(time)), digest) for path, size, time, digest in read_rows(file, _COLUMNS)}
    except (UserError, ValueError):
        problem = "is damaged or no manifest; delete it, or set dataset.files to another file"
        raise UserError(f"{file} {problem}, and {_ADVICE}.") from None


def _state_of(path: Path) -> State:
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); fix or remove it.") from None
    return status.st_size, status.st_mtime_ns
