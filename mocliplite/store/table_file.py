"""A single HDF5 file of named arrays, such as features/pairs.h5."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError
from mocliplite.store import hdf5, whole_file
from mocliplite.store.hdf5 import NO_PROVENANCE, Arrays, Settings


@dataclass(frozen=True)
class Table:
    """Named arrays (text as numpy str), the settings that decided them, other provenance, and a digest of all bytes."""

    arrays: Arrays
    settings: dict[str, Any]
    provenance: dict[str, Any]
    digest: str


def write_table(
    path: str | Path, kind: str, arrays: Arrays, settings: Settings, provenance: Settings = NO_PROVENANCE
) -> None:
    """Write named arrays (text as numpy str) to one HDF5 file."""
    with hdf5.create_file(Path(path), kind, settings, provenance) as file:
        hdf5.write_arrays(file, arrays)


def read_table(path: str | Path, kind: str | None = None) -> Table:
    """Return the table written by write_table. Raises UserError if it is missing or of another kind or schema."""
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; run `dvc pull {path}` or `dvc repro`.")
    with hdf5.open_file(Path(path), kind) as file:
        arrays = {name: hdf5.read_array(file, name) for name in file}
        return Table(arrays, hdf5.read_settings(file), hdf5.read_provenance(file), whole_file.read_digest(Path(path)))
