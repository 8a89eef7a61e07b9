"""The clips of a data set: which there are, each with its label, group and content hash.

A clip's path is POSIX and begins below dataset.root, `class/file.avi` or `class/any/folders/file.avi`; its label is the
name of the class folder. Everything here depends on names and contents alone, never on the order a file system lists.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from mocliplite import params
from mocliplite.data import lists
from mocliplite.errors import UserError
from mocliplite.files import read_rows, write_rows
from mocliplite.runtime.progress import progress

ENDINGS = (".avi", ".mp4", ".mkv", ".mov", ".webm")


@dataclass(frozen=True)
class Clip:
    """One video file."""

    id: str  # path without its ending and with "__" for "/", so that it can name a file or an HDF5 group
    path: str  # POSIX, below dataset.root
    label: str
    index: int  # of the class, from 0
    group: str  # clips of one group never straddle train, val and test
    bytes: int
    sha256: str


_COLUMNS = [field.name for field in fields(Clip)]


def write_clips(path: str | Path, clips: Iterable[Clip]) -> None:
    """Replace path by a CSV of the clips in order of id."""
    write_rows(path, _COLUMNS, [astuple(clip) for clip in sorted(clips, key=lambda clip: clip.id)])


def read_clips(path: str | Path) -> list[Clip]:
    """Read what write_clips wrote. Raises UserError where the file is absent or another one."""
    clips = []
    for id_, below, label, index, group, size, digest in read_rows(path, _COLUMNS):
        if not (index.isdecimal() and size.isdecimal()):
            raise UserError(f"{path}: clip {id_} has index {index!r} and bytes {size!r}; run `dvc repro` to renew it.")
        clips.append(Clip(id_, below, label, int(index), group, int(size), digest))
    return clips


def class_names(clips: Iterable[Clip]) -> list[str]:
    """Class names in order of index."""
    return [label for _, label in sorted({(clip.index, clip.label) for clip in clips})]


def find_clips(settings: params.Dataset) -> list[Clip]:
    """What `name_clips` finds, each with its size and content hash. Raises UserError for a file that cannot be read."""
    clips = {clip.path: clip for clip in name_clips(settings)}
    return [
        replace(clips[path], bytes=size, sha256=digest)
        for path, (size, digest) in _contents(Path(settings.root), list(clips))
    ]


def name_clips(settings: params.Dataset) -> list[Clip]:
    """All clips below dataset.root in order of id, by their names alone: bytes is 0 and sha256 empty.

    A clip is a file in a class folder, at any depth, with one of ENDINGS in any case, which dataset.include takes (see
    `included`). Names that begin with a dot are passed over; links are followed. Raises UserError for a root, class
    folder or file that gives no clip, for two clips of one id, and for a path that has no group.
    """
    root = Path(settings.root)
    labels = find_labels(settings)
    paths = {path: index for index, label in enumerate(labels) for path in _videos(root, label, settings.include)}
    ids = _ids(root, paths)
    groups = {path: _group(path, settings.group) or ids[path] for path in paths}
    return [
        Clip(ids[path], path, labels[paths[path]], paths[path], groups[path], bytes=0, sha256="")
        for path in sorted(paths, key=ids.__getitem__)
    ]


def find_labels(settings: params.Dataset) -> list[str]:
    """Class names in order of index: as classInd.txt numbers them where dataset.lists has it, else by name."""
    root = Path(settings.root)
    try:
        names = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        wanted = f"cannot be read as a folder ({error.strerror}); give the folder that holds a folder a class"
        raise UserError(f"dataset.root is {root}, which {wanted}.") from None
    labels = [name for name in names if (root / name).is_dir()]
    loose = [name for name in names if name not in labels and _is_video(name) and included(name, settings.include)]
    if loose:
        raise UserError(f"{root / loose[0]} is in no class folder ({len(loose)} in all); move it into its class's.")
    if not labels:
        raise UserError(f"{root} has no class folders; put the clips of each class into a folder of its name.")
    return lists.order_by_class_list(labels, settings) if lists.list_format(settings) == "UCF101" else labels


def _videos(root: Path, label: str, include: str) -> list[str]:
    found: list[str] = []
    seen: set[str] = set()
    for folder, folders, names in os.walk(root / label, onerror=_refuse_unreadable, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            raise UserError(f"{folder} links to a folder of its class that was read already; remove the link.")
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = PurePosixPath(Path(folder).relative_to(root).as_posix())
        found += [str(below / name) for name in names if _is_video(name)]
    found = [path for path in found if included(path, include)]
    if not found:
        endings = ", ".join(ENDINGS)
        raise UserError(f"{root / label} has no clip ({endings}) that dataset.include takes; add clips or remove it.")
    for path in found:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise UserError(f"{root}/{path!a} has a name that is not UTF-8; rename it.") from None
    return sorted(found)


def _refuse_unreadable(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be read ({error.strerror}); mend or remove it.")


def _is_video(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


def included(path: str, include: str) -> bool:
    """Whether the glob takes the whole path below root.

    `*`, `?` and `[...]` stand for letters within one folder's or file's name; `**` between slashes for any number of
    folders, none too. Case counts. So `**/*` takes everything, `*/set1_*` the files set1_* that lie in a class folder
    itself, and `**/set1_*` those at any depth.
    """
    return _match(path.split("/"), include.split("/"))


def _match(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return _match(parts, patterns[1:]) or (bool(parts) and _match(parts[1:], patterns))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _match(parts[1:], patterns[1:])


def stem_of(path: str) -> str:
    """The path without its ending."""
    return str(PurePosixPath(path).with_suffix(""))


def _ids(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Id by path."""
    owners: dict[str, str] = {}
    for path in sorted(paths):
        owner = owners.setdefault(stem_of(path).replace("/", "__"), path)
        if owner != path:
            raise UserError(f"{root}/{owner} and {root}/{path} would have one id; rename or remove one of them.")
    return {path: id_ for id_, path in owners.items()}


def _group(path: str, pattern: str | None) -> str | None:
    if pattern is None:
        return None
    match = re.search(pattern, path)
    if match is None or not match[1]:
        raise UserError(f"dataset.group {pattern!r} finds no group in {path}; correct it, or set it to null.")
    return match[1]


def _contents(root: Path, paths: list[str]) -> Iterator[tuple[str, tuple[int, str]]]:
    # Threads suffice: hashlib lets go of the interpreter's lock.
    pool = ThreadPoolExecutor()
    try:
        contents = pool.map(lambda path: _content(root / path), paths)
        with progress("index", len(paths), "clip") as bar:
            for path, content in zip(paths, contents, strict=True):
                bar.update()
                yield path, content
    finally:
        pool.shutdown(cancel_futures=True)  # or an interrupt would first read all that is left


def _content(path: Path) -> tuple[int, str]:
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); mend or remove it.") from None
