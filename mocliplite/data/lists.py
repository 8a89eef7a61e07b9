"""Parsers of official split lists in the formats of UCF101 (with a class list) and HMDB51 (one file per class).

Only the lists are read here. Whether they match the clips is checked in `splits`.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal

from mocliplite import params
from mocliplite.errors import UserError

CLASS_LIST = "classInd.txt"
ListedSplit = Literal["train", "test", "unused"]  # official lists have no validation split


@dataclass(frozen=True)
class Entry:
    """One line of a split list."""

    path: str
    split: ListedSplit
    location: str  # file and line


def list_format(settings: params.Dataset) -> Literal["UCF101", "HMDB51", "none"]:
    """Return the format of the lists in dataset.lists. Raises UserError if the folder has lists of neither format."""
    if settings.lists == params.NO_PATH:
        return "none"
    lists = Path(settings.lists)
    if (lists / CLASS_LIST).is_file():
        return "UCF101"
    if any(lists.glob("*_test_split*.txt")):
        return "HMDB51"
    reason = f"contains neither {CLASS_LIST} (UCF101) nor *_test_split*.txt (HMDB51)"
    raise UserError(f"dataset.lists is {lists}, which {reason}; set it to the folder of the lists or {params.NO_PATH}.")


def read_class_list(file: Path) -> list[str]:
    """Return the class names in order of their numbers. Lines are such as `37 HandstandPushups`, numbers start at 1."""
    names: dict[int, str] = {}
    for location, line in _lines(file):
        match = re.fullmatch(r"(\d+)\s+(.+)", line)
        if not match:
            raise _wrong_format(location, line, "37 HandstandPushups")
        if int(match[1]) in names or match[2] in names.values():
            raise UserError(f"{location}: {line!r} repeats a number or a class; correct it.")
        names[int(match[1])] = match[2]
    if not names or sorted(names) != list(range(1, len(names) + 1)):
        raise UserError(f"{file} must number its classes from 1 without gaps; correct it.")
    return [names[number] for number in sorted(names)]


def order_by_class_list(labels: list[str], settings: params.Dataset) -> list[str]:
    """Return the class names in the order of classInd.txt. Raises UserError if the two sets of names differ."""
    file = Path(settings.lists, CLASS_LIST)
    listed = read_class_list(file)
    for label in labels:
        if label not in listed:
            hint = f"{file}, whose nearest class is {_nearest(label, listed)}"
            raise UserError(f"class folder {settings.root}/{label} is not in {hint}; rename or remove the folder.")
    for label in listed:
        if label not in labels:
            hint = f"the nearest is {_nearest(label, labels)}"
            raise UserError(f"class {label} of {file} has no folder in {settings.root} ({hint}); add or rename it.")
    return listed


def _nearest(name: str, known: Iterable[str]) -> str:
    return get_close_matches(name, list(known), n=1, cutoff=0)[0]


def read_entries(settings: params.Dataset, endings: Sequence[str]) -> Iterator[Entry]:
    """Yield the entries of the lists of dataset.split. endings are the file name extensions of clips.

    Raises UserError for a missing list and for an invalid line.
    """
    pattern = re.compile(rf"(.+(?:{'|'.join(map(re.escape, endings))}))(?:\s+(\d+))?", re.IGNORECASE)
    read = _read_ucf101 if list_format(settings) == "UCF101" else _read_hmdb51
    return read(settings, pattern)


def _read_ucf101(settings: params.Dataset, pattern: re.Pattern[str]) -> Iterator[Entry]:
    """Yield the entries of trainlistNN.txt (`Class/v_x.avi 1`) and testlistNN.txt (the same, number optional)."""
    numbers = {label: number for number, label in enumerate(read_class_list(Path(settings.lists, CLASS_LIST)), 1)}
    files = _list_files(settings, r"(train|test)list(\d+)\.txt", "{}list{:02d}.txt", {"train", "test"})
    splits: tuple[ListedSplit, ...] = ("train", "test")
    for split in splits:
        for location, line in _lines(files[split]):
            path, number = _parse(pattern, location, line, "Archery/v_Archery_g01_c01.avi 3")
            label = path.parts[0]
            if label not in numbers:
                hint = f"the nearest is {_nearest(label, numbers)}"
                raise UserError(f"{location}: {label} is not in {CLASS_LIST} ({hint}); correct one of the two files.")
            if number is None and split == "train":
                raise _wrong_format(location, line, f"{path} {numbers[label]}")
            if number not in (None, numbers[label]):
                conflict = f"{path} has the number {number}, but {label} is {numbers[label]} in {CLASS_LIST}"
                raise UserError(f"{location}: {conflict}; correct one of the two files.")
            yield Entry(str(path), split, location)


def _read_hmdb51(settings: params.Dataset, pattern: re.Pattern[str]) -> Iterator[Entry]:
    """Yield the entries of <class>_test_splitN.txt, `x.avi 1`, where 1 is train, 2 is test and 0 is unused."""
    splits: dict[int | None, ListedSplit] = {1: "train", 2: "test", 0: "unused"}
    files = _list_files(settings, r"(.+)_test_split(\d+)\.txt", "{}_test_split{}.txt", set())
    for label, file in files.items():
        for location, line in _lines(file):
            path, number = _parse(pattern, location, line, "x.avi 1")
            if number not in splits:
                raise UserError(f"{location}: {line!r} must end with 1 (train), 2 (test) or 0 (unused); correct it.")
            yield Entry(f"{label}/{path}", splits[number], location)


def _list_files(settings: params.Dataset, pattern: str, name: str, needed: set[str]) -> dict[str, Path]:
    """Return the files of dataset.split by the first capture group of pattern; the second is the number of the split.

    name is a format string for both. A split is complete if it has a file for each needed name and for each name that
    any other split has. Raises UserError if dataset.split is not complete.
    """
    files: dict[int, dict[str, Path]] = {}
    for file in sorted(Path(settings.lists).iterdir()):
        if match := re.fullmatch(pattern, unicodedata.normalize("NFC", file.name)):
            files.setdefault(int(match[2]), {})[match[1]] = file
    needed = needed.union(*files.values())
    missing = sorted(needed - set(files.get(settings.split, {})))
    if missing:
        complete = ", ".join(str(split) for split in sorted(files) if set(files[split]) == needed) or "none"
        reason = f"{settings.lists} has no {name.format(missing[0], settings.split)}"
        raise UserError(f"{reason}; set dataset.split to a split with all lists ({complete}) or add the list.")
    return files[settings.split]


def _lines(file: Path) -> list[tuple[str, str]]:
    """Return (location, line) for each line that is not blank; the location is file and line number."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}); replace it with the original list.") from None
    # Compared in Unicode form NFC, like the names of folders.
    plain = [unicodedata.normalize("NFC", line.strip()) for line in lines]
    return [(f"{file} line {number}", line) for number, line in enumerate(plain, 1) if line]


def _parse(pattern: re.Pattern[str], location: str, line: str, example: str) -> tuple[PurePosixPath, int | None]:
    """Return the path and the number after it, None if there is no number."""
    match = pattern.fullmatch(line)
    if not match:
        raise _wrong_format(location, line, example)
    path = PurePosixPath(match[1])
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{location}: {line!r} is outside dataset.root; use a path relative to dataset.root.")
    return path, int(match[2]) if match[2] else None


def _wrong_format(location: str, line: str, example: str) -> UserError:
    return UserError(f"{location}: {line!r} does not have the form {example!r}; correct it.")
