"""Extract the motion vectors of every clip into motion fields.

Reads features/clips.csv and the videos; writes features/motion/. Only clips that are new or changed are decoded,
with --retry-failed also those that failed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mocliplite import params, versions
from mocliplite.data.clips import Clip, read_clips
from mocliplite.errors import Failure, run
from mocliplite.motion import extraction
from mocliplite.runtime import arguments, crash_safe, engines
from mocliplite.runtime.progress import progress
from mocliplite.store import shards, stores
from mocliplite.store.failures import check_failed, check_machine, recorded_failures
from mocliplite.video.streams import Limits

FOLDER = "features/motion"


@dataclass(frozen=True)
class Part:
    """One shard's clips, as a worker process gets them."""

    number: int
    clips: Sequence[Clip]
    settings: params.Params
    retry_failed: bool


def main() -> None:
    retry_failed = arguments.retry_failed("motion")
    settings = params.load()
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    parts = [
        Part(number, [clips[clip_id] for clip_id in ids], settings, retry_failed)
        for number, ids in enumerate(stores.by_shard(clips, "motion"))
    ]

    before = recorded_failures(FOLDER)
    failed = computed = 0
    machine: dict[str, Failure] = {}
    with stores.updating(FOLDER, "motion"), progress("motion", len(clips), "clip") as bar:
        for part, new, lost, by_machine in engines.map_shards(extract, parts, settings.compute):
            computed, failed = computed + new, failed + lost
            machine |= by_machine
            bar.set_postfix(computed=computed, failed=failed, refresh=False)
            bar.update(len(part.clips))
    failures = stores.open_store(FOLDER).failures
    check_machine(machine, before, len(clips), "motion")
    check_failed(failures, len(clips), settings.dataset.max_failed, "motion")


def extract(part: Part) -> tuple[Part, int, int, dict[str, Failure]]:
    """Bring one shard up to date.

    Returns the part, the number of computed clips, the number of failures, and those of the machine in this run.
    """
    cache_key = {**asdict(part.settings.motion), "version": versions.MOTION}
    wanted = {clip.id: shards.fingerprint(clip.sha256, cache_key) for clip in part.clips}
    paths = {clip.id: f"{part.settings.dataset.root}/{clip.path}" for clip in part.clips}
    sources = {clip.id: clip.sha256 for clip in part.clips}
    path = stores.shard_path(FOLDER, part.number)
    guarded = crash_safe.crash_safe(record, part.settings.compute)

    machine: dict[str, Failure] = {}

    def compute(ids: list[str]) -> dict[str, shards.Record | Failure]:
        limits = Limits.of(part.settings.compute)
        found = {clip_id: guarded(paths[clip_id], sources[clip_id], part.settings.motion, limits) for clip_id in ids}
        machine.update({key: one for key, one in found.items() if isinstance(one, Failure) and one.retry})
        return found

    new, failed = shards.update_shard(path, "motion", cache_key, wanted, compute, part.retry_failed)
    return part, new, failed, machine


def record(path: str, source: str, settings: params.Motion, limits: Limits) -> shards.Record:
    """A clip's field as the store keeps it. Raises what motion_field raises."""
    held = {**vars(extraction.motion_field(path, settings, limits)), "source": source}
    arrays = {key: value for key, value in held.items() if isinstance(value, np.ndarray)}
    return shards.Record(arrays, {key: value for key, value in held.items() if key not in arrays})


if __name__ == "__main__":
    run(main)
