"""Feature stores: what is computed once and shared.

A store is a folder of shards; a clip's shard follows from a hash of its id, so that a new clip changes one file. A
shard is written under a partial name and takes its place by a rename. One run at a time brings a store up to date.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import files
from mocliplite.errors import Failure, UserError
from mocliplite.store import hdf5, schema
from mocliplite.store.hdf5 import Arrays, Settings
from mocliplite.store.shards import (
    FrameSelector,
    Record,
    column,
    columns_of,
    damages,
    index,
    kinds,
    lengths_and_sizes,
    record,
    some_frames,
)
from mocliplite.store.table_file import read_table

# What lies beside the shards.
TEXT_FILES = ("README.md", "failures.csv")


def shard_of(clip_id: str, shards: int) -> int:
    """The shard of a clip: the same on every machine and whatever other clips there are."""
    return int.from_bytes(hashlib.sha256(clip_id.encode()).digest()[:8], "big") % shards


def by_shard(ids: Iterable[str], kind: str) -> list[list[str]]:
    """Ids sorted into the shards of a kind of store, in order of id."""
    parts: list[list[str]] = [[] for _ in range(schema.SHARDS[kind])]
    for clip_id in sorted(ids):
        parts[shard_of(clip_id, schema.SHARDS[kind])].append(clip_id)
    return parts


def shard_path(folder: str | Path, number: int) -> Path:
    """Where a shard lies."""
    return Path(folder, f"{number:04d}.h5")


@contextmanager
def updating(folder: str | Path, kind: str) -> Iterator[None]:
    """Hold a store for one run that brings its shards up to date, and finish it.

    Raises UserError where another run holds it. What killed runs left half written is removed.
    """
    with files.locked(Path(folder)):
        files.remove_partial_files(Path(folder))
        yield
        write_sidecar_files(folder, kind)


def write_sidecar_files(folder: str | Path, kind: str) -> None:
    """Write README.md and failures.csv beside the shards, and remove what belongs to no store of today's layout."""
    files.keep_only(Path(folder), {path.name for path in shard_paths(folder, kind)} | set(TEXT_FILES))
    for name, text in text_files(open_store(folder)).items():
        files.write_text(Path(folder, name), text)


def text_files(opened: "Store") -> dict[str, str]:
    """The text of the files beside the shards."""
    failures = files.rows_text(["id", "reason"], sorted(opened.failures.items()))
    return {"README.md": schema.readme(opened.kind, opened.settings), "failures.csv": failures}


def shard_paths(folder: str | Path, kind: str) -> list[Path]:
    """All shards of a store of this kind."""
    return [shard_path(folder, number) for number in range(schema.SHARDS[kind])]


