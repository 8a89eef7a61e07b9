"""Update of one shard: what is known is used again, and only the rest is computed.

Each clip has a fingerprint of everything that decides its values. Results are used again from the shard itself, from
its parts, in which a killed run kept what it had computed, and from the files of another number of shards (layout.py).
Files are replaced, never modified.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

from mocliplite.errors import Failure, UserError
from mocliplite.store import hdf5, layout
from mocliplite.store.hdf5 import NO_PROVENANCE, Settings
from mocliplite.store.shards import Record, Shard, SourceGoneError, read_reusable, write_shard

ComputeRecords = Callable[[list[str]], Iterable[tuple[str, Record | Failure]]]  # (id, result) of each id, in any order
_Results = dict[str, Record | Path | Failure]  # by id; a path is that of the file that has the record

# Results are kept in memory up to this size, and up to this time, which is what a killed run loses.
_MAX_BYTES, _MAX_SECONDS = 1 << 25, 30.0
_PARTS = ".parts"  # folder of the parts in the folder of a store


def ids_to_compute(
    path: Path, kind: str, settings: Settings, fingerprints: Mapping[str, str], retry_failed: bool = False
) -> list[str]:
    """Return the ids that update_shard will compute, sorted."""
    old = _read_old(path, kind, settings)
    return _to_compute(_known_results(path, kind, settings, fingerprints, old), fingerprints, retry_failed)


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
    old = _read_old(path, kind, settings)
    known = _known_results(path, kind, settings, fingerprints, old)
    to_compute = _to_compute(known, fingerprints, retry_failed)
    results = {clip_id: known[clip_id] for clip_id in fingerprints.keys() - set(to_compute)}
    if to_compute:
        results |= _keep(compute_records(to_compute), path, kind, settings, fingerprints)
    new = _shard(results, fingerprints, provenance)
    if old is None or (old.fingerprints, old.failures, old.provenance) != (fingerprints, new.failures, provenance):
        try:
            write_shard(path, kind, settings, new)
        except SourceGoneError as gone:  # another worker has written this shard and removed its parts
            written = _read_old(path, kind, settings)
            if written is None or written.fingerprints != fingerprints:
                raise UserError(f"{gone} was removed while it was read; run `dvc repro` again.") from None
            return len(to_compute), len(written.failures)
        _remove_divided(path, kind, settings)
    for part in (path.parent / _PARTS).glob(f"{path.stem}.*.h5"):
        _remove(part)
    return len(to_compute), len(new.failures)


def _remove_divided(path: Path, kind: str, settings: Settings) -> None:
    """Remove the shards of another number of shards that are not needed any more once this shard is written.

    So a store whose number doubles is on disk once, and not twice until the end. Where it changes by a factor of four
    or more, an old shard is removed once all of the new ones are written. All clips of a removed shard are in the new
    ones, whichever process writes these.
    """
    for old in layout.shards_in_common(path, kind):
        new = layout.same_number(path, old, kind)
        # Shards are read once all are there: otherwise each would be read again for each of the others.
        if old in new or not all(shard.is_file() for shard in new):
            continue
        written = [shard for shard in (_read_old(shard, kind, settings) for shard in new) if shard]
        found = dict(chain.from_iterable(shard.fingerprints.items() for shard in written))
        divided = _read_unless_gone(old, kind, settings)
        if divided and divided.fingerprints.items() <= found.items():
            _remove(old)


def _remove(path: Path) -> None:
    """Remove a file that is not needed. Windows keeps one that another worker reads: the end of the run removes it."""
    with suppress(PermissionError):
        path.unlink(missing_ok=True)


def _read_old(path: Path, kind: str, settings: Settings) -> Shard | None:
    return read_reusable(path, kind, settings) if path.exists() else None


def _known_results(
    path: Path, kind: str, settings: Settings, fingerprints: Mapping[str, str], old: Shard | None
) -> _Results:
    """Return the results with these fingerprints. Parts come before shards, and records before failures."""
    parts = layout.parts_in_common(path.parent / _PARTS, kind, path.name)
    shards = [_read_unless_gone(part, kind, settings) for part in parts]
    others = layout.shards_in_common(path, kind)
    shards += [old, *(_read_unless_gone(other, kind, settings) for other in others if other != path)]
    known: _Results = {}
    for shard in filter(None, shards):
        for clip_id in shard.fingerprints.keys() & fingerprints.keys():
            is_better = clip_id not in known or (isinstance(known[clip_id], Failure) and clip_id in shard.records)
            if shard.fingerprints[clip_id] == fingerprints[clip_id] and is_better:
                known[clip_id] = (shard.records if clip_id in shard.records else shard.failures)[clip_id]
    return known


def _read_unless_gone(path: Path, kind: str, settings: Settings) -> Shard | None:
    try:
        return read_reusable(path, kind, settings)
    except UserError:
        if path.exists():
            raise
        return None  # another worker has written what its clips belong to, and removed it


def _to_compute(known: _Results, fingerprints: Mapping[str, str], retry_failed: bool) -> list[str]:
    to_retry = (key for key, found in known.items() if isinstance(found, Failure) and (found.retry or retry_failed))
    return sorted((fingerprints.keys() - known.keys()).union(to_retry))


def _keep(
    computed: Iterable[tuple[str, Record | Failure]],
    path: Path,
    kind: str,
    settings: Settings,
    fingerprints: Mapping[str, str],
) -> _Results:
    """Return the results. If they are many or come slowly, they are written to parts of the shard."""
    kept: _Results = {}
    waiting: _Results = {}
    size, start = 0, time.monotonic()
    for clip_id, result in computed:
        waiting[clip_id] = result
        size += sum(array.nbytes for array in result.arrays.values()) if isinstance(result, Record) else 0
        if size > _MAX_BYTES or time.monotonic() - start > _MAX_SECONDS:
            part = _write_part(path, kind, settings, _shard(waiting, {key: fingerprints[key] for key in waiting}))
            kept |= {key: found if isinstance(found, Failure) else part for key, found in waiting.items()}
            waiting, size, start = {}, 0, time.monotonic()
    return kept | waiting


def _shard(results: _Results, fingerprints: Mapping[str, str], provenance: Settings = NO_PROVENANCE) -> Shard:
    records = {key: found for key, found in results.items() if not isinstance(found, Failure)}
    failures = {key: found for key, found in results.items() if isinstance(found, Failure)}
    return Shard(records, failures, dict(fingerprints), dict(provenance))


def _write_part(path: Path, kind: str, settings: Settings, shard: Shard) -> Path:
    # The name depends on the content, because two workers may compute the same shard.
    content = [shard.fingerprints, sorted(shard.failures)]
    name = hashlib.sha256(hdf5.canonical_json(content).encode()).hexdigest()[:16]
    part = path.parent / _PARTS / f"{path.stem}.{name}.h5"
    write_shard(part, kind, settings, shard)
    return part
