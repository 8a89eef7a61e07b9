"""A single HDF5 file of named arrays, such as features/pairs.h5."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError
from mocliplite.store import hdf5
from mocliplite.store.hdf5 import Arrays, Settings


@dataclass(frozen=True)
class Table:
    """Named arrays (text as numpy str) and the settings that decided them."""

    arrays: Arrays
    settings: dict[str, Any]


def write_table(path: str | Path, kind: str, arrays: Arrays, settings: Settings) -> None:
    """Write named arrays (text as numpy str) to one HDF5 file."""
    with hdf5.create_file(Path(path), kind, settings) as file:
        hdf5.write_arrays(file, arrays)


def read_table(path: str | Path, kind: str | None = None) -> Table:
    """Return the table written by write_table. Raises UserError if it is missing or of another kind or schema."""
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; run `dvc pull {path}` or `dvc repro`.")
    with hdf5.open_file(Path(path), kind) as file:
        return Table({name: hdf5.read_array(file, name) for name in file}, hdf5.read_settings(file))
