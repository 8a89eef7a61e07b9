"""A single HDF5 file of named arrays, such as features/pairs.h5."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError
from mocliplite.store import hdf5
from mocliplite.store.hdf5 import Arrays, Settings


@dataclass(frozen=True)
class Table:
    """A single HDF5 file: named arrays (text as numpy str), and the settings that decided them."""

    arrays: Arrays
    settings: dict[str, Any]


def write_table(path: str | Path, kind: str, arrays: Arrays, settings: Settings) -> None:
    """Replace one HDF5 file of named arrays; text arrays are of numpy's str."""
    with hdf5.create(Path(path), kind, settings) as file:
        hdf5.put_arrays(file, arrays)


def read_table(path: str | Path, kind: str | None = None) -> Table:
    """Read a file that write_table wrote. Raises UserError for another kind or schema."""
    if not Path(path).is_file():
        raise UserError(f"{path} is not here; run `dvc pull {path}` or `dvc repro`.")
    with hdf5.opened(Path(path), kind) as file:
        return Table({name: hdf5.get(file, name) for name in file}, hdf5.settings_of(file))
