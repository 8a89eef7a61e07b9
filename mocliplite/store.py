"""Feature stores in HDF5: what is computed once and shared. The only module that imports h5py.

A store is a folder of shards; a clip's shard follows from a hash of its id. A shard is written whole, in order of id,
under a partial name, and takes its place by a rename: equal content gives equal bytes, and no file is ever
modified. Each clip carries a fingerprint of what decided its values, so that only new or changed clips are computed.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mocliplite.errors import UserError
from mocliplite.files import replacing, write_rows

# The layout of all files written here; a reader refuses another.
SCHEMA = 1
# Motion is three orders of magnitude larger, and a new clip should not cost a large file.
SHARDS = {"motion": 64, "keyframes": 16, "motion_embeddings": 16}

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Record:
    """What a store keeps of one clip: arrays, and for motion also attributes of the clip."""

    arrays: Arrays
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Shard:
    """One shard's clips in memory, by id; failures are sentences."""

    records: dict[str, Record] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A single HDF5 file: named arrays (text as numpy str), and the settings that decided them."""

    arrays: Arrays
    settings: dict[str, Any]


def fingerprint(content: str, settings: Mapping[str, Any]) -> str:
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
    settings: Mapping[str, Any],
    wanted: Mapping[str, str],
    compute: Callable[[list[str]], dict[str, Record | str]],
) -> tuple[int, int]:
    """Bring one shard to the wanted clips (id -> fingerprint); returns how many were computed, and how many failed.

    `compute` gets the ids that are new or changed, in order, and returns a Record each, or a sentence for a clip
    that failed. Clips no longer wanted are dropped. A shard that is as wanted is not touched.
    """
    old = _read_shard(path, kind) if path.exists() and _settings(path, kind) == dict(settings) else None
    known = old.fingerprints if old else {}
    if old is not None and known == dict(wanted):
        return 0, len(old.failures)
    kept = {clip_id for clip_id in wanted if known.get(clip_id) == wanted[clip_id]}
    missing = sorted(wanted.keys() - kept)
    computed = compute(missing) if missing else {}
    new = Shard(fingerprints=dict(wanted))
    for clip_id in sorted(wanted):
        result: Record | str
        if clip_id not in kept:
            result = computed[clip_id]
        elif old is not None and clip_id in old.records:
            result = old.records[clip_id]
        else:
            result = old.failures[clip_id] if old else ""
        if isinstance(result, Record):
            new.records[clip_id] = result
        else:
            new.failures[clip_id] = result
    write_shard(path, kind, settings, new)
    return len(missing), len(new.failures)


def write_shard(path: Path, kind: str, settings: Mapping[str, Any], shard: Shard) -> None:
    """Replace one shard. Every clip of `fingerprints` has a record or a failure.

    Motion shards hold one group a clip; others hold one array a name, row i of clip ids[i].
    """
    if shard.records.keys() | shard.failures.keys() != shard.fingerprints.keys():
        raise ValueError(f"{path}: records, failures and fingerprints disagree")
    ids = sorted(shard.records)
    with replacing(path) as partial, _create(partial, kind, settings) as file:
        _put(file, "ids", np.array(ids, dtype=str))
        _put(file, "fingerprint", np.array([shard.fingerprints[clip_id] for clip_id in ids], dtype=str))
        failed = sorted(shard.failures)
        _put(file, "failures/ids", np.array(failed, dtype=str))
        _put(file, "failures/reason", np.array([shard.failures[clip_id] for clip_id in failed], dtype=str))
        _put(file, "failures/fingerprint", np.array([shard.fingerprints[clip_id] for clip_id in failed], dtype=str))
        if kind == "motion":
            _put(file, "frames", np.array([len(shard.records[clip_id].arrays["kind"]) for clip_id in ids], dtype=int))
            for clip_id in ids:
                record = shard.records[clip_id]
                group = file.create_group(clip_id)
                group.attrs.update(record.attributes)
                for name in sorted(record.arrays):
                    _put(group, name, record.arrays[name])
        elif ids:
            for name in sorted(shard.records[ids[0]].arrays):
                _put(file, name, np.stack([shard.records[clip_id].arrays[name] for clip_id in ids]))


def finish(folder: str | Path, kind: str) -> None:
    """Write failures.csv beside the shards, and remove what belongs to no store of today's layout."""
    folder = Path(folder)
    names = {shard_path(folder, number).name for number in range(SHARDS[kind])} | {"failures.csv"}
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    store = open_store(folder)
    write_rows(folder / "failures.csv", ["id", "reason"], sorted(store.failures.items()))


