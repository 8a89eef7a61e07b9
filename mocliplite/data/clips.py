"""The clips of a data set, each with its label, group and content hash.

The path of a clip is a POSIX path relative to dataset.root, `class/file.avi` or `class/any/folders/file.avi`; its label
is the name of the class folder. The results do not depend on the order in which the file system lists files.
"""

import hashlib
import os
import re
import sys
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
from mocliplite.video.spans import WHOLE_FILE, Span

ENDINGS = (
    *(".avi", ".mp4", ".mkv", ".mov", ".webm", ".m4v", ".3gp", ".3g2", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".vob", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".divx", ".dv", ".mxf"),
)
SUCH_AS = f"{', '.join(ENDINGS[:5])} and others"
# Video files that are not supported, because FFmpeg reads few of them, or because they have no timestamps.
OTHER_ENDINGS = (
    *(".gif", ".rm", ".rmvb", ".mod", ".tod", ".m2v", ".h264", ".264", ".h265", ".265", ".hevc", ".ivf", ".y4m"),
)


@dataclass(frozen=True)
class Clip:
    """One video file, or a segment of it: the frames from `start` on and before `end`."""

    id: str  # see `id_of`
    path: str  # POSIX, relative to dataset.root
    label: str
    index: int  # of the class, from 0
    group: str  # all clips of a group are in the same split
    bytes: int  # of the file
    sha256: str  # of the file
    start: float | None = None  # seconds from the first frame; None: the beginning of the file
    end: float | None = None  # None: the end of the file

    @property
    def span(self) -> Span:
        """The span of the file."""
        return Span(self.start, self.end)

    @property
    def content(self) -> str:
        """What decides the frames of the clip: the hash of the file, with the span of a segment."""
        return self.sha256 if self.span.is_whole_file else f"{self.sha256} {self.span}"


def id_of(path: str, span: Span = WHOLE_FILE) -> str:
    """Return the id of a clip, which can be the name of a file or an HDF5 group: `class__file`, `class__file@12.5-15`.

    It is the path without its extension, with "__" for "/", and for a segment its span after "@". The part after "@"
    has no influence on the shard of a clip, so that a file is decoded once for all of its segments.
    """
    file_id = stem_of(path).replace("/", "__")
    return file_id if span.is_whole_file else f"{file_id}@{span}"


_COLUMNS = [field.name for field in fields(Clip)]


def write_clips(path: str | Path, clips: Iterable[Clip]) -> None:
    """Write the clips to a CSV file, sorted by id."""
    write_rows(path, _COLUMNS, [astuple(clip) for clip in sorted(clips, key=lambda clip: clip.id)])


def read_clips(path: str | Path) -> list[Clip]:
    """Return the clips in a file of write_clips. Raises UserError if it is missing or has another format."""
    clips = []
    for id_, clip_path, label, index, group, size, digest, *span in read_rows(path, _COLUMNS):
        if not (index.isdecimal() and size.isdecimal()):
            raise UserError(
                f"{path}: clip {id_} has index {index!r} and bytes {size!r}; run `dvc repro` to create it again."
            )
        try:
            start, end = (float(seconds) if seconds else None for seconds in span)
        except ValueError:
            raise UserError(f"{path}: clip {id_} has the span {span}; run `dvc repro` to create it again.") from None
        clips.append(Clip(id_, clip_path, label, int(index), group, int(size), digest, start, end))
    return clips


def class_names(clips: Iterable[Clip]) -> list[str]:
    """Return the class names in order of index."""
    return [label for _, label in sorted({(clip.index, clip.label) for clip in clips})]


@dataclass(frozen=True)
class Scan:
    """The contents of the class folders."""

    folders: dict[str, str]  # folder relative to the root by label, in order of class index
    videos: dict[str, list[str]]  # paths relative to the root by label, sorted
    errors: list[str]  # a sentence for each file that has the extension of a clip but cannot be one
    linked_folders: list[str]  # folders that are links
    unsupported: int  # number of videos with unsupported extensions


