"""The files of `predict`: a CSV file that grows clip by clip and can be continued, and a Parquet file."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mocliplite import csv_files, files
from mocliplite.errors import UserError

# Columns of a file of whole clips, and of a file of segments. The first one is the path of the clip.
CLIPS = ("clip", "class", "probability", "error", "model")
SEGMENTS = ("clip", "start", "end", "class", "probability", "error", "model")
NUMBERS = ("start", "end", "probability")
WIDE = "probability of "  # beginning of the column of each class with --wide

Row = Sequence[object]


class ResultsFile:
    """The rows of a run, written to a CSV file as they come, and to a Parquet file at the end."""

    def __init__(self, given: argparse.Namespace, header: Sequence[str], model: str, clips: Sequence[str] = ()) -> None:
        """Open the files of the options --csv, --parquet and --resume. clips: the paths of all clips, in order.

        Raises UserError for a CSV file that exists already, or that was written with another model or other options.
        """
        self.header, self.model, self._csv, self._parquet = tuple(header), model, given.csv, given.parquet
        if given.resume and not given.csv:
            raise UserError("--resume goes on with a file of --csv; give it.")
        self.rows: list[Row] = []
        self._clips = [path_cell(path) for path in clips]
        self._resumes = bool(given.resume and given.csv and Path(given.csv).exists())
        if self._resumes:
            self.rows += self._earlier_rows()
        elif given.csv and Path(given.csv).exists():
            raise UserError(f"{given.csv} exists; give --resume to go on where it ends, or another file.")
        elif given.csv:
            csv_files.write_rows(given.csv, header, [])
        self.done = {str(row[0]) for row in self.rows}  # cells of the clips of an earlier run

    def add(self, rows: Sequence[Row]) -> None:
        """Write all rows of a clip."""
        self.rows += rows
        if self._csv:
            csv_files.append_rows(self._csv, rows)

    def close(self) -> None:
        """Put the rows of clips that were tried again where they belong; write the Parquet file."""
        place = {cell: number for number, cell in enumerate(self._clips)}
        ordered = sorted(self.rows, key=lambda row: place.get(str(row[0]), -1))
        if self._resumes and ordered != self.rows and len(place) == len(self._clips):
            self.rows = ordered
            csv_files.write_rows(self._csv, self.header, self.rows)
        if self._parquet:
            _write_parquet(self._parquet, self.header, self.rows)

    def _earlier_rows(self) -> list[list[str]]:
        rows = csv_files.resume_rows(self._csv, self.header)
        column = self.header.index("model")
        other = next((row[column] for row in rows if row[column] != self.model), None)
        if other is not None:
            raise UserError(f"{self._csv} has rows of the model {other}, but this is {self.model}; give another file.")
        if self.header == SEGMENTS and rows:
            # The run may have been killed between the rows of the last video.
            rows = [row for row in rows if row[0] != rows[-1][0]]
        rows = [row for row in rows if not row[self.header.index("error")]]
        # Rows are appended to a new file: the old one may be a link into DVC's cache.
        csv_files.write_rows(self._csv, self.header, rows)
        return rows


def path_cell(path: str) -> str:
    """Return the path so that no spreadsheet takes it for a formula, and it names the same file: `./=1.mp4`."""
    return f"./{path}" if csv_files.is_formula(path) else path


def _write_parquet(path: str, header: Sequence[str], rows: Sequence[Row]) -> None:
    """Write rows to a Parquet file; numbers are float64, and empty cells are null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {}
    for index, name in enumerate(header):
        cells = [row[index] for row in rows]
        if name in NUMBERS or name.startswith(WIDE):
            columns[name] = pa.array([None if cell == "" else float(str(cell)) for cell in cells], pa.float64())
        else:
            columns[name] = pa.array([None if cell == "" else str(cell) for cell in cells], pa.string())
    # Opened here, since Arrow takes only names that are UTF-8.
    with files.atomic_write(Path(path)) as partial, partial.open("wb") as file:
        pq.write_table(pa.table(columns), file)
