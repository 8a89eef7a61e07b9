"""The split lists of UCF101: classInd.txt, trainlistNN.txt, testlistNN.txt. Labels are the names of class folders."""

import re
from collections.abc import Iterator
from pathlib import Path

from mocliplite import params
from mocliplite.data.lists.entry import Entry, ListedSplit, checked_label, is_number, nearest, read_lines
from mocliplite.data.lists.split_files import files_of_split, parse_line, wrong_form
from mocliplite.errors import UserError

CLASS_LIST = "classInd.txt"


def read(settings: params.Dataset) -> Iterator[Entry]:
    """Yield the entries of trainlistNN.txt (`Class/v_x.avi 1`) and testlistNN.txt (the same, number optional).

    Raises UserError for a missing list and for an invalid line.
    """
    class_list = Path(settings.lists, CLASS_LIST)
    numbers = read_class_list(class_list)
    files = files_of_split(settings, r"(train|test)list(\d+)\.txt", "{}list{:02d}.txt", {"train", "test"})
    splits: tuple[ListedSplit, ...] = ("train", "test")
    for split in splits:
        for location, line in read_lines(files[split]):
            path, given = parse_line(location, line, "Archery/v_Archery_g01_c01.avi 3", (0, 1))
            label = checked_label(path.split("/")[0], numbers, class_list, location)
            if not given and split == "train":
                raise wrong_form(location, line, f"{path} {numbers[label]}")
            if given and given[0] != str(numbers[label]):
                conflict = f"{path} has the number {given[0]}, but {label} is {numbers[label]} in {CLASS_LIST}"
                raise UserError(f"{location}: {conflict}; correct one of the two files.")
            yield Entry(path, label, location, split)


def read_class_list(file: Path) -> dict[str, int]:
    """Return the number of each class, in order of number. Lines are such as `37 HandstandPushups`.

    The list of a part of the classes may keep the numbers of all. Raises UserError for an invalid line.
    """
    numbers: dict[str, int] = {}
    for location, line in read_lines(file):
        match = re.fullmatch(r"(\d+)\s+(.+)", line)
        if not (match and is_number(match[1])):
            raise wrong_form(location, line, "37 HandstandPushups")
        if int(match[1]) in numbers.values() or match[2] in numbers:
            raise UserError(f"{location}: {line!r} repeats a number or a class; correct it.")
        numbers[match[2]] = int(match[1])
    if not numbers:
        raise UserError(f"{file} has no classes; replace it with the original list.")
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def order_by_class_list(labels: list[str], settings: params.Dataset) -> list[str]:
    """Return the class names in the order of classInd.txt. Raises UserError if the two sets of names differ."""
    file = Path(settings.lists, CLASS_LIST)
    listed = list(read_class_list(file))
    for label in labels:
        if label not in listed:
            hint = f"{file}, whose nearest class is {nearest(label, listed)}"
            raise UserError(f"class folder {settings.root}/{label} is not in {hint}; rename or remove the folder.")
    for label in listed:
        if label not in labels:
            hint = f"the nearest is {nearest(label, labels)}"
            raise UserError(f"class {label} of {file} has no folder in {settings.root} ({hint}); add or rename it.")
    return listed
