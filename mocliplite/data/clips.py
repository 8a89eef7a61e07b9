"""The clips of a data set: which there are, each with its label, group and content hash.

A clip's path is POSIX and begins below dataset.root, `class/file.avi` or `class/any/folders/file.avi`; its label is the
name of the class folder. Everything here depends on names and contents alone, never on the order a file system lists.
"""

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from mocliplite import params
from mocliplite.data import lists
from mocliplite.errors import UserError
from mocliplite.files import read_rows, write_rows
from mocliplite.runtime.progress import progress

ENDINGS = (
    *(".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".3gp", ".3g2", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".vob", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".divx", ".dv", ".mxf"),
)
SUCH_AS = f"{', '.join(ENDINGS[:5])} and others"
# Videos too, which are not taken: FFmpeg reads few of them, or they have no time stamps.
OTHER_ENDINGS = (
    *(".gif", ".rm", ".rmvb", ".mod", ".tod", ".m2v", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".y4m"),
)


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


@dataclass(frozen=True)
class Found:
    """What lies in the class folders."""

    folders: dict[str, str]  # folder below the root by label, in order of class
    videos: dict[str, list[str]]  # paths below the root by label, sorted
    refused: list[str]  # a sentence for each thing that cannot be a clip and seems meant for one
    linked: list[str]  # folders, below the root, that are links
    untaken: int  # videos whose endings are not taken


def find_clips(settings: params.Dataset) -> list[Clip]:
    """What `name_clips` finds, each with its size and content hash. Raises UserError for a file that cannot be read."""
    clips = {clip.path: clip for clip in name_clips(settings)}
    return [
        replace(clips[path], bytes=size, sha256=digest)
        for path, (size, digest) in _contents(Path(settings.root), list(clips))
    ]


def name_clips(settings: params.Dataset) -> list[Clip]:
    """All clips below dataset.root in order of id, by their names alone: bytes is 0 and sha256 empty.

    Raises UserError for what `look_for_clips` refuses, two clips of one id, and a path that has no group.
    """
    found = look_for_clips(settings)
    if found.refused:
        raise UserError(found.refused[0])
    return named(found, settings)


def named(found: Found, settings: params.Dataset) -> list[Clip]:
    """The clips of what was found, as `name_clips` gives them."""
    root, labels = Path(settings.root), list(found.videos)
    paths = {path: index for index, label in enumerate(labels) for path in found.videos[label]}
    ids = _ids(root, paths)
    groups = {path: _group(path, settings.group) or ids[path] for path in paths}
    return [
        Clip(ids[path], path, labels[paths[path]], paths[path], groups[path], bytes=0, sha256="")
        for path in sorted(paths, key=ids.__getitem__)
    ]


def check_classes(clips: Sequence[Clip], settings: params.Dataset) -> None:
    """Raise UserError for a class that is alone, and for one of a single clip, which cannot be tested."""
    counts = Counter(clip.label for clip in clips)
    if len(counts) == 1:
        raise UserError(f"{settings.root} has the class {next(iter(counts))} alone; add the folder of another class.")
    for label, count in sorted(counts.items()):
        if count == 1:
            raise UserError(f"class {label} has a single clip, so it cannot be tested; add clips of it or remove it.")


def look_for_clips(settings: params.Dataset) -> Found:
    """What lies below dataset.root.

    A clip is a file in a class folder, at any depth, with one of ENDINGS in any case, which dataset.include takes (see
    `included`). Names that begin with a dot are passed over; links are followed. Raises UserError where the root is no
    folder of class folders.
    """
    root, refused, linked, untaken = Path(settings.root), list[str](), list[str](), 0
    folders = find_labels(settings)
    videos = {}
    for label, folder in folders.items():
        try:
            found = find_videos(root / folder, linked)
            untaken += len(find_videos(root / folder, endings=OTHER_ENDINGS))
        except UserError as error:
            refused.append(str(error))
            continue
        paths = [f"{folder}/{path}" for path in found if included(f"{folder}/{path}", settings.include)]
        odd = {path: why for path in paths if (why := _not_a_clip(root, path))}
        refused += odd.values()
        videos[label] = [path for path in paths if path not in odd]
        if not paths:
            where = f"{root / folder} has no clip ({SUCH_AS}) that dataset.include takes"
            refused.append(f"{where}; add clips or remove it.")
    return Found(folders, videos, refused, sorted(linked), untaken)


def find_labels(settings: params.Dataset) -> dict[str, str]:
    """Class folders below the root by class name, in order of index.

    That is as classInd.txt numbers them where dataset.lists has it, else by name. A class is called as its folder is,
    in the form NFC of Unicode, which macOS does not keep to: the same name is otherwise written in two ways.
    """
    root = Path(settings.root)
    try:
        names = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        wanted = f"cannot be read as a folder ({error.strerror}); give the folder that holds a folder a class"
        raise UserError(f"dataset.root is {root}, which {wanted}.") from None
    folders: dict[str, str] = {}
    for name in names:
        if (root / name).is_dir():
            other = folders.setdefault(normal(name), name)
            if other != name:
                raise UserError(f"{root} has two class folders {normal(name)}, written differently; join them.")
    loose = [
        name for name in names if not (root / name).is_dir() and is_video(name) and included(name, settings.include)
    ]
    if loose:
        raise UserError(f"{root / loose[0]} is in no class folder ({len(loose)} in all); move it into its class's.")
    if not folders:
        raise UserError(f"{root} has no class folders; put the clips of each class into a folder of its name.")
    labels = sorted(folders)
    if lists.list_format(settings) == "UCF101":
        labels = lists.order_by_class_list(labels, settings)
    return {label: folders[label] for label in labels}


def find_videos(folder: Path, linked: list[str] | None = None, endings: tuple[str, ...] = ENDINGS) -> list[str]:
    """What counts as a clip in a folder: POSIX paths below it, sorted, of files at any depth with one of the endings.

    Names that begin with a dot are passed over, such as what macOS leaves beside a file on a foreign disk; links are
    followed, and folders that are links are added to `linked`. Raises UserError for a folder that cannot be read or
    links to one above it.
    """
    found: list[str] = []
    seen: set[str] = set()
    for here, folders, names in os.walk(folder, onerror=_refuse_unreadable, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            raise UserError(f"{here} links to a folder that was read already; remove the link.")
        seen.add(real)
        if linked is not None and Path(here).is_symlink():
            linked.append(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = PurePosixPath(Path(here).relative_to(folder).as_posix())
        found += [str(below / name) for name in names if is_video(name, endings)]
    return sorted(found)


def _not_a_clip(root: Path, path: str) -> str:
    """Why a path that is called like a clip cannot be one; empty where it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return f"{root}/{path!a} has a name that is not UTF-8; rename it."
    whole = root / path
    if not whole.exists():
        return f"{whole} is a link to nothing; mend or remove it."
    return "" if whole.is_file() else f"{whole} is no file (a pipe, a socket or a device); remove it."


def _refuse_unreadable(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be read ({error.strerror}); mend or remove it.")


def is_video(name: str, endings: tuple[str, ...] = ENDINGS) -> bool:
    """Whether a file of this name counts as a clip."""
    return name.lower().endswith(endings) and not name.startswith(".")


def normal(name: str) -> str:
    """A name in the form by which names are compared."""
    return unicodedata.normalize("NFC", name)


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
    if not path.is_file():  # a pipe would wait for a writer
        raise UserError(f"{path} is no file; mend or remove it.")
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); mend or remove it.") from None
