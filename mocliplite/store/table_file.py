"""A single HDF5 file of named arrays, such as features/pairs.h5."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError
from mocliplite.store import hdf5, whole_file
from mocliplite.store.attributes import read_provenance, read_settings
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
    with _open(path, kind) as file:
        return _table(Path(path), file, {name: hdf5.read_array(file, name) for name in hdf5.names(file)})


def read_rows(
    path: str | Path, kind: str, where: tuple[str, str], names: Collection[str], whole: Collection[str]
) -> Table:
    """Return a part of a table without holding the rest in memory; errors are those of `read_table`.

    where: name and value of an array of text; of the arrays `names`, the rows in which it has the value are read.
    Those in `whole` are read completely. Arrays that the table does not have are left out.
    """
    with _open(path, kind) as file:
        there = set(hdf5.names(file))
        mask = hdf5.read_array(file, where[0]) == where[1]
        arrays = {name: hdf5.read_masked(file, name, mask) for name in sorted(there & set(names))}
        arrays |= {name: hdf5.read_array(file, name) for name in sorted(there & set(whole))}
        return _table(Path(path), file, arrays)


@contextmanager
def _open(path: str | Path, kind: str | None) -> Iterator[hdf5.Group]:
    if not Path(path).is_file():
        raise UserError(f"{path} does not exist; run `dvc pull {path}` or `dvc repro`.")
    with hdf5.open_file(Path(path), kind) as file:
        yield file


def _table(path: Path, file: hdf5.Group, arrays: Arrays) -> Table:
    return Table(arrays, read_settings(file), read_provenance(file), whole_file.read_digest(path))
