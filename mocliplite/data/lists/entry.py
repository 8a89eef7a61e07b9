"""What the readers of lists return: the record behind all formats, and the checks of values that several share."""

import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from json import JSONDecodeError
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from mocliplite.data.names import is_below_root, normal, stem_of
from mocliplite.errors import UserError, reading, refuse_special
from mocliplite.files import parse_json
from mocliplite.params import CLASS_SEPARATOR
from mocliplite.spans import Span

ListedSplit = Literal["train", "val", "test", "unused"]
SPLITS: dict[str, ListedSplit] = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "unused": "unused",
    "val": "val",
    "valid": "val",
    "validate": "val",
    "validation": "val",
}
_ESCAPED_NUL = re.compile(r"(?<!\\)(\\\\)*\\u0000")  # in JSON; two backslashes stand for one
_JSON_NAMES = {"str": "text", "list": "a list", "dict": "an object"}
# A clip of a list, apart from its label: path in Unicode form NFC without its extension, and span in seconds.
Key = tuple[str, float | None, float | None]


@dataclass(frozen=True)
class Entry:
    """A labelled clip of a list: a file, or a span of it."""

    path: str  # POSIX, relative to dataset.root
    label: str  # as in the list; see `labels_of`
    location: str  # file and line, for error messages
    split: ListedSplit | None = None  # None: the list has no splits
    group: str | None = None
    start: float | None = None  # seconds; None: the beginning of the file
    end: float | None = None  # seconds; None: the end of the file
    id: str | None = None
    other_paths: tuple[str, ...] = ()  # where else the file may be

    @property
    def keys(self) -> list[Key]:
        """Return the keys of all clips that the entry may mean, that of its path first."""
        return [key_of(path, self.start, self.end) for path in (self.path, *self.other_paths)]


@dataclass(frozen=True)
class Annotations:
    """The contents of lists that name and label the clips."""

    entries: Sequence[Entry]
    classes: Sequence[str] | None = None  # all class names in the order of their numbers; None: in order of name
    notes: Sequence[str] = ()  # sentences about what was not used


def key_of(path: str, start: float | None, end: float | None) -> Key:
    """Return what identifies a clip in a list. Extensions are left out, because clips may have been re-encoded."""
    return normal(stem_of(path)), start, end


def labels_of(entry: Entry, multi_label: bool) -> list[str]:
    """Return the classes of an entry: with dataset.multi_label the parts of its label, which may be none.

    Raises UserError for an empty or repeated part.
    """
    if not multi_label:
        return [entry.label]
    names = [name.strip() for name in entry.label.split(CLASS_SEPARATOR)] if entry.label else []
    if not all(names) or len(set(names)) < len(names):
        problem = f"the label {entry.label!r} has an empty or repeated part"
        raise UserError(
            f"{entry.location}, column label: {problem}; separate the classes by one {CLASS_SEPARATOR!r} each."
        )
    return names


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most similar."""
    return get_close_matches(name, list(known), n=1, cutoff=0)[0]


def read_lines(file: Path) -> list[tuple[str, str]]:
    """Return (location, line) for each line that is not blank; the location is file and line number."""
    # In Unicode form NFC, like the names of folders.
    plain = [normal(line.strip()) for line in read_text(file).split("\n")]
    return [(f"{file} line {number}", line) for number, line in enumerate(plain, 1) if line]


def read_text(file: Path) -> str:
    """Return the text of a list, without a byte order mark. Raises UserError if it cannot be read as UTF-8 text."""
    refuse_special(file)
    try:
        with reading(file):
            text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 ({error}); save it as UTF-8 or replace it with the original.") from None
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}); correct dataset.lists or the file.") from None
    if "\0" in text:
        raise UserError(f"{file} is not a text file; replace it with the original.")
    return text


def read_json(file: Path) -> Any:
    """Return the value in a JSON file. Raises UserError if it is not JSON, with line and column."""
    try:
        text = read_text(file)
        value = parse_json(text)
    except JSONDecodeError as error:
        where = f"{file} line {error.lineno} column {error.colno}"
        raise UserError(f"{where}: this is not JSON ({error.msg}); correct it.") from None
    except RecursionError:
        raise UserError(f"{file} is nested too deeply to be a list; replace it with the original.") from None
    except UnicodeError as error:
        raise UserError(f"{file} has a text that is no Unicode ({error}); correct it.") from None
    except ValueError:  # of Python, for numbers
        raise UserError(f"{file} has a number of thousands of digits; replace it with the original.") from None
    if _ESCAPED_NUL.search(text):
        raise UserError(f"{file} has a text with the character NUL (\\u0000), which no path can contain; correct it.")
    return value


def is_number(text: str) -> bool:
    """Return whether a text is a whole number from 0, of at most 18 digits: Python takes none of thousands."""
    return text.isdecimal() and len(text) <= 18


def value_of(record: object, key: str, kind: type, location: str) -> Any:
    """Return record[key]. Raises UserError unless record is a JSON object with this key, and the value of this kind."""
    if not isinstance(record, dict) or not isinstance(record.get(key), kind):
        wanted = _JSON_NAMES[kind.__name__]
        raise UserError(f"{location}: there is no key {key!r} with {wanted}; correct it.")
    return record[key]


def checked_path(text: str, location: str) -> str:
    """Return a path in its shortest form. Raises UserError if it is not below dataset.root."""
    if not is_below_root(text):
        raise UserError(f"{location}: {text!r} is outside dataset.root; use a path relative to dataset.root.")
    return str(PurePosixPath(text))


def checked_label(text: str, known: Collection[str], file: Path, location: str) -> str:
    """Return a label. Raises UserError unless it is one of the classes known from another file."""
    if text not in known:
        hint = f"{file.name} (the nearest is {nearest(text, known)})" if known else f"{file.name}, which is empty"
        raise UserError(f"{location}: {text} is not in {hint}; correct one of the two files.")
    return text


def split_of(text: str, location: str) -> ListedSplit:
    """Return the split that a word means. Raises UserError for another word."""
    if text.lower() not in SPLITS:
        hint = f"the nearest is {nearest(text.lower(), SPLITS)}"
        raise UserError(f"{location}: {text!r} is not a split ({hint}); use train, val, test or unused.")
    return SPLITS[text.lower()]


def checked_span(start: object, end: object, location: str) -> tuple[float | None, float | None]:
    """Return start and end in seconds; an empty text means that of the file.

    Raises UserError unless both are numbers, start is at least 0, and end is after start.
    """
    span = Span(_seconds(start, "start", location), _seconds(end, "end", location))
    if problem := span.problem():
        raise UserError(f"{location}: the clip {problem}")
    return span.start, span.end


def _seconds(value: object, name: str, location: str) -> float | None:
    if value in ("", None):
        return None
    try:
        seconds = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    if math.isnan(seconds):
        raise UserError(f"{location}: the {name} is {value!r}; it must be a number of seconds, such as 12.5.")
    return seconds