def find_clips(settings: params.Dataset) -> list[Clip]:
    """Return the clips of `name_clips` with size and content hash. Raises UserError for a file that cannot be read."""
    clips = {clip.path: clip for clip in name_clips(settings)}
    return [
        replace(clips[path], bytes=size, sha256=digest)
        for path, (size, digest) in _contents(Path(settings.root), list(clips))
    ]


def name_clips(settings: params.Dataset) -> list[Clip]:
    """Return all clips below dataset.root in order of id, without reading them: bytes is 0 and sha256 is empty.

    Raises UserError for the first error of `scan_clips`, two clips with the same id, and a path without a group.
    """
    scan = scan_clips(settings)
    if scan.errors:
        raise UserError(scan.errors[0])
    return clips_of_scan(scan, settings)


def clips_of_scan(scan: Scan, settings: params.Dataset) -> list[Clip]:
    """Return the clips of a scan, like `name_clips`."""
    root, labels = Path(settings.root), list(scan.videos)
    paths = {path: index for index, label in enumerate(labels) for path in scan.videos[label]}
    ids = _ids(root, paths)
    groups = {path: _group(path, settings.group) or ids[path] for path in paths}
    return [
        Clip(ids[path], path, labels[paths[path]], paths[path], groups[path], bytes=0, sha256="")
        for path in sorted(paths, key=ids.__getitem__)
    ]


def check_classes(clips: Sequence[Clip], settings: params.Dataset) -> None:
    """Raise UserError if there is only one class, or for a class with a single clip, which cannot be tested."""
    counts = Counter(clip.label for clip in clips)
    if len(counts) == 1:
        raise UserError(f"{settings.root} has the class {next(iter(counts))} alone; add the folder of another class.")
    for label, count in sorted(counts.items()):
        if count == 1:
            raise UserError(f"class {label} has a single clip, so it cannot be tested; add clips of it or remove it.")


def scan_clips(settings: params.Dataset) -> Scan:
    """Return the contents of the class folders in dataset.root.

    A clip is a file in a class folder, at any depth, with one of ENDINGS in any case, and matched by dataset.include
    (see `included`). Names that begin with a dot are ignored; links are followed. Raises UserError if the root is not a
    folder of class folders.
    """
    root, errors, linked_folders, unsupported = Path(settings.root), list[str](), list[str](), 0
    folders = find_labels(settings)
    videos = {}
    for label, folder in folders.items():
        try:
            found = find_videos(root / folder, linked_folders)
            unsupported += len(find_videos(root / folder, endings=OTHER_ENDINGS))
        except UserError as error:
            errors.append(str(error))
            continue
        paths = [f"{folder}/{path}" for path in found if included(f"{folder}/{path}", settings.include)]
        invalid = {path: reason for path in paths if (reason := _not_a_clip(root, path))}
        errors += invalid.values()
        videos[label] = [path for path in paths if path not in invalid]
        if not paths:
            where = f"{root / folder} has no clip ({SUCH_AS}) that dataset.include matches"
            errors.append(f"{where}; add clips or remove the folder.")
    return Scan(folders, videos, errors, sorted(linked_folders), unsupported)


