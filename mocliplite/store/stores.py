"""Feature stores: folders of shards that hold what is computed once and shared.

Only one run at a time updates a store, or several at once a part of its shards each.
"""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import files
from mocliplite.csv_files import rows_text, text_cell
from mocliplite.errors import Failure, UserError
from mocliplite.locks import locked
from mocliplite.store import hdf5, layout, schema, whole_file
from mocliplite.store.attributes import read_attributes, read_provenance, read_settings
from mocliplite.store.hdf5 import Arrays, Settings
from mocliplite.store.shards import (
    FrameSelector,
    Record,
    column_names,
    read_column,
    read_frame_types,
    read_index,
    read_lengths_and_sizes,
    read_record,
    read_record_frames,
)

# Text files in the folder of the shards.
SIDECAR_FILES = ("README.md", "failures.csv")
# Seconds that a part of a store waits for the lock that each part takes for a moment.
_TURN = 60


@contextmanager
def updating(folder: str | Path, kind: str, clips: int, part: str = "") -> Iterator[None]:
    """Lock a store while its shards are updated to this number of clips; at the end, write its sidecar files.

    Partial files of killed runs are removed. Raises UserError if another run holds the lock.

    part: name of a part of the shards. Runs of different parts may update a store at the same time. They write shards
    only; a run of the whole store writes the sidecar files after them.
    """
    if part:
        with _updating_part(Path(folder), part):
            yield
        return
    with locked(Path(folder)), _without_parts(Path(folder)):
        files.remove_partial_files(Path(folder))
        yield
        write_sidecar_files(folder, kind, layout.number_of_shards(kind, clips))


@contextmanager
def _updating_part(folder: Path, part: str) -> Iterator[None]:
    """Lock a part of a store. No run of the whole store is, or begins, while it is locked."""
    with ExitStack() as stack:
        with locked(folder, wait=_TURN):  # of which each part has its turn
            stack.enter_context(locked(_part_path(folder, part)))
        yield


@contextmanager
def _without_parts(folder: Path) -> Iterator[None]:
    """Lock all parts of a store. Its own lock is held, so that no other part begins."""
    locks = list(folder.parent.glob(f".{escape(_part_path(folder, '').name)}*.lock"))
    with ExitStack() as stack:
        for lock in locks:
            stack.enter_context(locked(lock.with_name(lock.stem[1:])))
        yield
        for lock in locks:
            with suppress(PermissionError):  # Windows deletes no file that is open
                lock.unlink(missing_ok=True)


def _part_path(folder: Path, part: str) -> Path:
    """Return the path, of no file, whose lock is that of a part of a store."""
    return folder.with_name(f"{folder.name}.part-{part}")


def write_sidecar_files(folder: str | Path, kind: str, shards: int) -> None:
    """Write README.md and failures.csv next to the shards, and remove all files that do not belong to the store."""
    files.keep_only(Path(folder), {path.name for path in layout.shard_paths(folder, kind, shards)} | set(SIDECAR_FILES))
    for name, text in sidecar_texts(open_store(folder)).items():
        files.write_text(Path(folder, name), text)


def sidecar_texts(store: "Store") -> dict[str, str]:
    """Return the text of each sidecar file by name."""
    rows = [[text_cell(key), text_cell(found.reason)] for key, found in sorted(store.failures.items())]
    failures = rows_text(["id", "reason"], rows)
    return {"README.md": schema.readme(store.kind, store.settings, store.shards), "failures.csv": failures}


def no_store(path: str | Path) -> UserError:
    """Return the error for a path where there is no store."""
    example = "give a store: a folder of shards such as features/keyframes"
    if Path(path).is_file():
        return UserError(f"{path} is a file; {example}.")
    if Path(path).is_dir() and any(Path(path).iterdir()):
        return UserError(f"{path} is not a feature store; {example}.")
    return UserError(f"{path} is not a feature store, or is not pulled yet; run `dvc pull {path}` or `dvc repro`.")


