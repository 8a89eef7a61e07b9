"""Feature stores in HDF5: what is computed once and shared. The only module that imports h5py.

A store is a folder of shards; a clip's shard follows from a hash of its id. A shard is written whole, in order of id,
under a partial name, and takes its place by a rename: equal content gives equal bytes, and no file is ever
modified. Each clip carries a fingerprint of what decided its values, so that only new or changed clips are computed.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from deflate import zlib_compress

from mocliplite.errors import UserError
from mocliplite.files import keep_only, replacing, undamaged, write_rows

# The layout of all files written here; a reader refuses another.
SCHEMA = 2
# Motion is three orders of magnitude larger, and a new clip should not cost a large file.
SHARDS = {"motion": 64, "keyframes": 16, "motion_embeddings": 16}
LEVEL = 3  # of compression: as fast as LZF, and half the size

Arrays = dict[str, np.ndarray]
Settings = Mapping[str, Any]
Compute = Callable[[list[str]], "dict[str, Record | Failure]"]  # by id


@dataclass(frozen=True)
class Record:
    """What a store keeps of one clip: arrays, and for motion also attributes of the clip."""

    arrays: Arrays
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Why a clip could not be used, in a sentence.

    retry: the machine failed (memory, time limit), not the clip. The next run tries it again, whereas a clip's own
    failure stays until the clip, the settings or the code change.
    """

    reason: str
    retry: bool = False

    def __str__(self) -> str:
        return self.reason


@dataclass
class Shard:
    """One shard's clips in memory, by id."""

    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A single HDF5 file: named arrays (text as numpy str), and the settings that decided them."""

    arrays: Arrays
    settings: dict[str, Any]


def fingerprint(content: str, settings: Settings) -> str:
    """Hex digest of a source's content hash and the settings that decide its features."""
    return hashlib.sha256(_json([content, settings]).encode()).hexdigest()[:32]


def shard_of(clip_id: str, shards: int) -> int:
    """The shard of a clip: the same on every machine and whatever other clips there are."""
    return int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8], "big") % shards


def by_shard(ids: Iterable[str], kind: str) -> list[list[str]]:
    """Ids sorted into the shards of a kind of store, in order of id."""
    parts: list[list[str]] = [[] for _ in range(SHARDS[kind])]
    for clip_id in sorted(ids):
        parts[shard_of(clip_id, SHARDS[kind])].append(clip_id)
    return parts


def shard_path(folder: str | Path, number: int) -> Path:
    """Where a shard lies."""
    return Path(folder, f"{number:04d}.h5")


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

    Raises ValueError unless every clip of `fingerprints` has a record or a failure.
    """
    if shard.records.keys() | shard.failures.keys() != shard.fingerprints.keys():
        raise ValueError(f"{path}: records, failures and fingerprints disagree")
    ids, failed = sorted(shard.records), sorted(shard.failures)
    records = [shard.records[clip_id] for clip_id in ids]
    with replacing(path) as partial, _create(partial, kind, settings) as file:
        _put(file, "ids", ids)
        _put(file, "fingerprint", [shard.fingerprints[clip_id] for clip_id in ids])
        _put(file, "failures/ids", failed)
        _put(file, "failures/reason", [shard.failures[clip_id].reason for clip_id in failed])
        _put(file, "failures/retry", np.array([shard.failures[clip_id].retry for clip_id in failed], dtype=np.uint8))
        _put(file, "failures/fingerprint", [shard.fingerprints[clip_id] for clip_id in failed])
        if kind == "motion":
            _put(file, "frames", np.array([len(record.arrays["kind"]) for record in records], dtype=np.int64))
            for clip_id, record in zip(ids, records, strict=True):
                group = file.create_group(clip_id)
                group.attrs.update(sorted(record.attributes.items()))
                _put_all(group, record.arrays)
        elif records:
            _put_all(file, {name: np.stack([record.arrays[name] for record in records]) for name in records[0].arrays})


def finish(folder: str | Path, kind: str) -> None:
    """Write failures.csv beside the shards, and remove what belongs to no store of today's layout."""
    keep_only(Path(folder), {shard_path(folder, number).name for number in range(SHARDS[kind])} | {"failures.csv"})
    store = open_store(folder)
    write_rows(Path(folder, "failures.csv"), ["id", "reason"], sorted(store.failures.items()))


