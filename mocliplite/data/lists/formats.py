"""Which format the lists in dataset.lists have, told by their content, and their entries."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from mocliplite import params
from mocliplite.data.lists import activitynet, hmdb51, kinetics, mmaction, own_csv, something, ucf101
from mocliplite.data.lists.entry import Annotations, Entry, checked_path, read_lines
from mocliplite.data.lists.split_files import is_path_with_numbers
from mocliplite.data.lists.table import header_of
from mocliplite.errors import UserError
from mocliplite.params import CLASS_SEPARATOR

Format = Literal["none", "UCF101", "HMDB51", "CSV", "Kinetics", "Something-Something", "MMAction2", "ActivityNet"]
DELETE = "delete one of the two"
SPLIT_LISTS = ("UCF101", "HMDB51")  # formats of lists that only split the clips in class folders


def list_format(settings: params.Dataset) -> Format:
    """Return the format of dataset.lists. Raises UserError if it has no known format, or none for several labels."""
    if settings.lists == params.NO_PATH:
        return "none"
    place = Path(settings.lists)
    if not place.exists():
        raise UserError(f"dataset.lists is {place}, which does not exist; correct the path or set {params.NO_PATH}.")
    name = _format_of_folder(place) if place.is_dir() else _format_of_file(place)
    if settings.multi_label and name != "CSV":
        problem = f"dataset.multi_label is true, but {place} has the format {name}, in which a clip has one class"
        raise UserError(f"{problem}; set it to false, or use a CSV file with the columns path and label.")
    return name


def has_several_labels(settings: params.Dataset) -> bool:
    """Return whether dataset.lists is a CSV file in which the label of a clip names several classes."""
    if list_format(settings) != "CSV":
        return False
    return any(CLASS_SEPARATOR in entry.label for entry in own_csv.read(Path(settings.lists), multi_label=True).entries)


def read_split_lists(settings: params.Dataset) -> Iterator[Entry]:
    """Yield the entries of the lists of dataset.split for clips in class folders, in UCF101 or HMDB51 format."""
    return ucf101.read(settings) if list_format(settings) == "UCF101" else hmdb51.read(settings)


def read_annotations(settings: params.Dataset) -> Annotations:
    """Return the contents of lists that name and label the clips, of any other format.

    Raises UserError for an invalid line, a list without clips, and a clip that is listed twice.
    """
    place, name = Path(settings.lists), list_format(settings)
    files = _csv_files(place) if place.is_dir() else [place]
    if name == "Kinetics":
        found = kinetics.read(files)
    elif name == "CSV":
        found = own_csv.read(place, settings.multi_label)
    elif name == "Something-Something":
        found = something.read(place)
    elif name == "ActivityNet":
        found = activitynet.read(place)
    else:
        found = mmaction.read(mmaction.lists_in(place) if place.is_dir() else {None: place})
    if not found.entries:
        raise UserError(f"{place} lists no clips; add a line for each clip.")
    for entry in found.entries:
        for path in (entry.path, *entry.other_paths):
            checked_path(path, entry.location)
    advice = f"join their classes with {CLASS_SEPARATOR!r} in one line" if settings.multi_label else DELETE
    refuse_repeated(found.entries, advice)
    return found


def refuse_repeated(entries: Iterable[Entry], advice: str = DELETE) -> None:
    """Raise UserError if a clip is listed twice. advice: what to do then."""
    first_by_key: dict[object, Entry] = {}
    for entry in entries:
        first = first_by_key.setdefault(entry.keys[0], entry)
        if first is not entry:
            this, other = (", ".join(filter(None, (item.split, item.label))) for item in (entry, first))
            conflict = f"{entry.path} is listed here ({this}) and in {first.location} ({other})"
            raise UserError(f"{entry.location}: {conflict}; {advice}.")


def _format_of_folder(folder: Path) -> Format:
    if (folder / ucf101.CLASS_LIST).is_file():
        return "UCF101"
    if any(folder.glob("*_test_split*.txt")):
        return "HMDB51"
    if something.has_lists(folder):
        return "Something-Something"
    if any(kinetics.COLUMN in header_of(file) for file in _csv_files(folder)):
        return "Kinetics"
    if mmaction.lists_in(folder):
        return "MMAction2"
    known = f"{ucf101.CLASS_LIST} (UCF101), *_test_split*.txt (HMDB51) nor another known list"
    reason = f"contains neither {known}"
    raise UserError(
        f"dataset.lists is {folder}, which {reason}; set it to a folder or file as in docs/lists.md, or "
        f"{params.NO_PATH}."
    )


def _format_of_file(file: Path) -> Format:
    lines = read_lines(file)
    first = lines[0][1] if lines else ""
    if first.startswith("{"):
        return "ActivityNet"
    if first.startswith("["):
        raise UserError(f"{file} is one of several JSON files; set dataset.lists to their folder.")
    if is_path_with_numbers(first):
        return "MMAction2"
    return "Kinetics" if kinetics.COLUMN in header_of(file) else "CSV"


def _csv_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.csv") if not path.name.startswith("."))
