"""The JSON files of Something-Something: labels, train and validation. Clips are files such as `78687.webm`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mocliplite.data.lists.entry import Annotations, Entry, ListedSplit, checked_label, is_number, read_json, value_of
from mocliplite.errors import UserError

_SPLITS: dict[ListedSplit, str] = {"train": "train.json", "val": "validation.json"}


def has_lists(folder: Path) -> bool:
    """Return whether a folder has the files of this format."""
    return any(folder.glob("*labels.json"))


def read(folder: Path) -> Annotations:
    """Return the contents of *labels.json, *train.json and *validation.json, in the order of the class numbers.

    Raises UserError for a missing file and for an invalid record.
    """
    labels = _file(folder, "labels.json")
    numbers = read_json(labels)
    if not isinstance(numbers, dict) or not all(is_number(str(number)) for number in numbers.values()):
        raise UserError(f"{labels} must be an object with the number of each class; replace it with the original.")
    classes = sorted(numbers, key=lambda label: int(numbers[label]))
    entries = [entry for split in _SPLITS for entry in _entries(folder, split, classes, labels)]
    return Annotations(entries, classes)


def _entries(folder: Path, split: ListedSplit, classes: Sequence[str], labels: Path) -> Iterator[Entry]:
    file = _file(folder, _SPLITS[split])
    records = read_json(file)
    if not isinstance(records, list):
        raise UserError(f"{file} must be a list of clips; replace it with the original.")
    known = dict.fromkeys(classes)  # faster to search than a list
    for number, record in enumerate(records, 1):
        location = f"{file} record {number}"
        name = value_of(record, "id", str, location)
        # The label of the clip names its objects; the class is the template without its brackets.
        template = value_of(record, "template", str, location).replace("[", "").replace("]", "")
        label = checked_label(template, known, labels, f"{location} (id {name})")
        yield Entry(f"{name}.webm", label, location, split)


def _file(folder: Path, ending: str) -> Path:
    found = sorted(path for path in folder.glob(f"*{ending}") if not path.name.startswith("."))
    if len(found) != 1:
        problem = f"several files *{ending}" if found else f"no file *{ending}"
        raise UserError(f"{folder} has {problem}; dataset.lists must have one *labels, *train and *validation.json.")
    return found[0]
