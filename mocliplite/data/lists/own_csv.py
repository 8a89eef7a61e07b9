"""The CSV file of this project: path and label, and where wanted split, group, start, end and id."""

from pathlib import Path

from mocliplite.data.lists.entry import Annotations, Entry, checked_path, checked_span, split_of
from mocliplite.data.lists.table import header_of, read_table
from mocliplite.errors import UserError

REQUIRED = ("path", "label")
OPTIONAL = ("split", "group", "start", "end", "id")


def read(file: Path, multi_label: bool = False) -> Annotations:
    """Return the contents of the file. Columns are in any order; unknown ones are named in the notes.

    multi_label: as dataset.multi_label; an empty label then means a clip of no class.
    Raises UserError for an invalid line, and if some lines have a split and others have none.
    """
    unknown = [column or "(no name)" for column in header_of(file) if column not in (*REQUIRED, *OPTIONAL)]
    known = ", ".join((*REQUIRED, *OPTIONAL))
    notes = [f"{file}: the columns {', '.join(unknown)} are not used; the columns used are {known}."] if unknown else []
    empty = ("label",) if multi_label else ()
    entries = [_entry(location, row) for location, row in read_table(file, REQUIRED, empty)]
    without = [entry.location for entry in entries if entry.split is None]
    if without and len(without) < len(entries):
        raise UserError(
            f"{without[0]}, column split: the cell is empty, as in {len(without)} lines in all, but other lines have "
            "a split; fill it with train, val, test or unused, or remove the column."
        )
    return Annotations(entries, notes=notes)


def _entry(location: str, row: dict[str, str]) -> Entry:
    split, clip_id = row.get("split"), row.get("id")
    start, end = checked_span(row.get("start", ""), row.get("end", ""), f"{location}, columns start and end")
    if clip_id and ("/" in clip_id or clip_id.startswith(".") or not clip_id.isprintable()):
        problem = f"{clip_id!r} cannot be the name of a file"
        raise UserError(f"{location}, column id: {problem}; use an id without slashes that begins with no dot.")
    return Entry(
        checked_path(row["path"], f"{location}, column path"),
        row["label"],
        location,
        split_of(split, f"{location}, column split") if split else None,
        row.get("group") or None,
        start,
        end,
        clip_id or None,
    )
