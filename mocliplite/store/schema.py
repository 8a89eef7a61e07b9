"""The arrays of each kind of store. Files are checked against these definitions, and README.md is written from them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Members of every shard, and of every motion shard. The names of all others are those of clips or of their arrays.
INDEX = frozenset({"ids", "fingerprint", "failures"})
MOTION_LISTS = frozenset({"frames", "size"})
# The fewest files. Motion is three orders of magnitude larger, and one new clip should not rewrite a large file.
SHARDS = {"motion": 64, "keyframes": 16, "motion_embeddings": 16}


@dataclass(frozen=True)
class Array:
    """One array of a clip. dtype is a numpy name, "U" for text; capital letters in shape stand for any length."""

    dtype: str
    shape: tuple[int | str, ...]
    meaning: str


# Shapes per clip. T is the number of frames. Stores other than motion have a leading axis N, the clips of a shard.
ARRAYS = {
    "motion": {
        "vectors": Array(
            "int8",
            ("T", "rows", "cols", 2),
            "motion (x, y) of the content of each cell, in quarter pixels per frame interval, positive right and down; "
            "-128: no vector",
        ),
        "kind": Array("uint8", ("T",), "frame type: 0 I, 1 P, 2 B, 3 missing (vectors expected, but none found)"),
        "time": Array("float64", ("T",), "time of each frame, in seconds"),
    },
    "keyframes": {
        "embedding": Array("float32", ("F", "D"), "image embedding of each keyframe, not normalised"),
        "frame": Array("int64", ("F",), "index of the keyframe in the clip, from 0"),
        "time": Array("float64", ("F",), "time of the keyframe, in seconds"),
        "source": Array("U", (), "SHA-256 of the video file"),
    },
    "motion_embeddings": {
        "embedding": Array(
            "float32", ("K", "D"), "pooled features of the motion network, one row per view, plain first"
        ),
        "logits": Array("float32", ("C",), "logits of the motion network, mean over views"),
        "frames": Array("int64", (), "number of frames of the clip"),
    },
}
STAGES = {"motion": "motion", "keyframes": "keyframes", "motion_embeddings": "embed_motion"}
_TITLES = {
    "motion": "Motion fields from the motion vectors of a video codec",
    "keyframes": "Keyframe embeddings from a frozen image encoder",
    "motion_embeddings": "Motion embeddings from a trained motion network",
}
_ATTRIBUTES = """\
Attributes of the group: `fps`, `width`, `height` (pixels), `codec`, `clipped` (number of components clipped to +-127),
`damaged` (fraction of frames that do not decode completely), `reencoded` (whether the clip was re-encoded before its
vectors were read), `interlaced` (whether frames are coded as two fields), `pixel_aspect` (width of a pixel divided by
its height), `source` (SHA-256 of the video file). Next to the groups, `frames` int64 [N] and `size` int64 [N, 2]
(height, width in pixels) describe each clip without reading it.

"""
_MOTION_EXAMPLE = """for path in sorted(glob.glob("*.h5")):
    with h5py.File(path) as file:
        for clip in file["ids"].asstr():
            vectors, kind = file[clip]["vectors"][:], file[clip]["kind"][:]
            print(clip, vectors.shape, dict(file[clip].attrs))"""
_ROWS_EXAMPLE = """for path in sorted(glob.glob("*.h5")):
    with h5py.File(path) as file:
        if len(file["ids"]):
            for clip, row in zip(file["ids"].asstr(), file["embedding"][:]):
                print(clip, row.shape)"""
_README = """# {title}

{shards} HDF5 files. A hash of the clip id determines the file of a clip. Each file has `ids` (text [N], sorted),
`fingerprint` (hash of the clip content and the settings), and the group `failures` with the clips that could not be
used: `ids`, `reason`, `retry` (1: caused by the machine, tried again by the next run), `fingerprint`. `failures.csv`
lists the failures of all files.

Arrays of each clip, {location}:

| name | type | meaning |
|---|---|---|
{rows}

{attributes}To read the store with h5py, in this folder:

```python
import glob
import h5py

{example}
```

The settings that decided the values, as in the attribute `settings` of every file:

```json
{settings}
```
"""


def readme(kind: str, settings: Mapping[str, Any], shards: int) -> str:
    """Return the text of README.md, for readers with only h5py. It names no clip, so a new clip does not change it."""
    motion = kind == "motion"
    return _README.format(
        title=_TITLES[kind],
        shards=shards,
        location="in a group named after its id" if motion else "where row i is clip `ids[i]`",
        rows="\n".join(_row(name, array, () if motion else ("N",)) for name, array in ARRAYS[kind].items()),
        attributes=_ATTRIBUTES if motion else "",
        example=_MOTION_EXAMPLE if motion else _ROWS_EXAMPLE,
        settings=json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False),
    )


def _row(name: str, array: Array, leading: tuple[str, ...]) -> str:
    dtype = "text" if array.dtype == "U" else array.dtype
    return f"| `{name}` | {dtype} [{', '.join(map(str, leading + array.shape))}] | {array.meaning} |"
