"""The formats of official split lists: UCF101's, with a class list, and HMDB51's, with a file a class.

What a line says is read here, with the place where it stands; which clips there are plays no part.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal

from mocliplite import params
from mocliplite.errors import UserError

CLASS_LIST = "classInd.txt"
Side = Literal["train", "test", "unused"]  # lists know no validation


@dataclass(frozen=True)
class Entry:
    """A line of a split list."""

    path: str
    split: Side
    where: str  # file and line


def list_format(settings: params.Dataset) -> Literal["UCF101", "HMDB51", "none"]:
    """Whose format the lists in dataset.lists have. Raises UserError for a folder with lists of neither."""
    if settings.lists == params.NO_PATH:
        return "none"
    lists = Path(settings.lists)
    if (lists / CLASS_LIST).is_file():
        return "UCF101"
    if any(lists.glob("*_test_split*.txt")):
        return "HMDB51"
    wanted = f"holds neither {CLASS_LIST} (UCF101) nor *_test_split*.txt (HMDB51)"
    raise UserError(f"dataset.lists is {lists}, which {wanted}; give the lists' folder, or {params.NO_PATH} for none.")


def read_class_list(file: Path) -> list[str]:
    """Class names in the order of their numbers; lines such as `37 HandstandPushups`, numbers from 1."""
    names: dict[int, str] = {}
    for where, line in _lines(file):
        match = re.fullmatch(r"(\d+)\s+(.+)", line)
        if not match:
            raise UserError(f"{where}: {line!r} is no number and class such as 37 HandstandPushups; correct it.")
        if int(match[1]) in names or match[2] in names.values():
            raise UserError(f"{where}: {line!r} repeats a number or a class; correct it.")
        names[int(match[1])] = match[2]
    if not names or sorted(names) != list(range(1, len(names) + 1)):
        raise UserError(f"{file} must number its classes from 1 without a gap; correct it.")
    return [names[number] for number in sorted(names)]


def order_by_class_list(labels: list[str], settings: params.Dataset) -> list[str]:
    """Class names in the order of classInd.txt. Raises UserError unless they are those it numbers."""
    file = Path(settings.lists, CLASS_LIST)
    listed = read_class_list(file)
    for label in labels:
        if label not in listed:
            near = f"{file} does not name; the nearest there is {_nearest(label, listed)}"
            raise UserError(f"{settings.root}/{label} is a class folder that {near}: rename or remove the folder.")
    for label in listed:
        if label not in labels:
            near = f"the nearest is {_nearest(label, labels)}"
            raise UserError(f"{file} names {label}, which has no folder in {settings.root}; {near}: add or rename it.")
    return listed


def _nearest(name: str, known: Iterable[str]) -> str:
    return get_close_matches(name, list(known), n=1, cutoff=0)[0]


def read_entries(settings: params.Dataset, endings: Sequence[str]) -> Iterator[Entry]:
    """Entries of the lists of dataset.split in the folder dataset.lists, whose paths have one of the endings.

    Raises UserError where a list is missing and, once it is reached, for a line that cannot be right.
    """
    pattern = re.compile(rf"(.+(?:{'|'.join(map(re.escape, endings))}))(?:\s+(\d+))?", re.IGNORECASE)
    read = _ucf101 if list_format(settings) == "UCF101" else _hmdb51
    return read(settings, pattern)


def _ucf101(settings: params.Dataset, pattern: re.Pattern[str]) -> Iterator[Entry]:
    """Entries of trainlistNN.txt, `Class/v_x.avi 1`, and testlistNN.txt, `Class/v_x.avi`, the number optional."""
    numbers = {label: number for number, label in enumerate(read_class_list(Path(settings.lists, CLASS_LIST)), 1)}
    files = _list_files(settings, r"(train|test)list(\d+)\.txt", "{}list{:02d}.txt", {"train", "test"})
    parts: tuple[Side, ...] = ("train", "test")
    for split in parts:
        for where, line in _lines(files[split]):
            path, number = _parse(pattern, where, line, "Archery/v_Archery_g01_c01.avi 3")
            label = path.parts[0]
            if label not in numbers:
                near = _nearest(label, numbers)
                raise UserError(f"{where}: {label} is not in {CLASS_LIST}; the nearest there is {near}: correct one.")
            if number is None and split == "train":
                raise _malformed(where, line, f"{path} {numbers[label]}")
            if number not in (None, numbers[label]):
                wanted = f"{CLASS_LIST} numbers {label} {numbers[label]}"
                raise UserError(f"{where}: {path} has the number {number}, but {wanted}; correct one of them.")
            yield Entry(str(path), split, where)


def _hmdb51(settings: params.Dataset, pattern: re.Pattern[str]) -> Iterator[Entry]:
    """Entries of <class>_test_splitN.txt, `x.avi 1`: 1 is train, 2 is test, 0 is neither."""
    splits: dict[int | None, Side] = {1: "train", 2: "test", 0: "unused"}
    files = _list_files(settings, r"(.+)_test_split(\d+)\.txt", "{}_test_split{}.txt", set())
    for label, file in files.items():
        for where, line in _lines(file):
            path, number = _parse(pattern, where, line, "x.avi 1")
            if number not in splits:
                raise UserError(f"{where}: {line!r} must end in 1 (train), 2 (test) or 0 (neither); correct it.")
            yield Entry(f"{label}/{path}", splits[number], where)


def _list_files(settings: params.Dataset, pattern: str, name: str, needed: set[str]) -> dict[str, Path]:
    """Files of dataset.split by the pattern's first bracket; its second is the split, {} and {} in name stand for both.

    Complete is a split that has a file for all that is needed and all that another split has one for.
    """
    files: dict[int, dict[str, Path]] = {}
    for file in sorted(Path(settings.lists).iterdir()):
        if match := re.fullmatch(pattern, file.name):
            files.setdefault(int(match[2]), {})[match[1]] = file
    needed = needed.union(*files.values())
    lacking = sorted(needed - set(files.get(settings.split, {})))
    if lacking:
        complete = [str(split) for split in sorted(files) if set(files[split]) == needed]
        absent = f"{settings.lists} has no {name.format(lacking[0], settings.split)}"
        raise UserError(f"{absent}; set dataset.split to one it has all lists of ({', '.join(complete) or 'none'}).")
    return files[settings.split]


def _lines(file: Path) -> list[tuple[str, str]]:
    """Lines that are not blank, without ends, each with the words for where it stands."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}); put the original list there.") from None
    return [(f"{file} line {number}", line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def _parse(pattern: re.Pattern[str], where: str, line: str, example: str) -> tuple[PurePosixPath, int | None]:
    """Path, and the number behind it if there is one."""
    match = pattern.fullmatch(line)
    if not match:
        raise _malformed(where, line, example)
    path = PurePosixPath(match[1])
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{where}: {line!r} leads out of dataset.root; give a path below it.")
    return path, int(match[2]) if match[2] else None


def _malformed(where: str, line: str, example: str) -> UserError:
    return UserError(f"{where}: {line!r} is not of the form {example!r}; correct it.")