class Store:
    """A store opened for reading: `ids` (sorted), `kind`, `settings`, `failures` (id -> Failure), `path`.

    `lengths` tells the frames of each clip of a motion store; `fingerprints` what each clip or failure was made of.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        first = shard_path(path, 0)
        if not first.is_file():
            raise UserError(f"{path} is not a feature store, or not pulled yet; run `dvc pull {path}` or `dvc repro`.")
        with _open(first) as file:
            self.kind, self.settings = str(file.attrs["kind"]), json.loads(file.attrs["settings"])
        if self.kind not in SHARDS:
            raise UserError(f"{first} holds {self.kind}, which is no sharded store.")
        self.failures: dict[str, Failure] = {}
        self.fingerprints: dict[str, str] = {}
        self.lengths: dict[str, int] = {}
        for shard in (shard_path(path, number) for number in range(SHARDS[self.kind])):
            if not shard.is_file():
                raise UserError(f"{shard} is missing; run `dvc pull {path}` or `dvc repro`.")
            with _open(shard, self.kind) as file:
                if json.loads(file.attrs["settings"]) != self.settings:
                    raise UserError(f"{shard} was made with other settings than {first}; run `dvc repro`.")
                here, failed, prints = _index(file)
                self.failures |= failed
                self.fingerprints |= prints
                if self.kind == "motion":
                    self.lengths.update(zip(here, _get(file, "frames").tolist(), strict=True))
        self.ids = sorted(self.fingerprints.keys() - self.failures.keys())

    def read(self, ids: Sequence[str], name: str = "embedding") -> np.ndarray:
        """One array of many clips, rows in the order of ids: float32 [N, K, D] for embeddings.

        Raises UserError naming a clip that the store lacks. Not for motion, whose clips differ in length.
        """
        rows: dict[int, np.ndarray] = {}
        for shard, places in self._places(ids):
            with _open(shard, self.kind) as file:
                array, at = _get(file, name), {key: row for row, key in enumerate(_get(file, "ids").tolist())}
                rows |= {place: array[at[ids[place]]] for place in places}
        return np.stack([rows[place] for place in range(len(ids))])

    def records(self, ids: Sequence[str]) -> Iterator[tuple[str, Record]]:
        """Yield (id, Record) of motion clips, shard by shard, so that each file is opened once."""
        for shard, places in self._places(ids):
            with _open(shard, self.kind) as file:
                for place in places:
                    yield ids[place], _record(file[ids[place]])

    def _places(self, ids: Sequence[str]) -> list[tuple[Path, list[int]]]:
        """The shards that hold the ids, each with the places of its own in ids."""
        unknown = sorted(set(ids) - set(self.ids))
        if unknown:
            raise UserError(f"{self.path} lacks clip {unknown[0]} ({len(unknown)} in all); run `dvc repro`.")
        places: dict[Path, list[int]] = {}
        for place, clip_id in enumerate(ids):
            places.setdefault(shard_path(self.path, shard_of(clip_id, SHARDS[self.kind])), []).append(place)
        return sorted(places.items())


def open_store(path: str | Path) -> Store:
    """Open a folder of shards for reading. Raises UserError where there is none, or it is of another schema."""
    return Store(path)


def write_table(path: str | Path, kind: str, arrays: Arrays, settings: Settings) -> None:
    """Replace one HDF5 file of named arrays; text arrays are of numpy's str."""
    with replacing(Path(path)) as partial, _create(partial, kind, settings) as file:
        _put_all(file, arrays)


def read_table(path: str | Path, kind: str) -> Table:
    """Read a file that write_table wrote. Raises UserError for another kind or schema."""
    if not Path(path).is_file():
        raise UserError(f"{path} is not here; run `dvc pull {path}` or `dvc repro`.")
    with _open(Path(path), kind) as file:
        return Table({name: _get(file, name) for name in file}, json.loads(file.attrs["settings"]))


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _head(kind: str, settings: Settings) -> dict[str, Any]:
    return {"schema": SCHEMA, "kind": kind, "settings": _json(settings)}


@contextmanager
def _create(path: Path, kind: str, settings: Settings) -> Iterator[h5py.File]:
    # Pinned, or the bytes would depend on the library. From v110 on the format's own structures have checksums.
    with h5py.File(path, "w", locking=False, libver=("v110", "v110")) as file:
        file.attrs.update(_head(kind, settings))
        yield file


