"""One file of a store: the clips of one shard, written in one go in order of id, and checked when read.

Equal content gives equal bytes, and files are replaced, never modified. Each clip has a fingerprint of everything that
decides its values, so that only new or changed clips are computed.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite.errors import Failure, UserError
from mocliplite.store import hdf5, schema
from mocliplite.store.hdf5 import NO_PROVENANCE, Arrays, Settings

ComputeRecords = Callable[[list[str]], "dict[str, Record | Failure]"]  # results by id
FrameSelector = Callable[[np.ndarray], Sequence[int] | np.ndarray]  # frame types uint8 [T] -> K frame indices


@dataclass(frozen=True)
class Record:
    """The data of one clip: arrays, and for motion also attributes of the clip."""

    arrays: Arrays
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Shard:
    """The clips of one shard in memory, by id."""

    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


def fingerprint(content: str, settings: Settings) -> str:
    """Return a hex digest of the content hash of a clip and the settings that decide its features."""
    return hashlib.sha256(hdf5.canonical_json([content, settings]).encode()).hexdigest()[:32]


def ids_to_compute(
    path: Path, kind: str, settings: Settings, fingerprints: Mapping[str, str], retry_failed: bool = False
) -> list[str]:
    """Return the ids that update_shard will compute, sorted."""
    old = _read_reusable(path, kind, settings) if path.exists() else None
    return _to_compute(old or Shard(), fingerprints, retry_failed)


def update_shard(
    path: Path,
    kind: str,
    settings: Settings,
    fingerprints: Mapping[str, str],
    compute_records: ComputeRecords,
    retry_failed: bool = False,
    provenance: Settings = NO_PROVENANCE,
) -> tuple[int, int]:
    """Update one shard to the clips in fingerprints (by id). Returns the numbers of computed and of failed clips.

    compute_records is called with the sorted ids of clips that are new, that have another fingerprint, or that failed
    because of the machine; with retry_failed, of all clips that failed. Clips that are not in fingerprints are removed.
    A shard that is up to date is not written. Another provenance rewrites the shard and computes nothing.
    """
    old = _read_reusable(path, kind, settings) if path.exists() else None
    current = old or Shard()
    to_compute = _to_compute(current, fingerprints, retry_failed)
    old_results = current.records | current.failures
    results = {clip_id: old_results[clip_id] for clip_id in fingerprints.keys() - set(to_compute)}
    results |= compute_records(to_compute) if to_compute else {}
    records = {clip_id: result for clip_id, result in results.items() if isinstance(result, Record)}
    failures = {clip_id: result for clip_id, result in results.items() if isinstance(result, Failure)}
    new = Shard(records, failures, dict(fingerprints), dict(provenance))
    if old is None or (old.fingerprints, old.failures, old.provenance) != (fingerprints, failures, provenance):
        write_shard(path, kind, settings, new)
    return len(to_compute), len(failures)


def _to_compute(current: Shard, fingerprints: Mapping[str, str], retry_failed: bool) -> list[str]:
    changed = {clip_id for clip_id in fingerprints if current.fingerprints.get(clip_id) != fingerprints[clip_id]}
    to_retry = {clip_id for clip_id, failure in current.failures.items() if failure.retry or retry_failed}
    return sorted(changed | to_retry & fingerprints.keys())


def write_shard(path: Path, kind: str, settings: Settings, shard: Shard) -> None:
    """Write one shard: for motion one group per clip, otherwise one array per name where row i is clip ids[i].

    Raises ValueError unless every clip in shard.fingerprints has a record or a failure, and UserError if the file
    cannot be written.
    """
    if shard.records.keys() | shard.failures.keys() != shard.fingerprints.keys():
        raise ValueError(f"{path}: records, failures and fingerprints disagree")
    with hdf5.create_file(path, kind, settings, shard.provenance) as file:
        _write_index(file, shard)
        if kind == "motion":
            _write_motion(file, shard.records)
        elif shard.records:
            records = [shard.records[clip_id] for clip_id in sorted(shard.records)]
            names = records[0].arrays
            hdf5.write_arrays(file, {name: np.stack([record.arrays[name] for record in records]) for name in names})


def _write_index(file: hdf5.Group, shard: Shard) -> None:
    ids, failed = sorted(shard.records), sorted(shard.failures)
    hdf5.write_array(file, "ids", ids)
    hdf5.write_array(file, "fingerprint", [shard.fingerprints[clip_id] for clip_id in ids])
    group = file.create_group("failures")
    hdf5.write_array(group, "ids", failed)
    hdf5.write_array(group, "reason", [shard.failures[clip_id].reason for clip_id in failed])
    hdf5.write_array(group, "retry", np.array([shard.failures[clip_id].retry for clip_id in failed], dtype=np.uint8))
    hdf5.write_array(group, "fingerprint", [shard.fingerprints[clip_id] for clip_id in failed])


def _write_motion(file: hdf5.Group, records: Mapping[str, Record]) -> None:
    ids = sorted(records)
    lengths = [len(records[clip_id].arrays["kind"]) for clip_id in ids]
    sizes = [[records[clip_id].attributes[edge] for edge in ("height", "width")] for clip_id in ids]
    hdf5.write_array(file, "frames", np.array(lengths, dtype=np.int64))
    hdf5.write_array(file, "size", np.array(sizes, dtype=np.int64).reshape(-1, 2))
    for clip_id in ids:
        group = file.create_group(clip_id)
        hdf5.write_attributes(group, records[clip_id].attributes)
        hdf5.write_arrays(group, records[clip_id].arrays)


def _read_reusable(path: Path, kind: str, settings: Settings) -> Shard | None:
    """Return a shard, or None if it is of another schema or kind or was computed with other settings."""
    with hdf5.open_any_file(path) as file:
        if hdf5.read_schema(file) != hdf5.SCHEMA:
            return None
        attributes = hdf5.read_attributes(file)
        if attributes != hdf5.file_attributes(kind, settings, {}) | {"provenance": attributes.get("provenance")}:
            return None
        ids, failures, fingerprints = read_index(file)
        if kind == "motion":
            records = {clip_id: read_record(file, clip_id) for clip_id in ids}
        else:
            columns = {name: read_column(file, kind, name, len(ids)) for name in column_names(file)}
            records = {key: Record({name: columns[name][row] for name in columns}) for row, key in enumerate(ids)}
        return Shard(records, failures, fingerprints, hdf5.read_provenance(file))


def read_index(file: hdf5.Group) -> tuple[list[str], dict[str, Failure], dict[str, str]]:
    """Return the ids of a shard, its failures by id, and the fingerprints of both by id."""
    group = hdf5.read_group(file, "failures")
    ids, failed = _read_texts(file, "ids"), _read_texts(group, "ids")
    fingerprints = _read_texts(file, "fingerprint") + _read_texts(group, "fingerprint")
    reasons, retries = _read_texts(group, "reason"), hdf5.read_array(group, "retry", "uint8", None).tolist()
    failures = [Failure(reason, bool(retry)) for reason, retry in zip(reasons, retries, strict=True)]
    return ids, dict(zip(failed, failures, strict=True)), dict(zip(ids + failed, fingerprints, strict=True))


def _read_texts(group: hdf5.Group, name: str) -> list[str]:
    return hdf5.read_array(group, name, "U", None).tolist()


def read_lengths_and_sizes(file: hdf5.Group, clips: int) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the number of frames, and (height, width) in pixels, of each clip of a motion shard."""
    sizes = hdf5.read_array(file, "size", "int64", clips, 2).tolist()
    return hdf5.read_array(file, "frames", "int64", clips).tolist(), [(height, width) for height, width in sizes]


