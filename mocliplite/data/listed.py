"""The clips that a list names and labels, such as a CSV file: their files below dataset.root, and their splits."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from mocliplite import params
from mocliplite.data.clips import Clip, clips_of
from mocliplite.data.lists import formats
from mocliplite.data.lists.entry import Annotations, Entry, ListedSplit, key_of, labels_of
from mocliplite.data.names import included, is_video, normal, stem_of
from mocliplite.errors import UserError

# Returns the names in a folder of dataset.root as they are on disk, by name in form NFC; those of clips also by stem.
NamesIn = Callable[[str], tuple[Mapping[str, str], Mapping[str, str]]]


def name_clips(settings: params.Dataset, files: Iterable[str] | None = None) -> tuple[list[Clip], set[str]]:
    """Return the clips of dataset.lists in order of id, without size and hash, and the paths of missing files.

    files: the paths of all files below dataset.root, None to look there. What the list has and the clips do not, such
    as unknown columns and missing files, is named on stderr. Raises UserError if more files than dataset.max_failed
    allows are missing, and like `clips_of`.
    """
    root = Path(settings.root)
    if files is None and not root.is_dir():
        raise UserError(f"dataset.root is {root}, which is no folder; set it to where the paths of the list begin.")
    annotations = formats.read_annotations(settings)
    names_in = _names_below(root) if files is None else _names_in_paths(files)
    places = [(entry, _place_of(entry, names_in)) for entry in annotations.entries]
    places = [(entry, place) for entry, place in places if included(place or entry.path, settings.include)]
    if not places:
        raise UserError(f"dataset.include matches no clip of {settings.lists}; correct the pattern.")
    missing = [entry for entry, place in places if place is None]
    warnings = list(annotations.notes)
    if missing:
        count = f"{len(missing)} of {len(places)} listed clips are missing"
        place = str(root) if files is None else settings.root
        found = f"{_missing_sentence(missing[0], place, names_in)} ({count}"
        if len(missing) > settings.max_failed * len(places):
            allowed = f"more than dataset.max_failed, {settings.max_failed:g}, allows"
            raise UserError(f"{found}, {allowed}); add the files or correct the list.")
        warnings.append(f"{found}); they count as failed clips.")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    entries = [replace(entry, path=place or entry.path) for entry, place in places]
    used = {name for entry in entries for name in labels_of(entry, settings.multi_label)}
    return clips_of(entries, _classes_of(annotations, used), settings), {entry.path for entry in missing}


def candidates(settings: params.Dataset) -> list[str]:
    """Return the paths of all files that the list may mean; without a list of clips none."""
    if formats.list_format(settings) in ("none", *formats.SPLIT_LISTS):
        return []
    return [path for entry in formats.read_annotations(settings).entries for path in (entry.path, *entry.other_paths)]


def _classes_of(annotations: Annotations, used: Set[str]) -> list[str]:
    """Return the classes that have clips, in the order of the list, otherwise by name."""
    return sorted(used) if annotations.classes is None else [name for name in annotations.classes if name in used]


def _names_below(root: Path) -> NamesIn:
    @cache
    def names_in(folder: str) -> tuple[dict[str, str], dict[str, str]]:
        try:
            names = sorted(path.name for path in (root / folder).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return {}, {}
        except OSError as error:
            raise UserError(f"{root / folder} cannot be read ({error.strerror}); fix the permissions.") from None
        return _by_name_and_stem(names)

    return names_in


def _names_in_paths(paths: Iterable[str]) -> NamesIn:
    names: dict[str, set[str]] = {}
    for path in paths:
        parts = path.split("/")
        for depth, name in enumerate(parts):
            names.setdefault("/".join(parts[:depth]), set()).add(name)

    @cache
    def names_in(folder: str) -> tuple[dict[str, str], dict[str, str]]:
        return _by_name_and_stem(sorted(names.get(folder, ())))

    return names_in


def _by_name_and_stem(names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    by_stem = {normal(stem_of(name)): name for name in reversed(names) if is_video(name)}
    return {normal(name): name for name in names}, by_stem


def _place_of(entry: Entry, names_in: NamesIn) -> str | None:
    """Return the path of the file of an entry as it is on disk, perhaps with another extension, or None."""
    return next((place for path in (entry.path, *entry.other_paths) if (place := _on_disk(path, names_in))), None)


def _on_disk(path: str, names_in: NamesIn) -> str | None:
    folder, _, name = path.rpartition("/")
    place = _folder_on_disk(folder, names_in)
    if place is None:
        return None
    by_name, by_stem = names_in(place)
    found = by_name.get(normal(name)) or by_stem.get(normal(stem_of(name)))
    return None if found is None else f"{place}/{found}" if place else found


def _folder_on_disk(folder: str, names_in: NamesIn) -> str | None:
    place = ""
    for part in folder.split("/") if folder else []:
        found = names_in(place)[0].get(normal(part))
        if found is None:
            return None
        place = f"{place}/{found}" if place else found
    return place


def _missing_sentence(entry: Entry, root: str, names_in: NamesIn) -> str:
    """Return that the file of an entry does not exist, with the nearest name where its path is wrong first."""
    place, hint = "", ""
    for part in entry.path.split("/"):
        known, _ = names_in(place)
        if normal(part) not in known:
            close = get_close_matches(part, known.values(), n=1)
            folder = f"{root}/{place}" if place else root
            hint = f"; the nearest name in {folder} is {close[0]}" if close else ""
            break
        place = f"{place}/{known[normal(part)]}" if place else known[normal(part)]
    return f"{entry.location}: {root}/{entry.path} does not exist{hint}"


def split_of_list(clips: Sequence[Clip], settings: params.Dataset) -> dict[str, ListedSplit] | None:
    """Return the split of each clip by id as the list gives it, or None if it has no splits.

    If a list has val and no test clips, its val clips are the test clips, because publishers often keep the labels of
    the test clips to themselves. Raises UserError for a clip that is not in the list.
    """
    entries = formats.read_annotations(settings).entries
    by_key = {key: entry for entry in entries for key in entry.keys[1:]} | {entry.keys[0]: entry for entry in entries}
    splits: dict[str, ListedSplit] = {}
    for clip in clips:
        entry = by_key.get(key_of(clip.path, clip.start, clip.end))
        if entry is None:
            raise UserError(f"features/clips.csv has {clip.path}, but {settings.lists} does not; run `dvc repro`.")
        if entry.split is None:
            return None
        splits[clip.id] = entry.split
    if "val" in splits.values() and "test" not in splits.values():
        sentence = "its val clips are the test clips, and validation is cut from train"
        print(f"note: {settings.lists} has no test clips: {sentence}", file=sys.stderr)
        return {clip_id: "test" if split == "val" else split for clip_id, split in splits.items()}
    return splits
