"""The CSV files of Kinetics-400, 600 and 700: label, youtube_id, time_start, time_end, split.

The clips were cut from the videos, so the times are only part of the names of their files.
"""

from collections.abc import Sequence
from pathlib import Path

from mocliplite.data.lists.entry import Annotations, Entry, is_number, split_of
from mocliplite.data.lists.table import header_of, read_table
from mocliplite.errors import UserError

COLUMN = "youtube_id"  # tells the format
_REQUIRED = ("label", COLUMN, "time_start", "time_end", "split")


def read(files: Sequence[Path]) -> Annotations:
    """Return the contents of one or several files. Raises UserError for an invalid line."""
    labelled = [file for file in files if "label" in header_of(file) or len(files) == 1]
    notes = [f"{file} has no labels and is not used." for file in files if file not in labelled]
    entries = [_entry(location, row) for file in labelled for location, row in read_table(file, _REQUIRED)]
    return Annotations(entries, notes=notes)


def _entry(location: str, row: dict[str, str]) -> Entry:
    for column in ("time_start", "time_end"):
        if not is_number(row[column]):
            raise UserError(
                f"{location}, column {column}: {row[column]!r:.100} is not a whole number of seconds; correct it."
            )
    name = f"{row[COLUMN]}_{int(row['time_start']):06d}_{int(row['time_end']):06d}.mp4"
    split, label = split_of(row["split"], f"{location}, column split"), row["label"]
    # In class folders, named with spaces or underscores, or in one folder; also below a folder for each split.
    folders = dict.fromkeys((f"{label}/", f"{label.replace(' ', '_')}/", ""))
    path, *others = [f"{top}{folder}{name}" for top in ("", f"{split}/") for folder in folders]
    return Entry(path, label, location, split, other_paths=tuple(others))