class Store:
    """A store opened for reading.

    path: folder of the store. kind: motion, keyframes or motion_embeddings. settings: the settings that decided the
    values. provenance: what else is recorded of their origin. shards: number of files. ids: sorted ids of the clips.
    failures: Failure by id of each clip that could not be used. fingerprints: hash by id of the content and settings
    of each clip or failure. Of motion stores only: lengths, number of frames by id, and sizes, (height, width) in
    pixels by id.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        first = min(self.path.glob("[0-9]*.h5"), default=None)
        if first is None:
            raise no_store(path)
        with hdf5.open_file(first) as file:
            self.kind, self.settings = str(read_attributes(file)["kind"]), read_settings(file)
            self.provenance = read_provenance(file)
        if self.kind not in schema.SHARDS:
            raise UserError(f"{first} contains {self.kind}, which is not a sharded store; check the path.")
        self.shards = _number_of_shards(path, self.kind)
        self.failures: dict[str, Failure] = {}
        self.fingerprints: dict[str, str] = {}
        self.lengths: dict[str, int] = {}
        self.sizes: dict[str, tuple[int, int]] = {}
        self._shard: dict[str, Path] = {}
        for shard in layout.shard_paths(path, self.kind, self.shards):
            with open_shard(shard, self.kind, self.settings, first) as file:
                ids, failures, fingerprints = read_index(file)
                self.failures |= failures
                self.fingerprints |= fingerprints
                self._shard |= dict.fromkeys(ids, shard)
                if self.kind == "motion":
                    lengths, sizes = read_lengths_and_sizes(file, len(ids))
                    self.lengths.update(zip(ids, lengths, strict=True))
                    self.sizes.update(zip(ids, sizes, strict=True))
        self.ids = sorted(self.fingerprints.keys() - self.failures.keys())

    def read(self, ids: Sequence[str], name: str = "embedding") -> np.ndarray:
        """Return one array of the clips, rows in the order of ids: float32 [N, K, D] for embeddings.

        Not for motion, where clips differ in length. Raises UserError for a clip that is not in the store.
        """
        if not len(ids):
            example = self.sample().get(name, np.empty(0, dtype=np.float32))
            return np.empty((0, *example.shape), dtype=example.dtype)
        found = np.empty(0)
        for shard, positions in self._positions_by_shard(ids):
            with hdf5.open_file(shard, self.kind) as file:
                in_file = hdf5.read_array(file, "ids", "U", None).tolist()
                rows = {clip_id: row for row, clip_id in enumerate(in_file)}
                column = read_column(file, self.kind, name, len(rows))
            if not len(found):
                found = np.empty((len(ids), *column.shape[1:]), column.dtype)
            # The length of a text type is that of the longest text of a shard.
            found = found.astype(np.promote_types(found.dtype, column.dtype), copy=False)
            found[positions] = column[[rows[ids[position]] for position in positions]]
        return found

    def sample(self) -> Arrays:
        """Return the arrays of the first clip by name, as an example of types and shapes; empty without clips."""
        for shard, _ in self._positions_by_shard(self.ids[:1]):
            with hdf5.open_file(shard, self.kind) as file:
                if self.kind == "motion":
                    return dict(sorted(read_record(file, self.ids[0]).arrays.items()))
                names = column_names(file)
            return {name: self.read(self.ids[:1], name)[0] for name in names}
        return {}

    def records(self, ids: Sequence[str]) -> Iterator[tuple[str, Record]]:
        """Yield (id, Record) of motion clips, shard by shard, so that each file is opened once."""
        for shard, positions in self._positions_by_shard(ids):
            with hdf5.open_file(shard, self.kind) as file:
                for position in positions:
                    yield ids[position], read_record(file, ids[position])

    def attributes(self, ids: Sequence[str], names: Collection[str]) -> Iterator[dict[str, Any]]:
        """Yield the attributes of these names, such as `codec`, of motion clips, shard by shard. No array is read."""
        for shard, positions in self._positions_by_shard(ids):
            with hdf5.open_file(shard, self.kind) as file:
                for position in positions:
                    yield read_attributes(hdf5.read_group(file, ids[position]), names)

    def read_frames(self, clip_id: str, select_frames: FrameSelector) -> Record:
        """Return a motion clip where `vectors`, int8 [K, rows, cols, 2], contains only the selected frames, in order.

        select_frames receives the frame types, uint8 [T], and returns K frame indices, which may repeat. The other
        arrays and the attributes are complete. Only the chunks with the selected frames are read. No file stays open,
        so the method is safe in forked workers.
        """
        ((shard, _),) = self._positions_by_shard([clip_id])
        with hdf5.open_file(shard, self.kind) as file:
            frame_types = read_frame_types(file, clip_id)
        # Called while no file is open: its errors must not be reported as damage to the file.
        frames = select_frames(frame_types)
        with hdf5.open_any_file(shard) as file:
            return read_record_frames(file, clip_id, frames)

    def verify(self) -> list[str]:
        """Read every byte and return one sentence per damage; an empty list if there is none."""
        from mocliplite.store.verification import verify  # which imports this module

        return verify(self.path)

    def _positions_by_shard(self, ids: Sequence[str]) -> list[tuple[Path, list[int]]]:
        """Return the shards of the clips, each with the positions of its clips in ids."""
        unknown = sorted({clip_id for clip_id in ids if clip_id not in self._shard})
        if unknown:
            raise UserError(
                f"{self.path} does not contain clip {unknown[0]} ({len(unknown)} missing in total); run `dvc repro`."
            )
        positions: dict[Path, list[int]] = {}
        for position, clip_id in enumerate(ids):
            positions.setdefault(self._shard[clip_id], []).append(position)
        return sorted(positions.items())


def digest(path: str | Path) -> str:
    """Return what identifies the content of a store: the SHA-256 of the digests at the beginning of its shards.

    Raises UserError for a file without one.
    """
    hashed = hashlib.sha256()
    for shard in sorted(Path(path).glob("*.h5")):
        with hdf5.read_errors_mean_damage(shard):
            hashed.update(f"{shard.name} {whole_file.read_digest(shard)}\n".encode())
    return hashed.hexdigest()


def _number_of_shards(folder: str | Path, kind: str) -> int:
    """Return the number of shards of a store. Raises UserError if a run was stopped that changes it."""
    numbers = layout.found_numbers(folder, kind) or [schema.SHARDS[kind]]
    if len(numbers) > 1:
        raise UserError(different_numbers(folder, numbers))
    return numbers[0]


def different_numbers(folder: str | Path, numbers: Sequence[int]) -> str:
    """Return the sentence about a store with files of several numbers of shards."""
    return (
        f"{folder} has files of {' and of '.join(map(str, numbers))} shards, because a run was stopped; run "
        "`dvc repro` to complete it, or go back with `git restore -SW . && dvc checkout -f --allow-missing`."
    )


def open_store(path: str | Path) -> Store:
    """Open a folder of shards for reading. Raises UserError if it is not a store or is of another schema."""
    return Store(path)


@contextmanager
def open_shard(path: Path, kind: str, settings: Settings, first: Path) -> Iterator[hdf5.Group]:
    """Yield an open shard. Raises UserError if its settings differ from these, the settings of the first shard."""
    with hdf5.open_file(present_shard(path), kind) as file:
        if read_settings(file) != settings:
            raise UserError(f"{path} and {first} were computed with different settings; run `dvc repro`.")
        yield file


def present_shard(shard: Path) -> Path:
    """Return the path of a shard. Raises UserError if there is no such file."""
    if not shard.is_file():
        raise UserError(f"{shard} is missing; run `dvc pull {shard.parent}` or `dvc repro`.")
    return shard
