"""The clips in class folders, with paths such as `class/file.avi` or `class/any/folders/file.avi` below dataset.root.

The label is the name of the class folder. The results do not depend on the order in which the file system lists files.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mocliplite import params
from mocliplite.data.clips import Clip, clips_of
from mocliplite.data.lists import formats, ucf101
from mocliplite.data.lists.entry import Entry
from mocliplite.data.names import ENDINGS, OTHER_ENDINGS, SUCH_AS, included, is_video, name_problem, normal
from mocliplite.errors import UserError


@dataclass(frozen=True)
class Scan:
    """The contents of the class folders."""

    folders: dict[str, str]  # folder relative to the root by label, in order of class index
    videos: dict[str, list[str]]  # paths relative to the root by label, sorted
    errors: list[str]  # a sentence for each file that has the extension of a clip but cannot be one
    linked_folders: list[str]  # folders that are links
    unsupported: int  # number of videos with unsupported extensions


def name_clips(settings: params.Dataset, files: Iterable[str] | None = None) -> list[Clip]:
    """Return all clips below dataset.root in order of id, without size and hash.

    files: the paths of all files below dataset.root, None to look there. Raises UserError for the first error of
    `scan_clips`, two clips with the same id, and a path without a group.
    """
    scan = scan_clips(settings) if files is None else _scan_paths(files, settings)
    if scan.errors:
        raise UserError(scan.errors[0])
    return clips_of_scan(scan, settings)


def clips_of_scan(scan: Scan, settings: params.Dataset) -> list[Clip]:
    """Return the clips of a scan in order of id, without size and hash. Raises UserError like `clips_of`."""
    entries = [
        Entry(path, label, location=f"{settings.root}/{path}") for label, paths in scan.videos.items() for path in paths
    ]
    return clips_of(entries, list(scan.videos), settings)


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
            errors.append(_no_clip(f"{root / folder}"))
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
    folders = [name for name in names if (root / name).is_dir()]
    return _labels_of(folders, sorted(set(names) - set(folders)), str(root), settings)


def _labels_of(names: Iterable[str], files: Iterable[str], root: str, settings: params.Dataset) -> dict[str, str]:
    """Return the class folders by class name, from the names of all folders and files directly in the root."""
    folders: dict[str, str] = {}
    for name in names:
        other = folders.setdefault(normal(name), name)
        if other != name:
            raise UserError(f"{root} has two class folders {normal(name)} in different Unicode forms; merge them.")
    loose = [name for name in files if is_video(name) and included(name, settings.include)]
    if loose:
        raise UserError(
            f"{root}/{loose[0]} is not in a class folder ({len(loose)} such files); move it to the folder of its class."
        )
    if not folders:
        raise UserError(
            f"{root} has no class folders; put the clips of each class into a folder with the name of the class."
        )
    labels = sorted(folders)
    if formats.list_format(settings) == "UCF101":
        labels = ucf101.order_by_class_list(labels, settings)
    return {label: folders[label] for label in labels}


def _scan_paths(paths: Iterable[str], settings: params.Dataset) -> Scan:
    """Return the contents of the class folders like `scan_clips`, from the paths of all files below dataset.root."""
    visible = sorted(path for path in paths if not path.startswith(".") and "/." not in path)
    in_folder: dict[str, list[str]] = {}
    loose = []
    for path in visible:
        folder, slash, _ = path.partition("/")
        in_folder.setdefault(folder, []).append(path) if slash else loose.append(path)
    folders = _labels_of(in_folder, loose, settings.root, settings)
    videos = {label: _clips_in(in_folder[folder], settings) for label, folder in folders.items()}
    errors = [_no_clip(f"{settings.root}/{folders[label]}") for label, clips in videos.items() if not clips]
    return Scan(folders, videos, errors, [], 0)


def _clips_in(paths: Iterable[str], settings: params.Dataset) -> list[str]:
    return [path for path in paths if is_video(path.rpartition("/")[2]) and included(path, settings.include)]


def _no_clip(folder: str) -> str:
    where = f"{folder} has no clip ({SUCH_AS}) that dataset.include matches"
    return f"{where}; add clips or remove the folder."


def find_videos(folder: Path, linked_folders: list[str] | None = None, endings: tuple[str, ...] = ENDINGS) -> list[str]:
    """Return the clips in a folder: POSIX paths relative to it, sorted, of files at any depth with one of the endings.

    Names that begin with a dot are ignored, such as metadata of macOS; links are followed, and folders that are links
    are appended to `linked_folders`, including `folder` itself. Raises UserError for a folder that cannot be read, or a
    link to a parent folder.
    """
    found: list[str] = []
    visited: set[str] = set()
    waiting = [str(folder)]  # not os.walk, which is recursive before Python 3.12: folders may be of any depth
    while waiting:
        here = waiting.pop()
        real = os.path.realpath(here)
        if real in visited:
            raise UserError(f"{here} links to a folder that was read already; remove the link.")
        visited.add(real)
        if linked_folders is not None and Path(here).is_symlink():
            linked_folders.append(here)
        folders, names = _names_in(here)
        waiting += (str(Path(here, name)) for name in reversed(folders))
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


def _names_in(folder: str) -> tuple[list[str], list[str]]:
    """Return the names in a folder without those that begin with a dot: of folders in order, and of other files."""
    try:
        with os.scandir(folder) as entries:
            is_folder = {entry.name: _is_folder(entry) for entry in entries if not entry.name.startswith(".")}
    except OSError as error:
        raise UserError(f"{folder} cannot be read ({error.strerror}); fix or remove it.") from None
    return sorted(name for name in is_folder if is_folder[name]), [name for name in is_folder if not is_folder[name]]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as a link to itself
        return False
