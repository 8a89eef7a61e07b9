"""The manifest of a data set: size, time of modification and content hash of each file of a clip.

DVC then watches this one file instead of the folder of the clips, and nobody reads a file twice that did not change. Of
an address the manifest has all videos, those that are no clips without a hash, and versions instead of times.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mocliplite.csv_files import append_rows, read_rows, resume_rows, write_rows
from mocliplite.data.contents import read_contents
from mocliplite.data.names import is_video
from mocliplite.errors import UserError, reading
from mocliplite.params import is_address
from mocliplite.remote.listing import State  # of a file on this machine: size, and time of modification in nanoseconds

_ADVICE = "run `python -m mocliplite manifest`"


def update(file: Path, root: str, paths: Sequence[str], listed: Mapping[str, State] | None = None) -> tuple[int, int]:
    """Write the manifest of the clips' paths below root. Returns their number, and how many had to be hashed.

    listed: the files at an address. What is hashed is kept in a file of its own until the manifest is complete, so that
    an interrupted run can continue.
    """
    states = {path: _state_of(Path(root, path)) for path in paths} if listed is None else _videos(listed, paths)
    columns, unfinished = _columns(root), file.with_name(f".{file.name}.unfinished")
    old = _read(file, root) if file.exists() else {}
    old |= _hashed(unfinished, columns)
    # Without a version, a file of the same size may be another one.
    changed = [
        path
        for path in paths
        if old.get(path, (None, ""))[0] != states[path] or not old[path][1] or not states[path][1]
    ]
    digests = {path: digest for path, (state, digest) in old.items() if states.get(path) == state}
    if changed:
        write_rows(unfinished, columns, [[path, *state, digest] for path, (state, digest) in old.items()])
    for path, (_, digest) in read_contents(root, changed, "manifest"):
        append_rows(unfinished, [[path, *states[path], digest]])
        digests[path] = digest
    write_rows(file, columns, [[path, *state, digests.get(path, "")] for path, state in states.items()])
    unfinished.unlink(missing_ok=True)
    return len(paths), len(changed)


def contents_of(file: Path, root: str, paths: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Return size and hash of each path below root, as in the manifest.

    Raises UserError if the manifest is missing, or if a file is new, changed or gone since it was written. The files at
    an address are not looked at.
    """
    known = _read(file, root)
    if is_address(root):
        stale = [path for path in paths if not known[path][1]]
    else:
        stale = [path for path in paths if path not in known or known[path][0] != _state_of(Path(root, path))]
        others = sorted(known.keys() - set(paths))
        # Unlike Path.exists, False for a name that is too long.
        stale += [path for path in others if not os.path.exists(Path(root, path))]  # noqa: PTH110
    if stale:
        problem = f"{root.rstrip('/')}/{stale[0]} is new, changed or gone ({len(stale)} such files)"
        raise UserError(f"{file} is out of date: {problem}; {_ADVICE}.")
    return {path: (known[path][0][0], known[path][1]) for path in paths}


def paths_in(file: Path, root: str) -> list[str]:
    """Return the paths of the files in the manifest of an address."""
    return list(_read(file, root))


def _columns(root: str) -> list[str]:
    return ["path", "bytes", "version" if is_address(root) else "mtime_ns", "sha256"]


def _videos(listed: Mapping[str, State], paths: Sequence[str]) -> dict[str, State]:
    """Return the files at an address that are clips or may become clips, in order of path."""
    clips = set(paths)
    return {path: listed[path] for path in sorted(listed) if path in clips or is_video(path.rpartition("/")[2])}


def _read(file: Path, root: str) -> dict[str, tuple[State, str]]:
    """Return size, time or version, and hash of each file in a manifest."""
    if not file.exists():
        raise UserError(f"dataset.files is {file}, which does not exist; {_ADVICE}.")
    try:
        return _parse(read_rows(file, _columns(root)))
    except (UserError, ValueError):
        problem = "is damaged or no manifest; delete it, or set dataset.files to another file"
        raise UserError(f"{file} {problem}, and {_ADVICE}.") from None


def _hashed(unfinished: Path, columns: Sequence[str]) -> dict[str, tuple[State, str]]:
    """Return what an interrupted run has hashed."""
    if not unfinished.exists():
        return {}
    try:
        return _parse(resume_rows(unfinished, columns))
    except (UserError, ValueError):  # it is only there to save time
        return {}


def _parse(rows: Sequence[Sequence[str]]) -> dict[str, tuple[State, str]]:
    return {path: ((int(size), version), digest) for path, size, version, digest in rows}


def _state_of(path: Path) -> State:
    try:
        with reading(path):
            status = path.stat()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); fix or remove it.") from None
    return status.st_size, str(status.st_mtime_ns)