def find_labels(settings: params.Dataset) -> dict[str, str]:
    """Return the class folders below the root by class name, in order of class index.

    The order is that of classInd.txt if dataset.lists contains it, otherwise by name. The name of a class is that of
    its folder in Unicode form NFC, because macOS may store the same name in another form.
    """
    root = Path(settings.root)
    try:
        names = sorted(entry.name for entry in root.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        problem = (
            f"cannot be read as a folder ({error.strerror}); set it to the folder that has one subfolder per class"
        )
        raise UserError(f"dataset.root is {root}, which {problem}.") from None
    folders: dict[str, str] = {}
    for name in names:
        if (root / name).is_dir():
            other = folders.setdefault(normal(name), name)
            if other != name:
                raise UserError(f"{root} has two class folders {normal(name)} in different Unicode forms; merge them.")
    loose = [
        name for name in names if not (root / name).is_dir() and is_video(name) and included(name, settings.include)
    ]
    if loose:
        raise UserError(
            f"{root / loose[0]} is not in a class folder ({len(loose)} such files); move it to the folder of its class."
        )
    if not folders:
        raise UserError(
            f"{root} has no class folders; put the clips of each class into a folder with the name of the class."
        )
    labels = sorted(folders)
    if lists.list_format(settings) == "UCF101":
        labels = lists.order_by_class_list(labels, settings)
    return {label: folders[label] for label in labels}


def find_videos(folder: Path, linked_folders: list[str] | None = None, endings: tuple[str, ...] = ENDINGS) -> list[str]:
    """Return the clips in a folder: POSIX paths relative to it, sorted, of files at any depth with one of the endings.

    Names that begin with a dot are ignored, such as metadata of macOS; links are followed, and folders that are links
    are appended to `linked_folders`, including `folder` itself. Raises UserError for a folder that cannot be read, or a
    link to a parent folder.
    """
    found: list[str] = []
    visited: set[str] = set()
    for here, folders, names in os.walk(folder, onerror=_refuse_unreadable, followlinks=True):
        real = os.path.realpath(here)
        if real in visited:
            raise UserError(f"{here} links to a folder that was read already; remove the link.")
        visited.add(real)
        if linked_folders is not None and Path(here).is_symlink():
            linked_folders.append(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = PurePosixPath(Path(here).relative_to(folder).as_posix())
        found += [str(relative / name) for name in names if is_video(name, endings)]
    return sorted(found)


def _not_a_clip(root: Path, path: str) -> str:
    """Return why a path with the extension of a clip cannot be one, empty if it can."""
    if problem := name_problem(path):
        return f"{root}/{path!a} {problem}"
    full_path = root / path
    if not full_path.exists():
        return f"{full_path} is a broken link; fix or remove it."
    return "" if full_path.is_file() else f"{full_path} is not a regular file; remove it."


def name_problem(path: str) -> str:
    """Return why the name of a file cannot be written as text, as the end of a sentence; empty if it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        try:
            os.fsencode(path).decode()
        except UnicodeError:
            return "has a name that is not UTF-8; rename it."
        encoding = sys.getfilesystemencoding()
        return f"has a name that is UTF-8, but Python reads names as {encoding}; set PYTHONUTF8=1 in the environment."
    return ""


def _refuse_unreadable(error: OSError) -> None:
    raise UserError(f"{error.filename} cannot be read ({error.strerror}); fix or remove it.")


def is_video(name: str, endings: tuple[str, ...] = ENDINGS) -> bool:
    """Return whether a file with this name is a clip."""
    return name.lower().endswith(endings) and not name.startswith(".")


def normal(name: str) -> str:
    """Return a name in Unicode form NFC, for comparison."""
    return unicodedata.normalize("NFC", name)


def included(path: str, include: str) -> bool:
    """Return whether a glob pattern matches a path relative to the root.

    `*`, `?` and `[...]` match characters within the name of one folder or file, and `**` between slashes matches zero
    or more folders. Case is significant. For example, `**/*` matches everything, `*/set1_*` matches files directly in a
    class folder, and `**/set1_*` matches files at any depth.
    """
    return _match(path.split("/"), include.split("/"))


def _match(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return _match(parts, patterns[1:]) or (bool(parts) and _match(parts[1:], patterns))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _match(parts[1:], patterns[1:])


def stem_of(path: str) -> str:
    """Return the path without its extension."""
    return str(PurePosixPath(path).with_suffix(""))


def _ids(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return the id of each path."""
    owners: dict[str, str] = {}
    for path in sorted(paths):
        owner = owners.setdefault(id_of(path), path)
        if owner != path:
            raise UserError(f"{root}/{owner} and {root}/{path} have the same id; rename or remove one of them.")
    return {path: id_ for id_, path in owners.items()}


def _group(path: str, pattern: str | None) -> str | None:
    if pattern is None:
        return None
    match = re.search(pattern, path)
    if match is None or not match[1]:
        raise UserError(f"dataset.group {pattern!r} finds no group in {path}; correct the pattern, or set it to null.")
    return match[1]


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