class Store:
    """A store opened for reading: `ids` (sorted), `kind`, `settings`, `failures` (id -> sentence), `path`.

    `lengths` tells the frames of each clip of a motion store; `fingerprints` what each clip or failure was made of.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        first = shard_path(path, 0)
        if not first.is_file():
            raise UserError(f"{path} is not a feature store, or not pulled yet; run `dvc pull {path}` or `dvc repro`.")
        with _open(first) as file:
            self.kind = str(file.attrs["kind"])
            if self.kind not in SHARDS:
                raise UserError(f"{first} holds {self.kind}, which is no sharded store.")
            self.settings: dict[str, Any] = json.loads(file.attrs["settings"])
        self.failures: dict[str, str] = {}
        self.fingerprints: dict[str, str] = {}
        self.lengths: dict[str, int] = {}
        ids: list[str] = []
        for number in range(SHARDS[self.kind]):
            shard = shard_path(path, number)
            if not shard.is_file():
                raise UserError(f"{shard} is missing; run `dvc pull {path}` or `dvc repro`.")
            with _open(shard, self.kind) as file:
                if json.loads(file.attrs["settings"]) != self.settings:
                    raise UserError(f"{shard} was made with other settings than {first}; run `dvc repro`.")
                here, failed = _get(file, "ids").tolist(), _get(file, "failures/ids").tolist()
                self.failures.update(zip(failed, _get(file, "failures/reason").tolist(), strict=True))
                prints = _get(file, "fingerprint").tolist() + _get(file, "failures/fingerprint").tolist()
                self.fingerprints.update(zip(here + failed, prints, strict=True))
                if self.kind == "motion":
                    self.lengths.update(zip(here, _get(file, "frames").tolist(), strict=True))
                ids += here
        self.ids = sorted(ids)

    def read(self, ids: Sequence[str], name: str = "embedding") -> np.ndarray:
        """One array of many clips, rows in the order of ids: float32 [N, K, D] for embeddings.

        Raises UserError naming a clip that the store lacks. Not for motion, whose clips differ in length.
        """
        self._check(ids)
        rows: list[np.ndarray | None] = [None] * len(ids)
        for file, places in self._shards(ids):
            array, at = _get(file, name), {key: row for row, key in enumerate(_get(file, "ids").tolist())}
            for place in places:
                rows[place] = array[at[ids[place]]]
        return np.stack([row for row in rows if row is not None])

    def records(self, ids: Sequence[str]) -> Iterator[tuple[str, Record]]:
        """Yield (id, Record) of motion clips, shard by shard, so that each file is opened once."""
        self._check(ids)
        for file, places in self._shards(ids):
            for place in places:
                yield ids[place], _record(file[ids[place]])

    def _check(self, ids: Sequence[str]) -> None:
        unknown = sorted(set(ids) - set(self.ids))
        if unknown:
            raise UserError(f"{self.path} lacks clip {unknown[0]} ({len(unknown)} in all); run `dvc repro`.")

    def _shards(self, ids: Sequence[str]) -> Iterator[tuple[h5py.File, list[int]]]:
        places: dict[int, list[int]] = {}
        for place, clip_id in enumerate(ids):
            places.setdefault(shard_of(clip_id, SHARDS[self.kind]), []).append(place)
        for number in sorted(places):
            with _open(shard_path(self.path, number), self.kind) as file:
                yield file, places[number]


def open_store(path: str | Path) -> Store:
    """Open a folder of shards for reading. Raises UserError where there is none, or it is of another schema."""
    return Store(path)


def write_table(path: str | Path, kind: str, arrays: Arrays, settings: Mapping[str, Any]) -> None:
    """Replace one HDF5 file of named arrays; text arrays are of numpy's str."""
    with replacing(Path(path)) as partial, _create(partial, kind, settings) as file:
        for name in sorted(arrays):
            _put(file, name, arrays[name])


