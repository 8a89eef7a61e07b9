"""When failed clips end a stage."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from mocliplite.errors import Failure, UserError
from mocliplite.store import hdf5, stores
from mocliplite.store.shards import read_index

_MAX_LISTED = 10  # failed clips named in the error


def check_failed(failed: Mapping[str, object], total: int, max_failed: float, stage: str) -> None:
    """Raise UserError with a list of clips, `id: reason`, if more than the fraction max_failed of the total failed."""
    if total and len(failed) / total > max_failed:
        limit = f"more than the fraction {max_failed:g} that dataset.max_failed allows"
        head = f"{stage}: {len(failed)} of {total} clips failed, {limit}; fix or remove them, or raise the limit:"
        raise UserError("\n".join([head, *_listed(failed)]))


def reckon(folder: str | Path, clips: Collection[str], stage: str) -> Mapping[str, Failure]:
    """Print how many of the clips, given by id, are in a store and how many failed; return the failures by id.

    Raises UserError unless each clip is there or failed, and there is no other.
    """
    store = stores.open_store(folder)
    found = [*store.ids, *store.failures]
    lost = sorted(set(clips).symmetric_difference(found))
    if lost or len(found) != len(clips):
        count = f"{len(clips)} clips, but {len(store.ids)} stored and {len(store.failures)} failed"
        which = f" (such as {lost[0]})" if lost else ""
        raise UserError(f"{stage}: {count}{which}; delete {folder} and run `dvc repro`.")
    print(f"{stage}: {len(clips)} clips = {len(store.ids)} stored + {len(store.failures)} failed")
    return store.failures


def recorded_failures(folder: str | Path) -> Mapping[str, Failure]:
    """Return the failures by clip id in those shards of a store that are there and can be read."""
    found: dict[str, Failure] = {}
    paths: list[Path] = []
    with suppress(FileNotFoundError):  # on NFS, a folder seems to be there for a while after another machine removed it
        paths += sorted(Path(folder).glob("*.h5"))
    for path in paths:
        with suppress(UserError), hdf5.open_file(path) as file:
            _, failures, _ = read_index(file)
            found |= failures
    return found


def check_machine(found: Mapping[str, Failure], before: Mapping[str, Failure], total: int, stage: str) -> None:
    """Raise UserError with a list of the clips, `id: reason`, at which the machine failed in this run.

    Without them the store is not the result of these clips and settings, so the stage must not succeed. A failure that
    is not transient, such as a crash of the decoder, stops the stage only once: if the same was recorded before, the
    clip counts as a failed clip.
    """
    stopping = {
        clip_id: failure
        for clip_id, failure in found.items()
        if failure.transient or (failure.retry and before.get(clip_id) != failure)
    }
    if stopping:
        reason = "because the machine failed or the file has changed; all others are kept."
        head = f"{stage}: {len(stopping)} of {total} clips were not read, {reason}"
        raise UserError("\n".join([f"{head} Run `dvc repro` again to try only these:", *_listed(stopping)]))


def _listed(failed: Mapping[str, object]) -> list[str]:
    rows = [f"  {clip_id}: {reason}" for clip_id, reason in sorted(failed.items())]
    return [*rows[:_MAX_LISTED], *([f"  and {len(rows) - _MAX_LISTED} more"] if len(rows) > _MAX_LISTED else [])]
