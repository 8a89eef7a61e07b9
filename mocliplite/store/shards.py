"""One file of a store: the clips of one shard, written whole and in order of id, and checked when read.

Equal content gives equal bytes, and no file is ever modified. Each clip carries a fingerprint of what decided its
values, so that only new or changed clips are computed.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite.errors import Failure, UserError
from mocliplite.store import hdf5, schema
from mocliplite.store.hdf5 import Arrays, Settings

Compute = Callable[[list[str]], "dict[str, Record | Failure]"]  # by id
FrameSelector = Callable[[np.ndarray], Sequence[int] | np.ndarray]  # indices of frames, from the kinds of all


@dataclass(frozen=True)
class Record:
    """What a store keeps of one clip: arrays, and for motion also attributes of the clip."""

    arrays: Arrays
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Shard:
    """One shard's clips in memory, by id."""

    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)


def fingerprint(content: str, settings: Settings) -> str:
    """Hex digest of a source's content hash and the settings that decide its features."""
    return hashlib.sha256(hdf5.canonical([content, settings]).encode()).hexdigest()[:32]


def update_shard(
    path: Path,
    kind: str,
    settings: Settings,
    wanted: Mapping[str, str],
    compute: Compute,
    retry_failed: bool = False,
) -> tuple[int, int]:
    """Bring one shard to the wanted clips (id -> fingerprint); returns how many were computed, and how many failed.

    `compute` gets, in order, the ids that are new or changed, whose failure was the machine's, or, with retry_failed,
    that failed for any reason. Clips no longer wanted go. A shard as wanted is not touched.
    """
    old = _reusable(path, kind, settings) if path.exists() else None
    known = old or Shard()
    again = {clip_id for clip_id, failure in known.failures.items() if failure.retry or retry_failed}
    new = {clip_id for clip_id in wanted if known.fingerprints.get(clip_id) != wanted[clip_id]}
    missing = sorted(new | again & wanted.keys())
    held = known.records | known.failures
    results = {clip_id: held[clip_id] for clip_id in wanted.keys() - set(missing)}
    results |= compute(missing) if missing else {}
    records = {clip_id: result for clip_id, result in results.items() if isinstance(result, Record)}
    failures = {clip_id: result for clip_id, result in results.items() if isinstance(result, Failure)}
    if old is None or old.fingerprints != wanted or old.failures != failures:
        write_shard(path, kind, settings, Shard(records, failures, dict(wanted)))
    return len(missing), len(failures)


def write_shard(path: Path, kind: str, settings: Settings, shard: Shard) -> None:
    """Replace one shard: one group a motion clip, else one array a name, row i of clip ids[i].

    Raises ValueError unless every clip of `fingerprints` has a record or a failure, and UserError where the file
    cannot be written.
    """
    if shard.records.keys() | shard.failures.keys() != shard.fingerprints.keys():
        raise ValueError(f"{path}: records, failures and fingerprints disagree")
    ids, failed = sorted(shard.records), sorted(shard.failures)
    records = [shard.records[clip_id] for clip_id in ids]
    with hdf5.create(path, kind, settings) as file:
        hdf5.put(file, "ids", ids)
        hdf5.put(file, "fingerprint", [shard.fingerprints[clip_id] for clip_id in ids])
        why = file.create_group("failures")
        hdf5.put(why, "ids", failed)
        hdf5.put(why, "reason", [shard.failures[clip_id].reason for clip_id in failed])
        hdf5.put(why, "retry", np.array([shard.failures[clip_id].retry for clip_id in failed], dtype=np.uint8))
        hdf5.put(why, "fingerprint", [shard.fingerprints[clip_id] for clip_id in failed])
        if kind == "motion":
            sizes = [(record.attributes["height"], record.attributes["width"]) for record in records]
            hdf5.put(file, "frames", np.array([len(record.arrays["kind"]) for record in records], dtype=np.int64))
            hdf5.put(file, "size", np.array(sizes, dtype=np.int64).reshape(-1, 2))
            for clip_id, record in zip(ids, records, strict=True):
                group = file.create_group(clip_id)
                group.attrs.update(sorted(record.attributes.items()))
                hdf5.put_arrays(group, record.arrays)
        elif records:
            columns = {name: np.stack([record.arrays[name] for record in records]) for name in records[0].arrays}
            hdf5.put_arrays(file, columns)


# What every shard has; of rows, the others are arrays of the clips, and of motion these and the clips' groups.
_COMMON = {"ids", "fingerprint", "failures"}
_LISTS = {"frames", "size"}


def _reusable(path: Path, kind: str, settings: Settings) -> Shard | None:
    """What a shard holds; None where it is of another layout or kind, or was made with other settings."""
    with hdf5.reading(path) as file:
        if dict(file.attrs) != hdf5.head(kind, settings):
            return None
        ids, failures, prints = index(file)
        if kind == "motion":
            records = {clip_id: record(file, clip_id) for clip_id in ids}
        else:
            columns = {name: column(file, kind, name, len(ids)) for name in columns_of(file)}
            records = {key: Record({name: columns[name][row] for name in columns}) for row, key in enumerate(ids)}
        return Shard(records, failures, prints)


