"""CSV files: those that are read again, those that grow row by row, and tables for readers."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError, reading, refuse_special, writing
from mocliplite.files import read_bytes, write_text

# Spreadsheets take cells that begin with these characters for formulas, the last four in some languages.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_rows(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write the rows, each as long as the header, to path as CSV."""
    write_text(path, rows_text(header, rows))


def rows_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the rows, each as long as the header, as CSV text."""
    return _rows_text([header, *rows])


def _rows_text(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    for row in rows:
        # With this line ending csv.writer does not quote "\r", which csv.reader treats as the end of a row.
        returns = any("\r" in str(value) for value in row)
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL).writerow(row)
    return text.getvalue()


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would take a cell for a formula."""
    return text.startswith(_FORMULA)


def text_cell(text: str) -> str:
    """Return the cell of a text in a table for readers, with an apostrophe in front of what would be a formula."""
    return f"'{text}" if is_formula(text) else text


def append_rows(path: str | Path, rows: Iterable[Sequence[object]]) -> None:
    """Append rows to a CSV file in one write, for results that come one by one and must outlast a killed run."""
    with writing(path), Path(path).open("a", encoding="utf-8", newline="") as file:
        file.write(_rows_text(rows))


def resume_rows(path: str | Path, header: Sequence[str]) -> list[list[str]]:
    """Return the rows that a run wrote with append_rows, without the last one if the run was killed in its middle.

    Raises UserError if the file has another header.
    """
    text = read_bytes(path).decode("utf-8", errors="replace")
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise UserError(f"{path} is not valid CSV ({error}); repair it, or give another file.") from None
    if rows[:1] != [list(header)]:
        raise UserError(
            f"{path} is from a run with other options, whose columns differ; give them again, or another file."
        )
    # With an odd number of quotes, the last cell has none at its end.
    if len(rows[-1]) != len(header) or not text.endswith("\n") or text.count('"') % 2:
        rows.pop()
    if any(len(row) != len(header) for row in rows):
        raise UserError(f"{path} has rows of different lengths; repair them, or give another file.")
    return rows[1:]


def read_rows(path: str | Path, header: Sequence[str]) -> list[list[str]]:
    """Return the rows written by write_rows. Raises UserError if the file is missing or has another header."""
    rows = _read(path)
    if rows[:1] != [list(header)] or any(len(row) != len(header) for row in rows):
        columns = ",".join(header)
        raise UserError(f"{path} does not have the columns {columns} in every row; run `dvc repro` to write it again.")
    return rows[1:]


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as dicts by column. Raises UserError if it is missing or is not a table."""
    header, *rows = _read(path) or [[]]
    if any(len(row) != len(header) for row in rows):
        raise UserError(f"{path} has rows of different lengths; run `dvc repro` to write it again.")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _read(path: str | Path) -> list[list[str]]:
    refuse_special(path)
    try:
        with reading(path), Path(path).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(_without_nul(file)))
    except FileNotFoundError:
        # Not `dvc repro` first: without the clips it fails, and with them it may compute again what others have pushed.
        raise UserError(f"{path} does not exist; run `dvc pull --allow-missing`, or else `dvc repro`.") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid CSV ({error}); run `dvc repro` to write it again.") from None


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines. Raises csv.Error for the character NUL, which no path can contain, as Python did before 3.11."""
    for line in lines:
        if "\0" in line:
            raise csv.Error("line contains NUL")
        yield line


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table for readers to path as CSV: the keys of the first row as header, and floats with 6 decimals.

    There must be a row. Texts become cells that no spreadsheet takes for formulas.
    """
    header = list(rows[0])
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError(f"{path}: not all rows have the keys {header}")
    values = ([row[key] for key in header] for row in rows)
    write_rows(path, header, ([_cell(value) for value in row] for row in values))


def _cell(value: object) -> object:
    return round(value, 6) if isinstance(value, float) else text_cell(value) if isinstance(value, str) else value
