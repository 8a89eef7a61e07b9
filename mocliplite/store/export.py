"""Export of a store to one .npz or .parquet file, for readers without HDF5."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite.errors import UserError
from mocliplite.files import atomic_write
from mocliplite.store import hdf5, layout, stores


def export_store(path: str | Path, to: str, out: str | Path | None = None) -> Path:
    """Write all clips of a store to one file and return its path.

    out: path of the file; by default `<name of the store>.<to>` in the working folder.

    npz: `ids`, and each array of all clips; for motion, where clips differ in length, one array `<id>/<name>` per clip;
    for keyframes, also `name`, the model. parquet: one row per clip; arrays are lists, flattened in C order, and
    `<name>_shape` accompanies arrays whose shape differs between clips; `name` is in the metadata of the schema.
    """
    if Path(path).is_file():
        raise stores.no_store(path)
    store = stores.open_store(path)
    target = Path(out or default_name(path, to))
    if to == "npz":
        _write_npz(target, store)
    else:
        _write_parquet(target, store)
    return target


def default_name(path: str | Path, to: str) -> str:
    """Return the name of the file of a store in the working folder."""
    return f"{Path(path).resolve().name}.{to}"


def _write_npz(target: Path, store: stores.Store) -> None:
    """Write the format of numpy.savez_compressed clip by clip, because a motion store does not fit into memory."""
    with atomic_write(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in _named_arrays(store):
            # ZipInfo without a date: the same store gives the same bytes.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _named_arrays(store: stores.Store) -> Iterator[tuple[str, np.ndarray]]:
    yield "ids", np.array(store.ids, dtype=str)
    yield "settings", np.array(hdf5.canonical_json(store.settings))
    if "model" in store.provenance:
        yield "name", np.array(_model_name(store))
    if store.kind == "motion":
        for clip_id, record in store.records(store.ids):
            arrays = {**record.arrays, **{key: np.array(value) for key, value in record.attributes.items()}}
            yield from ((f"{clip_id}/{name}", array) for name, array in sorted(arrays.items()))
    else:
        yield from ((name, store.read(store.ids, name)) for name in sorted(store.sample()))


def _model_name(store: stores.Store) -> str:
    """Return the name of the model of a keyframe store, with its revision."""
    model, revision = store.provenance["model"], store.provenance["revision"]
    return f"{model} {revision}" if revision else str(model)


def _write_parquet(target: Path, store: stores.Store) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not store.ids:
        raise UserError(f"{store.path} has no clips to export.")
    metadata = {"kind": store.kind, "settings": hdf5.canonical_json(store.settings)}
    if "model" in store.provenance:
        metadata["name"] = _model_name(store)
    writer = None
    # Opened here, since Arrow takes only names that are UTF-8.
    with atomic_write(target) as partial, partial.open("wb") as file:
        try:
            for ids in layout.by_shard(store.ids, store.shards):
                if not ids:
                    continue
                rows = _motion_columns(store, ids) if store.kind == "motion" else _columns(store, ids)
                table = pa.table(rows).replace_schema_metadata(metadata)
                writer = writer or pq.ParquetWriter(file, table.schema)
                writer.write_table(table)
        finally:
            if writer:
                writer.close()


def _columns(store: stores.Store, ids: list[str]) -> dict[str, Any]:
    """Return the columns of the clips of one shard: a fixed-length list or a scalar per array."""
    import pyarrow as pa

    columns: dict[str, Any] = {"id": pa.array(ids)}
    for name in sorted(store.sample()):
        array = store.read(ids, name)
        flat = pa.array(array.reshape(-1).tolist() if array.dtype.kind == "U" else array.reshape(-1))
        length = int(np.prod(array.shape[1:]))
        columns[name] = flat if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, length)
    return columns


def _motion_columns(store: stores.Store, ids: list[str]) -> dict[str, Any]:
    """Return the columns of the motion clips of one shard: variable-length lists, their shapes, and the attributes."""
    import pyarrow as pa

    records = dict(store.records(ids))
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
