"""Stores for those who do not read HDF5: one .npz or .parquet file, to be read with numpy or any data frame."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite.errors import UserError
from mocliplite.files import atomic_write
from mocliplite.store import hdf5, stores


def export_store(path: str | Path, to: str, out: str | Path | None = None) -> Path:
    """Write all clips of a store into one file, out, else one here that is named after the store; returns its path.

    npz: `ids`, and each array of all clips; of motion, whose clips differ in length, `<id>/<name>`. parquet: one row a
    clip; arrays are lists, flat in C order, with `<name>_shape` beside those that differ from clip to clip.
    """
    if Path(path).is_file():
        raise UserError(f"{path} is a file; give a store, a folder of shards such as features/keyframes.")
    opened = stores.open_store(path)
    target = Path(out or f"{Path(path).resolve().name}.{to}")
    if to == "npz":
        _write_npz(target, opened)
    else:
        _write_parquet(target, opened)
    return target


def _write_npz(target: Path, opened: stores.Store) -> None:
    """As numpy's savez_compressed, but clip by clip: a motion store does not fit the memory."""
    with atomic_write(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, array in _named(opened):
            # Without a date the same store gives the same bytes.
            with packed.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _named(opened: stores.Store) -> Iterator[tuple[str, np.ndarray]]:
    yield "ids", np.array(opened.ids, dtype=str)
    yield "settings", np.array(hdf5.canonical(opened.settings))
    if opened.kind == "motion":
        for clip_id, record in opened.records(opened.ids):
            arrays = {**record.arrays, **{key: np.array(value) for key, value in record.attributes.items()}}
            yield from ((f"{clip_id}/{name}", array) for name, array in sorted(arrays.items()))
    else:
        yield from ((name, opened.read(opened.ids, name)) for name in sorted(opened.sample()))


def _write_parquet(target: Path, opened: stores.Store) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not opened.ids:
        raise UserError(f"{opened.path} has no clip to export.")
    about = {"kind": opened.kind, "settings": hdf5.canonical(opened.settings)}
    writer = None
    with atomic_write(target) as partial:
        try:
            for ids in stores.by_shard(opened.ids, opened.kind):
                if not ids:
                    continue
                rows = _motion_columns(opened, ids) if opened.kind == "motion" else _columns(opened, ids)
                table = pa.table(rows).replace_schema_metadata(about)
                writer = writer or pq.ParquetWriter(partial, table.schema)
                writer.write_table(table)
        finally:
            if writer:
                writer.close()


def _columns(opened: stores.Store, ids: list[str]) -> dict[str, Any]:
    """One shard's rows: a list of fixed length, or a plain value, for each array."""
    import pyarrow as pa

    columns: dict[str, Any] = {"id": pa.array(ids)}
    for name in sorted(opened.sample()):
        array = opened.read(ids, name)
        flat = pa.array(array.reshape(-1).tolist() if array.dtype.kind == "U" else array.reshape(-1))
        length = int(np.prod(array.shape[1:]))
        columns[name] = flat if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, length)
    return columns


def _motion_columns(opened: stores.Store, ids: list[str]) -> dict[str, Any]:
    """One shard's clips: lists of any length with their shapes, and the attributes."""
    import pyarrow as pa

    records = dict(opened.records(ids))
    first = records[ids[0]]
    columns: dict[str, Any] = {"id": pa.array(ids)}
    for name in sorted(first.arrays):
        arrays = [records[clip_id].arrays[name] for clip_id in ids]
        ends = np.cumsum([0, *(array.size for array in arrays)])
        flat = np.concatenate([array.reshape(-1) for array in arrays])
        columns[name] = pa.LargeListArray.from_arrays(ends, pa.array(flat))
        columns[f"{name}_shape"] = pa.array([list(array.shape) for array in arrays])
    for name in sorted(first.attributes):
        columns[name] = pa.array([records[clip_id].attributes[name] for clip_id in ids])
    return columns