def column_names(file: hdf5.Group) -> list[str]:
    """Return the names of the clip arrays of a shard that is not of motion."""
    return sorted(set(file) - schema.INDEX)


def read_column(file: hdf5.Group, kind: str, name: str, clips: int) -> np.ndarray:
    """Return one array of all clips of a shard that is not of motion, in order of id."""
    return _read_array(file, kind, name, clips)


def read_record(file: hdf5.Group, clip_id: str) -> Record:
    """Return one motion clip."""
    group = hdf5.read_group(file, clip_id)
    return Record({name: _read_array(group, "motion", name) for name in group}, hdf5.read_attributes(group))


def read_frame_types(file: hdf5.Group, clip_id: str) -> np.ndarray:
    """Return the frame types of a motion clip, uint8 [T]."""
    return _read_array(hdf5.read_group(file, clip_id), "motion", "kind")


def read_record_frames(file: hdf5.Group, clip_id: str, frames: Sequence[int] | np.ndarray) -> Record:
    """Return one motion clip with the vectors of these frames only."""
    group = hdf5.read_group(file, clip_id)
    arrays = {name: _read_array(group, "motion", name) for name in group if name != "vectors"}
    return Record({**arrays, "vectors": hdf5.read_rows(group, "vectors", frames)}, hdf5.read_attributes(group))


def _read_array(group: hdf5.Group, kind: str, name: str, *leading: int) -> np.ndarray:
    """Return an array, checked against its shape in the schema after the leading lengths.

    The shape of an array that is not in the schema is checked for its leading lengths only.
    """
    declared = schema.ARRAYS[kind].get(name)
    if declared is None:
        return hdf5.read_array(group, name, None, *leading)
    lengths = (length if isinstance(length, int) else None for length in declared.shape)
    return hdf5.read_array(group, name, declared.dtype, *leading, *lengths)


def find_damage(path: Path, file: hdf5.Group, kind: str) -> Iterator[str]:
    """Read all of an open shard and yield one sentence per damaged clip.

    Raises ValueError, or the exceptions of HDF5, for damage that does not concern a single clip.
    """
    ids, failures, _ = read_index(file)
    if any(names != sorted(set(names)) for names in (ids, list(failures))) or set(ids) & failures.keys():
        raise ValueError("its clips are out of order or duplicated")
    expected = schema.INDEX | (schema.MOTION_LISTS | set(ids) if kind == "motion" else set(column_names(file)))
    if set(file) != expected:
        raise ValueError(f"{sorted(set(file) ^ expected)[0]} is missing or does not belong to any clip")
    yield from _find_damaged_motion(path, file, ids) if kind == "motion" else _find_damaged_rows(path, file, kind, ids)


def _find_damaged_motion(path: Path, file: hdf5.Group, ids: list[str]) -> Iterator[str]:
    lengths, sizes = read_lengths_and_sizes(file, len(ids))
    for clip_id, length, size in zip(ids, lengths, sizes, strict=True):
        try:
            with hdf5.read_errors_mean_damage(f"{path}: clip {clip_id}"):
                record = read_record(file, clip_id)
                if {len(array) for array in record.arrays.values()} != {length}:
                    raise ValueError(f"not all of its arrays have {length} frames")
                if (record.attributes["height"], record.attributes["width"]) != size:
                    raise ValueError("its attributes and `size` disagree")
        except UserError as error:
            yield str(error)


def _find_damaged_rows(path: Path, file: hdf5.Group, kind: str, ids: list[str]) -> Iterator[str]:
    for name in column_names(file):
        try:
            read_column(file, kind, name, len(ids))
        except OSError:
            for row in hdf5.unreadable_rows(file, name):
                yield f"{path}: clip {ids[row]} is damaged ({name}); restore it with `dvc checkout -f` or delete it."
