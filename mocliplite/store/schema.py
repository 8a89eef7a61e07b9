"""What each kind of store holds: one definition, by which files are checked and from which their README.md is made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Motion is three orders of magnitude larger, and a new clip should not cost a large file.
SHARDS = {"motion": 64, "keyframes": 16, "motion_embeddings": 16}


@dataclass(frozen=True)
class Array:
    """One array of a clip. dtype is numpy's name, "U" for text; a capital letter in shape stands for any length."""

    dtype: str
    shape: tuple[int | str, ...]
    what: str


# Of one clip: in a motion store T is its frames; in the others a leading N for the clips of a shard is added.
ARRAYS = {
    "motion": {
        "vectors": Array(
            "int8",
            ("T", "rows", "cols", 2),
            "motion (x, y) of the content of each cell, quarter pixels per frame interval, + right and + down; "
            "-128: no vector",
        ),
        "kind": Array("uint8", ("T",), "of each frame: 0 I, 1 P, 2 B, 3 missing (should have vectors and has none)"),
        "time": Array("float64", ("T",), "of each frame, seconds"),
    },
    "keyframes": {
        "embedding": Array("float32", ("F", "D"), "CLIP's projected image vector of each keyframe, not of unit length"),
        "frame": Array("int64", ("F",), "index of the frame in the clip, from 0"),
        "time": Array("float64", ("F",), "of the frame, seconds"),
        "source": Array("U", (), "SHA-256 of the video file"),
    },
    "motion_embeddings": {
        "embedding": Array("float32", ("K", "D"), "pooled features of the motion network, one row a view, plain first"),
        "logits": Array("float32", ("C",), "what the motion network says, the mean over views"),
        "frames": Array("int64", (), "frames of the clip"),
    },
}
STAGES = {"motion": "stages.motion", "keyframes": "stages.keyframes", "motion_embeddings": "stages.embed_motion"}
_TITLES = {
    "motion": "Motion fields, read from the motion vectors of a video codec",
    "keyframes": "Keyframes, embedded by the image tower of a frozen CLIP",
    "motion_embeddings": "Motion fields, embedded by a trained motion network",
}
_ATTRIBUTES = """\
Attributes of the group: `fps`, `width`, `height` (pixels), `codec`, `clipped` (components cut to +-127),
`damaged` (share of frames that do not decode whole), `reencoded` (whether the vectors are of the clip encoded anew),
`source` (SHA-256 of the video file). Beside the groups, `frames` int64 [N] and `size` int64 [N, 2] (height, width in
pixels) tell of each clip without reading it.

"""
_MOTION_RECIPE = """for path in sorted(glob.glob("*.h5")):
    with h5py.File(path) as file:
        for clip in file["ids"].asstr():
            vectors, kind = file[clip]["vectors"][:], file[clip]["kind"][:]
            print(clip, vectors.shape, dict(file[clip].attrs))"""
_ROWS_RECIPE = """for path in sorted(glob.glob("*.h5")):
    with h5py.File(path) as file:
        if len(file["ids"]):
            for clip, row in zip(file["ids"].asstr(), file["embedding"][:]):
                print(clip, row.shape)"""
_README = """# {title}

{shards} HDF5 files; which of them has a clip follows from a hash of its id. Each has `ids` (text [N], sorted),
`fingerprint` (of the clip's source and the settings), and under `failures` the clips that could not be used: `ids`,
`reason`, `retry` (1: the machine's fault), `fingerprint`. `failures.csv` lists those of all files.

Of each clip, {place}:

| name | type | what |
|---|---|---|
{rows}

{attributes}To read it with h5py alone, in this folder:

```python
import glob
import h5py

{recipe}
```

Settings that decided the values, as in the attribute `settings` of every file:

```json
{settings}
```
"""


def readme(kind: str, settings: Mapping[str, Any]) -> str:
    """README.md of a store, for who has nothing but h5py. It names no clip, so that a new clip does not change it."""
    motion = kind == "motion"
    return _README.format(
        title=_TITLES[kind],
        shards=SHARDS[kind],
        place="in a group named by its id" if motion else "row i is clip `ids[i]`",
        rows="\n".join(_row(name, array, () if motion else ("N",)) for name, array in ARRAYS[kind].items()),
        attributes=_ATTRIBUTES if motion else "",
        recipe=_MOTION_RECIPE if motion else _ROWS_RECIPE,
        settings=json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False),
    )


def _row(name: str, array: Array, first: tuple[str, ...]) -> str:
    dtype = "text" if array.dtype == "U" else array.dtype
    return f"| `{name}` | {dtype} [{', '.join(map(str, first + array.shape))}] | {array.what} |"
