"""Video lists of MMAction2: lines `path label`, or `path start end label` for a span of a file, in seconds.

Labels are numbers from 0. Where a file label_map*.txt lies beside the lists, its lines are the class names.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mocliplite.data.lists.entry import SPLITS, Annotations, Entry, ListedSplit, checked_span, is_number, read_lines
from mocliplite.data.lists.split_files import parse_line
from mocliplite.errors import UserError

_FILE = re.compile(r"(?:.*_)?(train|val|test)(?:_.*|list.*)?\.txt")


def lists_in(folder: Path) -> dict[ListedSplit | None, Path]:
    """Return the lists of a folder by split, such as kinetics400_train_list_videos.txt.

    Raises UserError for two lists of one split.
    """
    found: dict[ListedSplit | None, Path] = {}
    for file in sorted(folder.glob("*.txt")):
        if match := _FILE.fullmatch(file.name):
            first = found.setdefault(SPLITS[match[1]], file)
            if first is not file:
                problem = f"{folder} has two lists for {match[1]}, {first.name} and {file.name}"
                raise UserError(f"{problem}; put the lists of one split into a folder of their own.")
    return found


def read(files: Mapping[ListedSplit | None, Path]) -> Annotations:
    """Return the contents of the lists, given by split; None stands for no split. Raises UserError for a wrong line."""
    names = _class_names(next(iter(files.values())).parent)
    entries = [
        _entry(location, line, split, names) for split, file in files.items() for location, line in read_lines(file)
    ]
    numbers = sorted({entry.label for entry in entries}, key=lambda label: (len(label), label))
    return Annotations(entries, names or numbers)


def _entry(location: str, line: str, split: ListedSplit | None, names: Sequence[str]) -> Entry:
    path, (*span, number) = parse_line(location, line, "some/clip.mp4 3", (1, 3))
    start, end = checked_span(span[0], span[1], location) if span else (None, None)
    if not is_number(number):
        raise UserError(f"{location}: the label is {number!r:.100}; it must be the number of a class, from 0.")
    if names and int(number) >= len(names):
        raise UserError(
            f"{location}: the label is {number}, but the label_map has the classes 0 to {len(names) - 1}; correct it."
        )
    return Entry(path, names[int(number)] if names else str(int(number)), location, split, start=start, end=end)


def _class_names(folder: Path) -> list[str]:
    """Return the class names in order of their numbers, or nothing if there is no file of them."""
    files = sorted(folder.glob("label_map*.txt"))
    if len(files) > 1:
        raise UserError(f"{folder} has two files of class names, {files[0].name} and {files[1].name}; remove one.")
    names: dict[str, str] = {}
    for location, name in read_lines(files[0]) if files else []:
        first = names.setdefault(name, location)
        if first != location:
            raise UserError(f"{location}: {name!r} is also in {first}; correct one of the two lines.")
    return list(names)
