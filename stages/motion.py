"""Extract the motion vectors of every clip into motion fields.

Reads features/clips.csv and the videos; writes features/motion/. Only clips that are new or changed are decoded,
with --retry-failed also those that failed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mocliplite import dataset, motion, options, parallel, params, store
from mocliplite.dataset import Clip
from mocliplite.errors import UserError, run
from mocliplite.progress import progress

FOLDER = "features/motion"


@dataclass(frozen=True)
class Part:
    """One shard's clips, as a worker process gets them."""

    number: int
    clips: Sequence[Clip]
    settings: params.Params
    retry_failed: bool


def main() -> None:
    retry_failed = options.retry_failed("motion")
    settings = params.load()
    clips = {clip.id: clip for clip in dataset.read_clips("features/clips.csv")}
    parts = [
        Part(number, [clips[clip_id] for clip_id in ids], settings, retry_failed)
        for number, ids in enumerate(store.by_shard(clips, "motion"))
    ]

    failed = computed = 0
    with store.renewing(FOLDER, "motion"), progress("motion", len(clips), "clip") as bar:
        for part, new, lost in parallel.map_shards(extract, parts, settings.compute):
            computed, failed = computed + new, failed + lost
            bar.set_postfix(computed=computed, failed=failed, refresh=False)
            bar.update(len(part.clips))
    failures = store.open_store(FOLDER).failures
    dataset.check_failed(failures, len(clips), settings.dataset.max_failed, "motion")


def extract(part: Part) -> tuple[Part, int, int]:
    """Bring one shard up to date; returns the part, and how many clips were computed and how many are failures."""
    decided = {**asdict(part.settings.motion), "version": motion.VERSION}
    wanted = {clip.id: store.fingerprint(clip.sha256, decided) for clip in part.clips}
    paths = {clip.id: f"{part.settings.dataset.root}/{clip.path}" for clip in part.clips}
    sources = {clip.id: clip.sha256 for clip in part.clips}
    path = store.shard_path(FOLDER, part.number)
    guarded = parallel.guarded(record, part.settings.compute)

    def compute(ids: list[str]) -> dict[str, store.Record | store.Failure]:
        return {clip_id: guarded(paths[clip_id], sources[clip_id], part.settings.motion) for clip_id in ids}

    new, failed = store.update_shard(path, "motion", decided, wanted, compute, part.retry_failed)
    return part, new, failed


def record(path: str, source: str, settings: params.Motion) -> store.Record | store.Failure:
    """A clip's field as the store keeps it, or why there is none."""
    try:
        field = motion.motion_field(path, settings)
    except UserError as error:
        return store.Failure(str(error))
    held = {**vars(field), "source": source}
    arrays = {key: value for key, value in held.items() if isinstance(value, np.ndarray)}
    return store.Record(arrays, {key: value for key, value in held.items() if key not in arrays})


if __name__ == "__main__":
    run(main)
