"""All clips of a data set, from class folders or from lists, with size and content hash of each file."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from mocliplite import params
from mocliplite.data import folders, listed, manifest
from mocliplite.data.clips import Clip
from mocliplite.data.contents import read_contents
from mocliplite.data.lists import formats
from mocliplite.params import is_address
from mocliplite.remote.listing import list_files


def find_clips(settings: params.Dataset) -> list[Clip]:
    """Return all clips in order of id. Raises UserError for a file that cannot be read, or that the manifest lacks.

    The files that a list names and that are missing have size 0 and no hash, so that extraction records a failure. If
    dataset.root is an address, the manifest alone is read.
    """
    file = Path(settings.files)
    clips, missing = name_clips(settings, manifest.paths_in(file, settings.root) if is_address(settings.root) else None)
    paths = sorted({clip.path for clip in clips} - missing)
    if settings.has_manifest:
        contents = manifest.contents_of(file, settings.root, paths)
    else:
        contents = dict(read_contents(settings.root, paths, "index"))
    contents |= dict.fromkeys(missing, (0, ""))
    return [replace(clip, bytes=contents[clip.path][0], sha256=contents[clip.path][1]) for clip in clips]


def update_manifest(settings: params.Dataset) -> tuple[int, int]:
    """Write dataset.files, hashing only files that are new or changed. Returns how many files it has, and hashed."""
    states = list_files(settings.root, listed.candidates(settings)) if is_address(settings.root) else None
    clips, missing = name_clips(settings, states)
    paths = sorted({clip.path for clip in clips} - missing)
    return manifest.update(Path(settings.files), settings.root, paths, states)


def name_clips(settings: params.Dataset, files: Collection[str] | None = None) -> tuple[list[Clip], set[str]]:
    """Return the clips in order of id, without size and hash, and the paths of missing files.

    files: the paths of all files below dataset.root, None to look there.
    """
    if formats.list_format(settings) in ("none", *formats.SPLIT_LISTS):
        return folders.name_clips(settings, files), set()
    return listed.name_clips(settings, files)
