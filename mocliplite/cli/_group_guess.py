"""A guess of dataset.group for a folder of clips, from the names of the files."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_SEPARATORS = ("_", "-", " ")
_UNUSUAL = 10  # one of so many names may be unlike the others


def guess_group(paths: Sequence[str]) -> str | None:
    """Return a pattern for dataset.group that captures the part of the names that probably identifies scene or person.

    Where no pattern fits all names, it is one that fits all but those in fewer folders or with fewer parts, at most a
    tenth of them.
    """
    separator = _separator(paths)
    folders = [path.count("/") for path in paths]
    parts = [Path(path).stem.count(separator) for path in paths]
    return _guess(paths) or _guess(_usual(paths, folders)) or _guess(_usual(paths, parts))


def _usual(paths: Sequence[str], counts: Sequence[int]) -> list[str]:
    """Return the paths without those with lower counts than the others, at most a tenth of them."""
    least = sorted(counts)[len(counts) // _UNUSUAL]
    return [path for path, count in zip(paths, counts, strict=True) if count >= least]


def _separator(paths: Sequence[str]) -> str:
    """Return the separator that is in most names."""
    return max(_SEPARATORS, key=lambda candidate: sum(candidate in Path(path).stem for path in paths))


def _guess(paths: Sequence[str]) -> str | None:
    """Return a pattern that fits all paths, or None.

    That is the folder below the class folder if all clips have one. Otherwise it is the first part of the file name
    with more than two values of which a value occurs in at least half of the classes on average: names go from the
    general to the particular. None if there is no such part. If only one part varies within a class, it is the number
    of the clip.
    """
    if all(path.count("/") >= 2 for path in paths):
        return "^[^/]+/([^/]+)/"
    for pattern in _candidates(paths):
        matches = [(match[1], path.split("/")[0]) for path in paths if (match := re.search(pattern, path))]
        groups, classes = {value for value, _ in matches}, {label for _, label in matches}
        shared = len(set(matches)) / max(1, len(groups))  # mean number of classes per value
        if len(matches) == len(paths) > len(groups) > 2 and shared >= max(2, len(classes) / 2):
            return pattern
    return None


def _candidates(paths: Sequence[str]) -> Iterable[str]:
    """Yield a pattern for each part of the names that varies within a class, in order; none if only one does."""
    separator = _separator(paths)
    parts = [Path(path).stem.split(separator)[::-1] for path in paths]
    common = min(map(len, parts))
    classes: dict[str, list[list[str]]] = {}
    for path, part in zip(paths, parts, strict=True):
        classes.setdefault(path.split("/")[0], []).append(part)
    # Within a class, because a part that varies only between classes repeats the class.
    varying = [
        position
        for position in range(common)
        if any(len({part[position] for part in members}) > 1 for members in classes.values())
    ]
    if len(varying) < 2:
        return
    part_patterns = [
        r"\d+" if all(part[position].isdecimal() for part in parts) else f"[^{separator}/]+"
        for position in range(common)
    ]
    for position in reversed(varying):
        after = "".join(f"{separator}{part_pattern}" for part_pattern in part_patterns[:position][::-1])
        yield rf"({part_patterns[position]}){after}\.\w+$"
