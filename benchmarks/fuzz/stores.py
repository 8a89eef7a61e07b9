"""Edited feature stores and tables: verified, read, and used again by an update."""

import shutil
from pathlib import Path

import numpy as np

from benchmarks.fuzz import hdf5, outcomes
from benchmarks.fuzz.clips import Clip
from benchmarks.fuzz.odd import edited, pick
from benchmarks.fuzz.outcomes import Outcome
from mocliplite.errors import Failure, UserError
from mocliplite.store import layout, shards, table_file, update, verification
from mocliplite.store import stores as store_files

INPUT = Path("input")
_STORES = ("motion", "keyframes", "motion_embeddings")
_TABLES = ("pairs", "prompts")


def make(rng: np.random.Generator, project: Path, clips: list[Clip]) -> str:
    """Write a store or a table of which one file is edited."""
    name = str(pick(rng, (*_STORES, *_TABLES)))
    if name in _TABLES:
        INPUT.mkdir()
        path = Path(shutil.copy(project / f"features/{name}.h5", INPUT))
    else:
        shutil.copytree(project / "features" / name, INPUT / name)
        path = Path(str(pick(rng, sorted((INPUT / name).glob("*.h5")))))
    if rng.random() < 0.03:
        path.write_bytes(edited(b"", rng)[1])
        return f"{name}: no HDF5"
    return f"{name}: {hdf5.edit_file(path, rng)}"


def read(project: Path) -> Outcome:
    """Verify and read everything; an update must then still have a result of every clip."""
    (place,) = INPUT.iterdir()
    damage = verification.verify(place)
    for line in damage:
        if outcomes.sentence(line).kind == outcomes.OTHER:
            return Outcome(outcomes.OTHER, line)
    complaints = [*damage, *(str(error) for error in _read_all(place))]
    if place.is_dir():
        _update(place, complaints)
    return outcomes.sentence(complaints[0]) if complaints else Outcome(outcomes.ACCEPTED)


def _read_all(place: Path) -> list[UserError]:
    """Read all values of a store or table as the stages do; return the errors."""
    try:
        if place.is_file():
            table_file.read_table(place, place.stem)
            return []
        store = store_files.open_store(place)
        if store.kind == "motion":
            list(store.records(store.ids))
            for clip_id in store.ids[:3]:
                store.read_frames(clip_id, lambda kinds: np.arange(len(kinds)))
        else:
            for name in store.sample():
                store.read(store.ids, name)
    except UserError as error:
        return [error]
    return []


def _update(folder: Path, complaints: list[str]) -> None:
    """Update each shard to its clips, of which none can be computed: those that are not kept are failures."""
    try:
        store = store_files.open_store(folder)
        failure = Failure("not computed.")
        for path, ids in layout.ids_by_path(folder, store.kind, store.fingerprints).items():
            wanted = {clip_id: store.fingerprints[clip_id] for clip_id in ids}
            update.update_shard(
                path,
                store.kind,
                store.settings,
                wanted,
                lambda new: ((clip_id, failure) for clip_id in new),
                provenance=store.provenance,
            )
            written = shards.read_reusable(path, store.kind, store.settings)
            if written is None or written.fingerprints != wanted:
                raise AssertionError(f"{path} does not have a result of each of {len(wanted)} clips")
    except UserError as error:
        complaints.append(str(error))
