"""What the official lists of UCF101 and HMDB51 share: files per split, and lines of a path and a number."""

import re
from collections.abc import Sequence
from pathlib import Path

from mocliplite import params
from mocliplite.data.lists.entry import checked_path
from mocliplite.data.names import ENDINGS, normal
from mocliplite.errors import UserError

_LINE = re.compile(rf"(.+(?:{'|'.join(map(re.escape, ENDINGS))}))((?:\s+[\d.]+)*)", re.IGNORECASE)


def files_of_split(settings: params.Dataset, pattern: str, name: str, needed: set[str]) -> dict[str, Path]:
    """Return the files of dataset.split by the first capture group of pattern; the second is the number of the split.

    name is a format string for both. A split is complete if it has a file for each needed name and for each name that
    any other split has. Raises UserError if dataset.split is not complete.
    """
    files: dict[int, dict[str, Path]] = {}
    for file in sorted(Path(settings.lists).iterdir()):
        if match := re.fullmatch(pattern, normal(file.name)):
            files.setdefault(int(match[2]), {})[match[1]] = file
    needed = needed.union(*files.values())
    missing = sorted(needed - set(files.get(settings.split, {})))
    if missing:
        complete = ", ".join(str(split) for split in sorted(files) if set(files[split]) == needed) or "none"
        reason = f"{settings.lists} has no {name.format(missing[0], settings.split)}"
        raise UserError(f"{reason}; set dataset.split to a split with all lists ({complete}) or add the list.")
    return files[settings.split]


def is_path_with_numbers(line: str) -> bool:
    """Return whether a line has the form of these lists."""
    return _LINE.fullmatch(line) is not None


def parse_line(location: str, line: str, example: str, counts: Sequence[int]) -> tuple[str, list[str]]:
    """Return the path of a clip and the numbers after it.

    Raises UserError unless the line has that form, with as many numbers as one of the counts.
    """
    match = _LINE.fullmatch(line)
    if not match or len(match[2].split()) not in counts:
        raise wrong_form(location, line, example)
    return checked_path(match[1], location), match[2].split()


def wrong_form(location: str, line: str, example: str) -> UserError:
    """Return the error for a line that is not as in the example."""
    return UserError(f"{location}: {line!r} does not have the form {example!r}; correct it.")