@contextmanager
def _open(path: Path, kind: str | None = None) -> Iterator[h5py.File]:
    with _file(path) as file:
        schema, held = file.attrs.get("schema"), file.attrs.get("kind")
        if schema != SCHEMA:
            raise UserError(f"{path} has schema {schema}, this version reads {SCHEMA}; make it again: dvc repro -f.")
        if held != (kind or held):
            raise UserError(f"{path} holds {held}, not {kind}; check the path.")
        yield file


@contextmanager
def _file(path: Path) -> Iterator[h5py.File]:
    # A shared cache may lie on a file system without locks, in files that nobody may write.
    with undamaged(path, OSError, KeyError, ValueError, RuntimeError), h5py.File(path, "r", locking=False) as file:
        yield file


def _put_all(group: h5py.Group, arrays: Arrays) -> None:
    for name in sorted(arrays):
        _put(group, name, arrays[name])


def _put(group: h5py.Group, name: str, values: np.ndarray | list[str]) -> None:
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=str)
    if array.dtype.kind == "U":
        # Of one length: texts of any length lie in a heap, which has no checksum.
        encoded = np.strings.encode(array, "utf-8")
        array = encoded.astype(h5py.string_dtype("utf-8", max(1, encoded.dtype.itemsize)))
    if array.size == 0 or array.ndim == 0:
        group.create_dataset(name, data=array)
        return
    # Some 256 kB a chunk: whole clips for short fields, batches of rows for embeddings.
    chunks = (max(1, min(len(array), (1 << 18) // max(1, array[:1].nbytes))), *array.shape[1:])
    if array.dtype == np.int8:
        _put_deflated(group, name, array, chunks)
    else:
        group.create_dataset(name, data=array, chunks=chunks, fletcher32=True)


def _put_deflated(group: h5py.Group, name: str, array: np.ndarray, chunks: tuple[int, ...]) -> None:
    """A dataset that any HDF5 reader takes for gzip's; the checksum is the stream's own.

    HDF5's filters will not do. LZF reads memory that it never wrote, so that equal data differ in size now and then,
    and gzip is whatever zlib the system has.
    """
    packing = {"compression": "gzip", "compression_opts": LEVEL}
    dataset = group.create_dataset(name, array.shape, array.dtype, chunks=chunks, **packing)
    for start in range(0, len(array), chunks[0]):
        chunk = np.zeros(chunks, array.dtype)
        part = array[start : start + chunks[0]]
        chunk[: len(part)] = part
        dataset.id.write_direct_chunk((start, *(0 for _ in chunks[1:])), zlib_compress(chunk.tobytes(), LEVEL))


def _get(group: h5py.Group, name: str) -> np.ndarray:
    dataset = group[name]
    if h5py.check_string_dtype(dataset.dtype):
        return np.array(dataset.asstr()[()], dtype=str).reshape(dataset.shape)
    return dataset[()]


def _record(group: h5py.Group) -> Record:
    attributes = {key: np.asarray(value).item() for key, value in group.attrs.items()}
    return Record({name: _get(group, name) for name in group}, attributes)


def _reusable(path: Path, kind: str, settings: Settings) -> Shard | None:
    """What a shard holds; None where it is of another layout or kind, or was made with other settings."""
    with _file(path) as file:
        if dict(file.attrs) != _head(kind, settings):
            return None
        ids, failures, prints = _index(file)
        if kind == "motion":
            records = {clip_id: _record(file[clip_id]) for clip_id in ids}
        else:
            columns = {name: _get(file, name) for name in file if name not in ("ids", "fingerprint", "failures")}
            records = {key: Record({name: columns[name][row] for name in columns}) for row, key in enumerate(ids)}
        return Shard(records, failures, prints)


def _index(file: h5py.File) -> tuple[list[str], dict[str, Failure], dict[str, str]]:
    """A shard's ids, its failures and the fingerprints of both."""
    ids, failed = _get(file, "ids").tolist(), _get(file, "failures/ids").tolist()
    prints = _get(file, "fingerprint").tolist() + _get(file, "failures/fingerprint").tolist()
    why = zip(_get(file, "failures/reason").tolist(), _get(file, "failures/retry").tolist(), strict=True)
    failures = [Failure(reason, bool(retry)) for reason, retry in why]
    return ids, dict(zip(failed, failures, strict=True)), dict(zip(ids + failed, prints, strict=True))
