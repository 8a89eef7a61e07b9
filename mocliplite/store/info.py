"""Description of a store: kind, clips, dimensions, settings, stage, size and failures."""

from collections import Counter
from pathlib import Path

import numpy as np

from mocliplite.store import hdf5, schema, stores


def describe(path: str | Path) -> str:
    """Return the description of a store. Raises UserError if there is no store at path."""
    store = stores.open_store(path)
    counts = [f"{len(store.ids)} clips", f"{len(store.failures)} failures"]
    if store.lengths:
        counts.insert(1, f"{sum(store.lengths.values())} frames")
    on_disk = sum(file.stat().st_size for file in Path(path).iterdir())
    rows = [
        ("kind", store.kind),
        ("content", ", ".join(counts)),
        *(("per clip", line) for line in _arrays(store)),
        *(("frame size", f"{width}x{height}: {count} clips") for (height, width), count in _sizes(store)),
        ("on disk", f"{on_disk / 1e6:.1f} MB in {store.shards} shards"),
        ("made by", f"stage {schema.STAGES[store.kind]}"),
        ("settings", hdf5.canonical_json(store.settings)),
        *(("failure", f"{clip_id}: {failure}") for clip_id, failure in sorted(store.failures.items())),
    ]
    return "\n".join([str(path), *(f"  {name:10}  {value}" for name, value in rows)])


def _arrays(store: stores.Store) -> list[str]:
    """Return name, type and shape of each array of a clip."""
    found = store.sample().items()
    return [f"{name} {_type(array)} {_shape(store, name, array)}".rstrip() for name, array in found]


def _shape(store: stores.Store, name: str, array: np.ndarray) -> str:
    """Return the shape of an array; of motion, the names of what differs from clip to clip, such as T for frames."""
    declared = schema.ARRAYS[store.kind][name].shape if store.kind == "motion" else array.shape
    return f"[{', '.join(map(str, declared))}]" if declared else ""


def _type(array: np.ndarray) -> str:
    return "text" if array.dtype.kind == "U" else array.dtype.name


def _sizes(store: stores.Store) -> list[tuple[tuple[int, int], int]]:
    return Counter(store.sizes.values()).most_common(5)