def read_table(path: str | Path, kind: str) -> Table:
    """Read a file that write_table wrote. Raises UserError for another kind or schema."""
    if not Path(path).is_file():
        raise UserError(f"{path} is not here; run `dvc pull {path}` or `dvc repro`.")
    with _open(Path(path), kind) as file:
        return Table({name: _get(file, name) for name in file}, json.loads(file.attrs["settings"]))


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


@contextmanager
def _create(path: Path, kind: str, settings: Mapping[str, Any]) -> Iterator[h5py.File]:
    with h5py.File(path, "w", locking=False) as file:
        file.attrs.update(schema=SCHEMA, kind=kind, settings=_json(settings))
        yield file


@contextmanager
def _open(path: Path, kind: str | None = None) -> Iterator[h5py.File]:
    # A shared cache may lie on a file system without locks, in files that nobody may write.
    try:
        with h5py.File(path, "r", locking=False) as file:
            if file.attrs.get("schema") != SCHEMA:
                schema = file.attrs.get("schema")
                raise UserError(
                    f"{path} has schema {schema}, this version reads {SCHEMA}; make it again: dvc repro -f."
                )
            if kind is not None and file.attrs.get("kind") != kind:
                raise UserError(f"{path} holds {file.attrs.get('kind')}, not {kind}; check the path.")
            yield file
    except (OSError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is damaged ({reason}); restore it with `dvc checkout` or delete it.") from None


def _put(group: h5py.Group, name: str, array: np.ndarray) -> None:
    if array.dtype.kind == "U":
        group.create_dataset(name, data=array.astype(object), dtype=h5py.string_dtype())
    elif array.size == 0 or array.ndim == 0:
        group.create_dataset(name, data=array)
    else:
        # Some 256 kB a chunk: whole clips for short fields, batches of rows for embeddings.
        rows = max(1, min(len(array), (1 << 18) // max(1, array[:1].nbytes)))
        chunks = (rows, *array.shape[1:])
        packing = {"compression": "lzf", "shuffle": False} if array.dtype == np.int8 else {}
        group.create_dataset(name, data=array, chunks=chunks, fletcher32=True, **packing)


def _get(group: h5py.Group, name: str) -> np.ndarray:
    dataset = group[name]
    if h5py.check_string_dtype(dataset.dtype):
        return np.array(dataset.asstr()[()], dtype=str).reshape(dataset.shape)
    return dataset[()]


def _record(group: h5py.Group) -> Record:
    attributes = {key: value.item() if isinstance(value, np.generic) else value for key, value in group.attrs.items()}
    return Record({name: _get(group, name) for name in group}, attributes)


def _settings(path: Path, kind: str) -> dict[str, Any]:
    with _open(path, kind) as file:
        return json.loads(file.attrs["settings"])


def _read_shard(path: Path, kind: str) -> Shard:
    with _open(path, kind) as file:
        ids, failed = _get(file, "ids").tolist(), _get(file, "failures/ids").tolist()
        prints = _get(file, "fingerprint").tolist() + _get(file, "failures/fingerprint").tolist()
        names = [name for name in file if name not in ("ids", "fingerprint", "failures")]
        if kind == "motion":
            records = {clip_id: _record(file[clip_id]) for clip_id in ids}
        else:
            columns = {name: _get(file, name) for name in names}
            records = {key: Record({name: columns[name][row] for name in names}) for row, key in enumerate(ids)}
        failures = dict(zip(failed, _get(file, "failures/reason").tolist(), strict=True))
        return Shard(records, failures, dict(zip(ids + failed, prints, strict=True)))
