"""Rows of a CSV file by the names of its columns, with the place of each row for error messages."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from mocliplite.data.lists.entry import nearest, read_text
from mocliplite.data.names import normal
from mocliplite.errors import UserError

Row = tuple[str, dict[str, str]]  # location, and the cells by column without spaces around them


def header_of(file: Path) -> list[str]:
    """Return the names of the columns, without spaces around them. Raises UserError for a file that is not CSV."""
    _, cells = next(_lines(file), (1, []))
    return [cell.strip() for cell in cells]


def read_table(file: Path, required: Sequence[str], may_be_empty: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows that are not blank. Cells are in Unicode form NFC.

    Raises UserError for a missing or repeated column, a row of another length, and an empty cell of a required column
    that is not in may_be_empty.
    """
    header = header_of(file)
    _check_header(header, required, file)
    for number, cells in islice(_lines(file), 1, None):
        location = f"{file} line {number}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            counts = f"{len(cells)} cells, but the first line has {len(header)} columns"
            raise UserError(f"{location}: there are {counts}; quote a cell that contains a comma.")
        row = dict(zip(header, (normal(cell.strip()) for cell in cells), strict=True))
        for column in required:
            if not row[column] and column not in may_be_empty:
                raise UserError(f"{location}, column {column}: the cell is empty; fill it or remove the line.")
        yield location, row


def _lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line and its cells. A quoted cell may have several lines: the number is of the last."""
    rows = csv.reader(io.StringIO(read_text(file), newline=""), strict=True)
    try:
        for cells in rows:
            yield rows.line_num, cells
    except csv.Error as error:
        raise UserError(f"{file} line {rows.line_num}: this is not CSV ({error}); correct it.") from None


def _check_header(header: Sequence[str], required: Sequence[str], file: Path) -> None:
    for column in required:
        if column not in header:
            hint = f"the nearest is {nearest(column, header)!r}" if any(header) else "the line is empty"
            first = f"{file} line 1: there is no column {column} ({hint})"
            raise UserError(f"{first}; the first line must name the columns, separated by commas.")
    repeated = [column for column, count in Counter(header).items() if count > 1 and column]
    if repeated:
        raise UserError(f"{file} line 1: the column {repeated[0]} is there twice; rename or remove one.")
