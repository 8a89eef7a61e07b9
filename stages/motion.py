"""Extract the motion vectors of every clip into motion fields.

Reads features/clips.csv and the videos; writes features/motion/. Only new and changed clips are decoded, and with
--retry-failed also those that failed. A file is decoded once for all of its segments.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mocliplite import params, versions
from mocliplite.data.clips import Clip, read_clips
from mocliplite.data.segments import by_file
from mocliplite.errors import Failure
from mocliplite.motion import extraction
from mocliplite.motion.field import Field
from mocliplite.remote.copies import call_with_copy
from mocliplite.runtime import arguments, crash_safe, engines
from mocliplite.runtime.progress import progress
from mocliplite.spans import Span
from mocliplite.store import layout, shards, stores, update
from mocliplite.store.failures import check_failed, check_machine, recorded_failures
from mocliplite.video.streams import Limits

from . import run_stage

FOLDER = "features/motion"


@dataclass(frozen=True)
class Part:
    """The clips of one shard, the input of a worker process."""

    path: Path
    clips: Sequence[Clip]
    settings: params.Params
    retry_failed: bool


def main() -> None:
    retry_failed = arguments.retry_failed("motion")
    settings = params.load()
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    parts = [
        Part(path, [clips[clip_id] for clip_id in ids], settings, retry_failed)
        for path, ids in layout.ids_by_path(FOLDER, "motion", clips).items()
    ]

    before = recorded_failures(FOLDER)
    failed = computed = 0
    machine_failures: dict[str, Failure] = {}
    with stores.updating(FOLDER, "motion", len(clips)), progress("motion", len(clips), "clip") as bar:
        for part, new, new_failed, new_machine_failures in engines.map_shards(extract, parts, settings.compute):
            computed, failed = computed + new, failed + new_failed
            machine_failures |= new_machine_failures
            bar.set_postfix(computed=computed, failed=failed, refresh=False)
            bar.update(len(part.clips))
    failures = stores.open_store(FOLDER).failures
    check_machine(machine_failures, before, len(clips), "motion")
    check_failed(failures, len(clips), settings.dataset.max_failed, "motion")


def extract(part: Part) -> tuple[Part, int, int, dict[str, Failure]]:
    """Update one shard.

    Returns the part, the number of computed clips, the number of failures, and the failures of the machine by clip id.
    """
    cache_key = {**asdict(part.settings.motion), "version": versions.MOTION}
    clips = {clip.id: clip for clip in part.clips}
    fingerprints = {clip.id: shards.fingerprint(clip.content, cache_key) for clip in part.clips}
    extract_records = crash_safe.crash_safe(records, part.settings.compute)
    machine_failures: dict[str, Failure] = {}

    def compute(ids: list[str]) -> Iterator[tuple[str, shards.Record | Failure]]:
        limits = Limits.of(part.settings.compute)
        for name, segments in by_file(clips[clip_id] for clip_id in ids).items():
            root, source, spans = part.settings.dataset.root, segments[0].sha256, [clip.span for clip in segments]
            found = call_with_copy(extract_records, root, name, source, source, spans, part.settings.motion, limits)
            for position, clip in enumerate(segments):
                result = found if isinstance(found, Failure) else found[position]
                if isinstance(result, Failure) and result.retry:
                    machine_failures[clip.id] = result
                yield clip.id, result

    new, failed = update.update_shard(part.path, "motion", cache_key, fingerprints, compute, part.retry_failed)
    return part, new, failed, machine_failures


def records(
    path: str, source: str, spans: Sequence[Span], settings: params.Motion, limits: Limits
) -> list[shards.Record | Failure]:
    """Return the motion field of each span of a file as a record of the store. Raises the errors of motion_fields."""
    found = extraction.motion_fields(path, spans, settings, limits)
    return [field if isinstance(field, Failure) else _record(field, source) for field in found]


def _record(field: Field, source: str) -> shards.Record:
    attributes = {**vars(field), "source": source}
    arrays = {key: value for key, value in attributes.items() if isinstance(value, np.ndarray)}
    return shards.Record(arrays, {key: value for key, value in attributes.items() if key not in arrays})


if __name__ == "__main__":
    run_stage("motion", main)
