"""Small stores, written in the same way as by the stages."""

import itertools
from pathlib import Path

import h5py
import numpy as np
from builders import sentence_of

from mocliplite.errors import Failure
from mocliplite.store import layout, schema, shards, stores, update
from mocliplite.store.attributes import write_attributes

SETTINGS = {"cell_size": 8, "views": ["plain"]}
SIZE = {"width": 64, "height": 48}
KINDS = ["motion", "keyframes", "motion_embeddings"]
IDS = [f"clip{number:02d}" for number in range(30)]


def record(kind, clip_id):
    """Return a record for a kind of store, different for every id; motion clips also differ in length."""
    rng = np.random.default_rng(list(clip_id.encode()))
    if kind == "motion":
        frames = int(rng.integers(1, 6))
        vectors = rng.integers(-128, 128, (frames, 3, 4, 2), dtype=np.int8)
        attributes = {"fps": 29.97, **SIZE, "codec": "mpeg4", "clipped": frames}
        return shards.Record({"vectors": vectors, "kind": np.arange(frames, dtype=np.uint8)}, attributes)
    arrays = {"embedding": rng.standard_normal((2, 4)).astype(np.float32), "frames": np.array(rng.integers(99))}
    return shards.Record(arrays)


def failure_of(clip_id):
    return Failure(f"{clip_id} has no frames.")


def build(folder, kind, ids=IDS, settings=SETTINGS, content="v1", failed=()):
    """Update a store as a stage does; return the ids that were computed. content decides the fingerprints."""
    computed = []

    def compute(missing):
        computed.extend(missing)
        return ((key, failure_of(key) if key in failed else record(kind, key)) for key in reversed(missing))

    ids = list(ids)
    with stores.updating(folder, kind, len(ids)):
        for path, part in layout.ids_by_path(folder, kind, ids).items():
            fingerprints = {key: shards.fingerprint(content, {}) for key in part}
            update.update_shard(path, kind, settings, fingerprints, compute)
    return computed


def values(opened, ids):
    """Return all arrays of the ids, in the order of ids, as lists."""
    if opened.kind == "motion":
        records = dict(opened.records(ids))
        return [{name: array.tolist() for name, array in records[key].arrays.items()} for key in ids]
    columns = {name: opened.read(ids, name).tolist() for name in ("embedding", "frames")}
    return [{name: columns[name][row] for name in columns} for row in range(len(ids))]


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def shard_of(clip_id, kind, folder="s"):
    """The path of the shard of a clip in a store of few clips."""
    return layout.shard_path(folder, kind, layout.shard_of(clip_id, schema.SHARDS[kind]), schema.SHARDS[kind])


def neighbour_of(clip_id, kind):
    """The id of a new clip that is in the same shard."""
    numbers = itertools.count()
    return next(key for key in map("new{}".format, numbers) if shard_of(key, kind) == shard_of(clip_id, kind))


def editing(path):
    """Return a file opened for changes in the format of stores."""
    return h5py.File(path, "r+", libver=("v110", "v110"))


def alter(path, **attributes):
    with editing(path) as file:
        write_attributes(file, attributes)


def flip(path, offset, bit=0):
    """Flip one bit of a file."""
    content = bytearray(Path(path).read_bytes())
    content[offset] ^= 1 << bit
    Path(path).write_bytes(content)


def flip_within(path, content, at=0):
    """Flip one bit of a text or array, which occurs once in the file."""
    whole = Path(path).read_bytes()
    assert whole.count(content) == 1
    flip(path, whole.index(content) + at)


def is_reported_damaged(path, call, *arguments):
    """Whether the call raises a UserError that says that path is damaged."""
    sentence = sentence_of(call, *arguments)
    advice = "); restore it with `dvc checkout -f` or delete it."
    return sentence.startswith(f"{path} is damaged (") and sentence.endswith(advice)