def index(file: hdf5.Group) -> tuple[list[str], dict[str, Failure], dict[str, str]]:
    """A shard's ids, its failures and the fingerprints of both."""
    ids, why = hdf5.get(file, "ids", "U", None).tolist(), hdf5.group_of(file, "failures")
    failed = hdf5.get(why, "ids", "U", None).tolist()
    prints = [*hdf5.get(file, "fingerprint", "U", None).tolist(), *hdf5.get(why, "fingerprint", "U", None).tolist()]
    reasons, retries = hdf5.get(why, "reason", "U", None).tolist(), hdf5.get(why, "retry", "uint8", None).tolist()
    failures = [Failure(reason, bool(retry)) for reason, retry in zip(reasons, retries, strict=True)]
    return ids, dict(zip(failed, failures, strict=True)), dict(zip(ids + failed, prints, strict=True))


def lengths_and_sizes(file: hdf5.Group, clips: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Frames, and (height, width) in pixels, of each clip of a motion shard."""
    sizes = hdf5.get(file, "size", "int64", clips, 2).tolist()
    return hdf5.get(file, "frames", "int64", clips).tolist(), [(height, width) for height, width in sizes]


def columns_of(file: hdf5.Group) -> list[str]:
    """Names of the arrays of clips in a shard of rows."""
    return sorted(set(file) - _COMMON)


def column(file: hdf5.Group, kind: str, name: str, clips: int) -> np.ndarray:
    """One array of all clips of a shard of rows."""
    return _array(file, kind, name, clips)


def record(file: hdf5.Group, clip_id: str) -> Record:
    """One motion clip, whole."""
    group = hdf5.group_of(file, clip_id)
    return Record({name: _array(group, "motion", name) for name in group}, _attributes(group))


def kinds(file: hdf5.Group, clip_id: str) -> np.ndarray:
    """The kind of each frame of a motion clip, uint8 [T]."""
    return _array(hdf5.group_of(file, clip_id), "motion", "kind")


def some_frames(file: hdf5.Group, clip_id: str, rows: Sequence[int] | np.ndarray) -> Record:
    """One motion clip with the vectors of some frames alone."""
    group = hdf5.group_of(file, clip_id)
    arrays = {name: _array(group, "motion", name) for name in group if name != "vectors"}
    return Record({**arrays, "vectors": hdf5.get_rows(group, "vectors", rows)}, _attributes(group))


def _attributes(group: hdf5.Group) -> dict[str, Any]:
    return {key: np.asarray(value).item() for key, value in group.attrs.items()}


def _array(group: hdf5.Group, kind: str, name: str, *first: int) -> np.ndarray:
    """An array as the layout says it is, `first` before its own shape; of others only the type is checked."""
    wanted = schema.ARRAYS[kind].get(name)
    if wanted is None:
        return hdf5.get(group, name, None, *first)
    lengths = (length if isinstance(length, int) else None for length in wanted.shape)
    return hdf5.get(group, name, wanted.dtype, *first, *lengths)


def damages(path: Path, file: hdf5.Group, kind: str) -> Iterator[str]:
    """Read all of an opened shard; a sentence for each clip that is damaged.

    Raises ValueError, or what HDF5 raises, where it is not one clip's fault.
    """
    ids, failures, _ = index(file)
    if any(names != sorted(set(names)) for names in (ids, list(failures))) or set(ids) & failures.keys():
        raise ValueError("its clips are not in order, or twice in it")
    known = _COMMON | (_LISTS | set(ids) if kind == "motion" else set(columns_of(file)))
    if set(file) != known:
        raise ValueError(f"it lacks or has beside its clips {sorted(set(file) ^ known)[0]}")
    yield from _damaged_motion(path, file, ids) if kind == "motion" else _damaged_rows(path, file, kind, ids)


def _damaged_motion(path: Path, file: hdf5.Group, ids: list[str]) -> Iterator[str]:
    lengths, sizes = lengths_and_sizes(file, len(ids))
    for clip_id, length, size in zip(ids, lengths, sizes, strict=True):
        try:
            with hdf5.read_errors_mean_damage(f"{path}: clip {clip_id}"):
                clip = record(file, clip_id)
                if {len(array) for array in clip.arrays.values()} != {length}:
                    raise ValueError(f"its arrays are not all of {length} frames")
                if (clip.attributes["height"], clip.attributes["width"]) != size:
                    raise ValueError("its attributes and `size` disagree")
        except UserError as error:
            yield str(error)


def _damaged_rows(path: Path, file: hdf5.Group, kind: str, ids: list[str]) -> Iterator[str]:
    for name in columns_of(file):
        try:
            column(file, kind, name, len(ids))
        except OSError:
            for row in hdf5.unreadable_rows(file, name):
                yield f"{path}: clip {ids[row]} is damaged ({name}); restore it with `dvc checkout` or delete it."
