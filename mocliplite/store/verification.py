"""Verification of feature stores: every byte is read, and each damage is one sentence."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError
from mocliplite.store import hdf5, schema, stores
from mocliplite.store.shards import find_damage, read_index
from mocliplite.store.table_file import read_table


def verify(path: str | Path) -> list[str]:
    """Read every byte of a store or single file and return one sentence per damage, with file and clip.

    Raises UserError if there is neither a store nor a file at path.
    """
    if Path(path).is_file():
        try:
            read_table(path)
        except UserError as error:
            return [str(error)]
        return _check_digest(Path(path))
    readable = _readable_shards(path)
    if not readable:
        raise UserError(f"{path} is not a feature store, or is not pulled yet; run `dvc pull {path}` or `dvc repro`.")
    kind = readable[0][0]
    damage = [line for number in range(schema.SHARDS[kind]) for line in _verify_shard(path, number, kind)]
    names = {shard.name for shard in stores.shard_paths(path, kind)} | set(stores.SIDECAR_FILES)
    unknown = sorted(file.name for file in Path(path).iterdir() if file.name not in names)
    damage += [f"{path}/{name} does not belong to the store; remove it." for name in unknown]
    damage += different_settings(path)
    return damage or _verify_sidecar_files(stores.open_store(path))


def _readable_shards(folder: str | Path) -> list[tuple[str, dict[str, Any]]]:
    """Return kind and settings of each shard that can be read."""
    return [found for found in map(_kind_and_settings, sorted(Path(folder).glob("[0-9]*.h5"))) if found]


def _kind_and_settings(shard: Path) -> tuple[str, dict[str, Any]] | None:
    """Return kind and settings of a shard, None if they cannot be read."""
    try:
        with hdf5.open_file(shard) as file:
            kind = str(hdf5.read_attributes(file)["kind"])
            return (kind, hdf5.read_settings(file)) if kind in schema.SHARDS else None
    except UserError:
        return None


def different_settings(folder: str | Path) -> list[str]:
    """Return one sentence if not all shards have the same settings: a run with other settings has not ended."""
    counts = Counter(json.dumps(one, sort_keys=True) for _, one in _readable_shards(folder))
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


def _verify_shard(folder: str | Path, number: int, kind: str) -> list[str]:
    """Return one sentence per damage in one shard, whatever its settings."""
    path = stores.shard_path(folder, number)
    damage: list[str] = []
    try:
        with hdf5.open_file(stores.present_shard(path), kind) as file:
            for clip_id in read_index(file)[2]:
                if stores.shard_of(clip_id, schema.SHARDS[kind]) != number:
                    raise ValueError(f"clip {clip_id} belongs to another shard")
            damage.extend(find_damage(path, file, kind))
    except UserError as error:
        damage.append(str(error))
    return damage or _check_digest(path)


def _check_digest(path: Path) -> list[str]:
    """Return one sentence if the bytes of a readable file are not the bytes that were written."""
    if hdf5.digest_matches(path):
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
        if not path.is_file() or path.read_bytes() != text.encode():
            damage.append(f"{path} does not match the shards; restore it with `dvc checkout -f` or delete it.")
    return damage
