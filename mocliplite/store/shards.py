"""One file of a store: the clips of one shard, in order of id, and checked when read.

Equal content gives equal bytes. A file is written clip by clip, from memory or from other files of the same kind.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite.errors import Failure
from mocliplite.store import hdf5, schema
from mocliplite.store.attributes import read_attributes, read_provenance, read_schema, write_attributes
from mocliplite.store.hdf5 import Arrays, Settings

FrameSelector = Callable[[np.ndarray], Sequence[int] | np.ndarray]  # frame types uint8 [T] -> K frame indices


@dataclass(frozen=True)
class Record:
    """The data of one clip: arrays, and for motion also attributes of the clip."""

    arrays: Arrays
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Shard:
    """The clips of one shard, by id. A path is that of the file of the same kind that has the record of the clip."""

    records: Mapping[str, Record | Path] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)


class SourceGoneError(Exception):
    """The file of a record does not exist any more. No OSError, which would mean that the shard cannot be written."""


def fingerprint(content: str, settings: Settings) -> str:
    """Return a hex digest of the content hash of a clip and the settings that decide its features."""
    return hashlib.sha256(hdf5.canonical_json([content, settings]).encode()).hexdigest()[:32]


def write_shard(path: Path, kind: str, settings: Settings, shard: Shard) -> None:
    """Write one shard: for motion one group per clip, otherwise one array per name where row i is clip ids[i].

    Raises ValueError unless every clip in shard.fingerprints has a record or a failure, UserError if the file cannot be
    written, and SourceGoneError if the file of a record does not exist.
    """
    if shard.records.keys() | shard.failures.keys() != shard.fingerprints.keys():
        raise ValueError(f"{path}: records, failures and fingerprints disagree")
    with hdf5.create_file(path, kind, settings, shard.provenance) as file:
        _write_index(file, shard)
        if kind == "motion":
            _write_motion(file, shard.records)
        elif shard.records:
            _write_columns(file, kind, shard.records)


@contextmanager
def _open_source(path: Path) -> Iterator[hdf5.Group]:
    """Yield a file that has records of a shard. Raises SourceGoneError if it does not exist."""
    if not path.is_file():
        raise SourceGoneError(path)
    with hdf5.read_errors_mean_damage(path), hdf5.open_unchecked(path) as file:
        yield file


def _write_index(file: hdf5.Group, shard: Shard) -> None:
    ids, failed = sorted(shard.records), sorted(shard.failures)
    hdf5.write_array(file, "ids", ids)
    hdf5.write_array(file, "fingerprint", [shard.fingerprints[clip_id] for clip_id in ids])
    group = file.create_group("failures")
    hdf5.write_array(group, "ids", failed)
    hdf5.write_array(group, "reason", [shard.failures[clip_id].reason for clip_id in failed])
    hdf5.write_array(group, "retry", np.array([shard.failures[clip_id].retry for clip_id in failed], dtype=np.uint8))
    hdf5.write_array(group, "fingerprint", [shard.fingerprints[clip_id] for clip_id in failed])


def _write_motion(file: hdf5.Group, records: Mapping[str, Record | Path]) -> None:
    described: dict[Path, dict[str, tuple[int, tuple[int, int]]]] = {}
    for path in _sources(records):
        with _open_source(path) as source:
            ids = read_index(source)[0]
            described[path] = dict(zip(ids, zip(*read_lengths_and_sizes(source, len(ids)), strict=True), strict=True))
    lengths, sizes = [], []
    for clip_id, record in sorted(records.items()):
        length, size = described[record][clip_id] if isinstance(record, Path) else _length_and_size(record)
        lengths.append(length)
        sizes.append(size)
    hdf5.write_array(file, "frames", np.array(lengths, dtype=np.int64))
    hdf5.write_array(file, "size", np.array(sizes, dtype=np.int64).reshape(-1, 2))
    for clip_id, record in _read_motion(records):
        group = file.create_group(clip_id)
        write_attributes(group, record.attributes)
        hdf5.write_arrays(group, record.arrays)


def _sources(records: Mapping[str, Record | Path]) -> list[Path]:
    """Return the files that have some of these records."""
    return sorted({record for record in records.values() if isinstance(record, Path)})


def _read_motion(records: Mapping[str, Record | Path]) -> Iterator[tuple[str, Record]]:
    """Yield the motion clips in order of id. One file is open at a time: an open one needs megabytes."""
    for source, group in groupby(sorted(records.items()), lambda item: item[1] if isinstance(item[1], Path) else None):
        with nullcontext() if source is None else _open_source(source) as file:
            for clip_id, record in group:
                yield clip_id, record if isinstance(record, Record) else read_record(file, clip_id)


def _length_and_size(record: Record) -> tuple[int, tuple[int, int]]:
    """Return the number of frames of a motion clip, and (height, width) in pixels."""
    return len(record.arrays["kind"]), (record.attributes["height"], record.attributes["width"])


def _write_columns(file: hdf5.Group, kind: str, records: Mapping[str, Record | Path]) -> None:
    in_files: dict[Path, dict[str, Record]] = {}
    for path in _sources(records):
        with _open_source(path) as source:
            in_files[path] = _read_rows(source, kind)
    rows = [found if isinstance(found, Record) else in_files[found][key] for key, found in sorted(records.items())]
    hdf5.write_arrays(file, {name: np.stack([row.arrays[name] for row in rows]) for name in rows[0].arrays})


def _read_rows(file: hdf5.Group, kind: str) -> dict[str, Record]:
    """Return the records of a shard that is not of motion."""
    ids = read_index(file)[0]
    columns = {name: read_column(file, kind, name, len(ids)) for name in column_names(file)}
    return {key: Record({name: columns[name][row] for name in columns}) for row, key in enumerate(ids)}


def read_reusable(path: Path, kind: str, settings: Settings) -> Shard | None:
    """Return the content of a shard, None if it is of another schema or kind or was computed with other settings.

    The records stay in the file.
    """
    with hdf5.open_any_file(path) as file:
        if read_schema(file) != hdf5.SCHEMA:
            return None
        attributes = read_attributes(file)
        if attributes != hdf5.file_attributes(kind, settings, {}) | {"provenance": attributes.get("provenance")}:
            return None
        ids, failures, fingerprints = read_index(file)
        return Shard(dict.fromkeys(ids, path), failures, fingerprints, read_provenance(file))


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
    return sorted(set(hdf5.names(file)) - schema.INDEX)


def read_column(file: hdf5.Group, kind: str, name: str, clips: int) -> np.ndarray:
    """Return one array of all clips of a shard that is not of motion, in order of id."""
    return _read_array(file, kind, name, clips)


def read_record(file: hdf5.Group, clip_id: str) -> Record:
    """Return one motion clip."""
    group = hdf5.read_group(file, clip_id)
    return Record({name: _read_array(group, "motion", name) for name in hdf5.names(group)}, read_attributes(group))


def read_frame_types(file: hdf5.Group, clip_id: str) -> np.ndarray:
    """Return the frame types of a motion clip, uint8 [T]."""
    return _read_array(hdf5.read_group(file, clip_id), "motion", "kind")


def read_record_frames(file: hdf5.Group, clip_id: str, frames: Sequence[int] | np.ndarray) -> Record:
    """Return one motion clip with the vectors of these frames only."""
    group = hdf5.read_group(file, clip_id)
    arrays = {name: _read_array(group, "motion", name) for name in hdf5.names(group) if name != "vectors"}
    return Record({**arrays, "vectors": hdf5.read_rows(group, "vectors", frames)}, read_attributes(group))


def _read_array(group: hdf5.Group, kind: str, name: str, *leading: int) -> np.ndarray:
    """Return an array, checked against its shape in the schema after the leading lengths.

    The shape of an array that is not in the schema is checked for its leading lengths only.
    """
    declared = schema.ARRAYS[kind].get(name)
    if declared is None:
        return hdf5.read_array(group, name, None, *leading)
    lengths = (length if isinstance(length, int) else None for length in declared.shape)
    return hdf5.read_array(group, name, declared.dtype, *leading, *lengths)
