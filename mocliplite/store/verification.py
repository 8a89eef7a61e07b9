"""Verification of feature stores: every byte is read, and each damage is one sentence."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError
from mocliplite.files import read_bytes, writer_of
from mocliplite.store import hdf5, layout, schema, stores, whole_file
from mocliplite.store.attributes import read_attributes, read_settings
from mocliplite.store.shards import column_names, read_column, read_index, read_lengths_and_sizes, read_record
from mocliplite.store.table_file import read_table


def verify(path: str | Path) -> list[str]:
    """Read every byte of a store or single file and return one sentence per damage, with file and clip.

    Raises UserError if there is neither a store nor a file at path.
    """
    if Path(path).is_file():
        if Path(path).suffix != ".h5":
            raise UserError(f"{path} is no store; give a folder of shards, or an .h5 file such as features/pairs.h5.")
        if _kind_and_settings(Path(path)):
            raise UserError(f"{path} is one file of a store; give its folder, {Path(path).parent}.")
        try:
            read_table(path)
        except UserError as error:
            return [str(error)]
        return _check_digest(Path(path))
    readable = _readable_shards(path)
    if not readable:
        raise stores.no_store(path)
    kind = readable[0][0]
    numbers = layout.found_numbers(path, kind)
    if len(numbers) > 1:
        return unfinished(path)
    shards = layout.shard_paths(path, kind, numbers[0])
    damage = [line for shard in shards for line in _verify_shard(shard, kind, shards)]
    names = {shard.name for shard in shards} | set(stores.SIDECAR_FILES)
    unknown = sorted(file.name for file in Path(path).iterdir() if file.name not in names)
    writers = {name: writer_of(Path(path, name)) for name in unknown}
    busy = {who: name for name, who in writers.items() if who}
    damage += [_being_written(path, name, who) for who, name in busy.items()]
    damage += [f"{path}/{name} does not belong to the store; remove it." for name in unknown if not writers[name]]
    damage += unfinished(path)
    return damage or _verify_sidecar_files(stores.open_store(path))


def _being_written(path: str | Path, name: str, writer: str) -> str:
    """Return the sentence about a store of which a run writes the file of this name."""
    rest = "" if writer == "another run" else f" If it was killed, remove {path}/{name}."
    return f"{writer} is writing {path}; wait for it or stop it, and run again.{rest}"


def _readable_shards(folder: str | Path) -> list[tuple[str, dict[str, Any]]]:
    """Return kind and settings of each shard that can be read."""
    return [found for found in map(_kind_and_settings, sorted(Path(folder).glob("[0-9]*.h5"))) if found]


def _kind_and_settings(shard: Path) -> tuple[str, dict[str, Any]] | None:
    """Return kind and settings of a shard, None if they cannot be read."""
    try:
        with hdf5.open_file(shard) as file:
            kind = str(read_attributes(file)["kind"])
            return (kind, read_settings(file)) if kind in schema.SHARDS else None
    except UserError:
        return None


def unfinished(folder: str | Path) -> list[str]:
    """Return one sentence if a run was stopped that changes the number of shards, or the settings of all of them."""
    readable = _readable_shards(folder)
    numbers = layout.found_numbers(folder, readable[0][0]) if readable else []
    if len(numbers) > 1:
        return [stores.different_numbers(folder, numbers)]
    counts = Counter(json.dumps(one, sort_keys=True) for _, one in readable)
    if len(counts) < 2:
        return []
    versions = [(json.loads(text), count) for text, count in counts.most_common()]
    names = sorted({name for one, _ in versions for name in one})
    differing = [name for name in names if len({json.dumps(one.get(name)) for one, _ in versions}) > 1]
    parts = (
        f"{count} with {', '.join(f'{name}: {json.dumps(one.get(name))}' for name in differing)}"
        for one, count in versions
    )
    return [
        f"{folder} has shards of different settings ({'; '.join(parts)}), because a run was stopped; run `dvc repro` "
        "to complete it with params.yaml, or go back with `git restore -SW . && dvc checkout -f --allow-missing`."
    ]


def _verify_shard(path: Path, kind: str, shards: Sequence[Path]) -> list[str]:
    """Return one sentence per damage in one of these shards, whatever its settings."""
    damage: list[str] = []
    try:
        with hdf5.open_file(stores.present_shard(path), kind) as file:
            for clip_id in read_index(file)[2]:
                if shards[layout.shard_of(clip_id, len(shards))] != path:
                    raise ValueError(f"clip {clip_id} belongs to another shard")
            damage.extend(_find_damage(path, file, kind))
    except UserError as error:
        damage.append(str(error))
    return damage or _check_digest(path)


def _find_damage(path: Path, file: hdf5.Group, kind: str) -> Iterator[str]:
    """Read all of an open shard and yield one sentence per damaged clip.

    Raises ValueError, or the exceptions of HDF5, for damage that does not concern a single clip.
    """
    ids, failures, _ = read_index(file)
    if any(names != sorted(set(names)) for names in (ids, list(failures))) or set(ids) & failures.keys():
        raise ValueError("its clips are out of order or duplicated")
    expected = schema.INDEX | (schema.MOTION_LISTS | set(ids) if kind == "motion" else set(column_names(file)))
    if different := expected.symmetric_difference(hdf5.names(file)):
        raise ValueError(f"{min(different)} is missing or does not belong to any clip")
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


def _check_digest(path: Path) -> list[str]:
    """Return one sentence if the bytes of a readable file are not the bytes that were written."""
    if whole_file.digest_matches(path):
        return []
    return [
        f"{path} is damaged (its values can be read, but its digest differs); restore it with `dvc checkout -f` or "
        "delete it."
    ]


def _verify_sidecar_files(store: stores.Store) -> list[str]:
    """Return one sentence per sidecar file that does not match the shards."""
    damage = []
    for name, text in stores.sidecar_texts(store).items():
        path = store.path / name
        if not path.is_file() or read_bytes(path) != text.encode():
            damage.append(f"{path} does not match the shards; restore it with `dvc checkout -f` or delete it.")
    return damage
