"""The store of motion fields: files are decoded once for all of their segments, each in a process of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from mocliplite import params, versions
from mocliplite.data.segments import by_file
from mocliplite.errors import Failure
from mocliplite.extraction import machines
from mocliplite.extraction.shard_runs import ShardOfClips, Updated
from mocliplite.motion import extraction
from mocliplite.motion.field import Field
from mocliplite.remote.copies import call_with_copy
from mocliplite.runtime import crash_safe
from mocliplite.spans import Span
from mocliplite.store import shards, update
from mocliplite.video.streams import Limits


@dataclass(frozen=True)
class Spec:
    """What a worker is given."""

    shards: Sequence[ShardOfClips]
    settings: params.Params
    retry_failed: bool


def update_shards(spec: Spec) -> Iterator[Updated]:
    """Extract the motion fields of new and changed clips into their shards, one by one."""
    for shard in spec.shards:
        yield _update_shard(shard, spec.settings, spec.retry_failed)


def _update_shard(shard: ShardOfClips, settings: params.Params, retry_failed: bool) -> Updated:
    cache_key = {**asdict(settings.motion), "version": versions.MOTION}
    clips = {clip.id: clip for clip in shard.clips}
    fingerprints = {clip.id: shards.fingerprint(clip.content, cache_key) for clip in shard.clips}
    extract_records = crash_safe.crash_safe(records, settings.compute)
    machine_failures: dict[str, Failure] = {}

    def compute(ids: list[str]) -> Iterator[tuple[str, shards.Record | Failure]]:
        machines.record(shard.path.parent)
        limits = Limits.of(settings.compute)
        for name, segments in by_file(clips[clip_id] for clip_id in ids).items():
            root, source, spans = settings.dataset.root, segments[0].sha256, [clip.span for clip in segments]
            found = call_with_copy(extract_records, root, name, source, source, spans, settings.motion, limits)
            for position, clip in enumerate(segments):
                result = found if isinstance(found, Failure) else found[position]
                if isinstance(result, Failure) and result.retry:
                    machine_failures[clip.id] = result
                yield clip.id, result

    computed, failed = update.update_shard(shard.path, "motion", cache_key, fingerprints, compute, retry_failed)
    return Updated(shard.path, len(clips), computed, failed, machine_failures)


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