class Store:
    """A store opened for reading: `ids` (sorted), `kind`, `settings`, `failures` (id -> Failure), `path`.

    `fingerprints` tells what each clip or failure was made of; of a motion store, `lengths` the frames of each clip
    and `sizes` its (height, width) in pixels.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        first = shard_path(path, 0)
        if not first.is_file():
            raise UserError(f"{path} is not a feature store, or not pulled yet; run `dvc pull {path}` or `dvc repro`.")
        with hdf5.opened(first) as file:
            self.kind, self.settings = str(file.attrs["kind"]), hdf5.settings_of(file)
        if self.kind not in schema.SHARDS:
            raise UserError(f"{first} holds {self.kind}, which is no sharded store.")
        self.failures: dict[str, Failure] = {}
        self.fingerprints: dict[str, str] = {}
        self.lengths: dict[str, int] = {}
        self.sizes: dict[str, tuple[int, int]] = {}
        self._shard: dict[str, Path] = {}
        for shard in shard_paths(path, self.kind):
            with open_shard(shard, self.kind, self.settings, first) as file:
                here, failed, prints = index(file)
                self.failures |= failed
                self.fingerprints |= prints
                self._shard |= dict.fromkeys(here, shard)
                if self.kind == "motion":
                    lengths, sizes = lengths_and_sizes(file, len(here))
                    self.lengths.update(zip(here, lengths, strict=True))
                    self.sizes.update(zip(here, sizes, strict=True))
        self.ids = sorted(self.fingerprints.keys() - self.failures.keys())

    def read(self, ids: Sequence[str], name: str = "embedding") -> np.ndarray:
        """One array of many clips, rows in the order of ids: float32 [N, K, D] for embeddings.

        Raises UserError naming a clip that the store lacks. Not for motion, whose clips differ in length.
        """
        parts, order = [], []
        for shard, places in self._places(ids):
            with hdf5.opened(shard, self.kind) as file:
                here = {key: row for row, key in enumerate(hdf5.get(file, "ids", "U", None).tolist())}
                parts.append(column(file, self.kind, name, len(here))[[here[ids[place]] for place in places]])
                order += places
        return np.concatenate(parts)[np.argsort(order)]

    def sample(self) -> Arrays:
        """The arrays of the first clip, by name; none where there is no clip. For their names, types and shapes."""
        for shard, _ in self._places(self.ids[:1]):
            with hdf5.opened(shard, self.kind) as file:
                if self.kind == "motion":
                    return dict(sorted(record(file, self.ids[0]).arrays.items()))
                names = columns_of(file)
            return {name: self.read(self.ids[:1], name)[0] for name in names}
        return {}

    def records(self, ids: Sequence[str]) -> Iterator[tuple[str, Record]]:
        """Yield (id, Record) of motion clips, shard by shard, so that each file is opened once."""
        for shard, places in self._places(ids):
            with hdf5.opened(shard, self.kind) as file:
                for place in places:
                    yield ids[place], record(file, ids[place])

    def read_frames(self, clip_id: str, choose: FrameSelector) -> Record:
        """A motion clip of which `vectors` has only some frames: int8 [K, rows, cols, 2], in the order chosen.

        `choose` gets `kind`, uint8 [T], of all frames and returns K indices, each as often as wanted. All other arrays
        and the attributes come whole. Only the chunks that hold those frames are read. Safe in forked workers: no file
        stays open.
        """
        ((shard, _),) = self._places([clip_id])
        with hdf5.opened(shard, self.kind) as file:
            kind = kinds(file, clip_id)
        # Outside, or what goes wrong in there would pass for damage.
        chosen = choose(kind)
        with hdf5.reading(shard) as file:
            return some_frames(file, clip_id, chosen)

    def verify(self) -> list[str]:
        """Read every byte; a sentence for each damage, none where all is well."""
        return verify(self.path)

    def _places(self, ids: Sequence[str]) -> list[tuple[Path, list[int]]]:
        """The shards that hold the ids, each with the places of its own in ids."""
        unknown = sorted({clip_id for clip_id in ids if clip_id not in self._shard})
        if unknown:
            raise UserError(f"{self.path} lacks clip {unknown[0]} ({len(unknown)} in all); run `dvc repro`.")
        places: dict[Path, list[int]] = {}
        for place, clip_id in enumerate(ids):
            places.setdefault(self._shard[clip_id], []).append(place)
        return sorted(places.items())


def open_store(path: str | Path) -> Store:
    """Open a folder of shards for reading. Raises UserError where there is none, or it is of another schema."""
    return Store(path)


@contextmanager
def open_shard(path: Path, kind: str, settings: Settings, first: Path) -> Iterator[hdf5.Group]:
    """Yield one shard of a store whose first shard has these settings."""
    if not path.is_file():
        raise UserError(f"{path} is missing; run `dvc pull {path.parent}` or `dvc repro`.")
    with hdf5.opened(path, kind) as file:
        if hdf5.settings_of(file) != settings:
            raise UserError(f"{path} was made with other settings than {first}; run `dvc repro`.")
        yield file


def verify(path: str | Path) -> list[str]:
    """Read all of a store or single file; a sentence for each damage, naming file and clip, none where all is well.

    Raises UserError where there is neither.
    """
    if Path(path).is_file():
        try:
            read_table(path)
        except UserError as error:
            return [str(error)]
        return _changed(Path(path))
    heads = [head for head in map(_head, sorted(Path(path).glob("[0-9]*.h5"))) if head]
    if not heads:
        raise UserError(f"{path} is not a feature store, or not pulled yet; run `dvc pull {path}` or `dvc repro`.")
    kind, settings = heads[0]
    found = [sentence for number in range(schema.SHARDS[kind]) for sentence in _damages(path, number, kind, settings)]
    names = {shard.name for shard in shard_paths(path, kind)} | set(TEXT_FILES)
    strange = sorted(name.name for name in Path(path).iterdir() if name.name not in names)
    found += [f"{path}/{name} is no part of the store; remove it." for name in strange]
    return found or _wrong_beside(open_store(path))


def _head(shard: Path) -> tuple[str, dict[str, Any]] | None:
    """Kind and settings of a shard, None where it does not even tell these."""
    try:
        with hdf5.opened(shard) as file:
            kind = str(file.attrs["kind"])
            return (kind, hdf5.settings_of(file)) if kind in schema.SHARDS else None
    except UserError:
        return None


def _damages(folder: str | Path, number: int, kind: str, settings: Settings) -> list[str]:
    """A sentence for each damage in one shard."""
    path = shard_path(folder, number)
    found: list[str] = []
    try:
        with open_shard(path, kind, settings, shard_path(folder, 0)) as file:
            for clip_id in index(file)[2]:
                if shard_of(clip_id, schema.SHARDS[kind]) != number:
                    raise ValueError(f"clip {clip_id} belongs to another shard")
            found.extend(damages(path, file, kind))
    except UserError as error:
        found.append(str(error))
    return found or _changed(path)


def _changed(path: Path) -> list[str]:
    """A sentence where a file whose values can all be read is not what was written."""
    if hdf5.intact(path):
        return []
    return [
        f"{path} is damaged (its digest differs, though all can be read); restore it with `dvc checkout` or delete it."
    ]


def _wrong_beside(opened: Store) -> list[str]:
    """A sentence for each file beside the shards that does not say what they hold."""
    wrong = []
    for name, text in text_files(opened).items():
        path = opened.path / name
        if not path.is_file() or path.read_bytes() != text.encode():
            wrong.append(f"{path} does not say what the shards hold; restore it with `dvc checkout` or delete it.")
    return wrong
