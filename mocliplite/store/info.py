"""What a store is, for people: kind, clips, dimensions, settings, who made it, size and failures."""

from collections import Counter
from pathlib import Path

import numpy as np

from mocliplite.store import hdf5, schema, stores


def describe(path: str | Path) -> str:
    """The description of a store. Raises UserError where there is none."""
    opened = stores.open_store(path)
    counts = [f"{len(opened.ids)} clips", f"{len(opened.failures)} failures"]
    if opened.lengths:
        counts.insert(1, f"{sum(opened.lengths.values())} frames")
    on_disk = sum(file.stat().st_size for file in Path(path).iterdir())
    rows = [
        ("kind", opened.kind),
        ("holds", ", ".join(counts)),
        *(("array", line) for line in _arrays(opened)),
        *(("frame size", f"{width}x{height}: {count} clips") for (height, width), count in _sizes(opened)),
        ("on disk", f"{on_disk / 1e6:.1f} MB in {len(list(Path(path).glob('*.h5')))} shards"),
        ("made by", f"python -m {schema.STAGES[opened.kind]}"),
        ("settings", hdf5.canonical(opened.settings)),
        *(("failure", f"{clip_id}: {failure}") for clip_id, failure in sorted(opened.failures.items())),
    ]
    return "\n".join([str(path), *(f"  {name:10}  {value}" for name, value in rows)])


def _arrays(opened: stores.Store) -> list[str]:
    """Name, type and shape of each array of the first clip."""
    return [f"{name} {_type(array)} {list(array.shape)}" for name, array in opened.sample().items()]


def _type(array: np.ndarray) -> str:
    return "text" if array.dtype.kind == "U" else array.dtype.name


def _sizes(opened: stores.Store) -> list[tuple[tuple[int, int], int]]:
    return Counter(opened.sizes.values()).most_common(5)
