"""The store of keyframe embeddings: threads decode ahead of the encoder, whose batches are full across shards."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain, islice
from typing import Any

import numpy as np

from mocliplite import params
from mocliplite.data.clips import Clip
from mocliplite.data.segments import by_file
from mocliplite.encoders import checkpoints, cost, embedding, loading
from mocliplite.errors import Failure
from mocliplite.extraction import machines
from mocliplite.extraction.shard_runs import ShardOfClips, Updated
from mocliplite.large_arrays import slices
from mocliplite.remote.copies import call_with_copy
from mocliplite.runtime import crash_safe, engines
from mocliplite.store import shards, update
from mocliplite.video import keyframes
from mocliplite.video.streams import Limits

PICTURES = 32  # at most decoded in one call, because they are in memory together
Prepared = list[tuple[int, float, embedding.Pixels]]  # index, seconds and input of the encoder of each keyframe
Encoder = Callable[[], loading.Encoder]  # loads it at the first call
Results = Iterator[tuple[str, shards.Record | Failure]]


@dataclass(frozen=True)
class Spec:
    """What a worker is given."""

    shards: Sequence[ShardOfClips]
    settings: params.Params
    retry_failed: bool
    cache_key: Mapping[str, Any]
    provenance: Mapping[str, Any]


def specs_of(shards: Sequence[ShardOfClips], settings: params.Params, retry_failed: bool) -> list[Spec]:
    """Return the specs for these shards. Raises UserError if the checkpoint is not at hand."""
    chosen = settings.encoder
    checkpoint = checkpoints.locate(chosen.model, chosen.revision, chosen.pickled_weights)
    sampling = {"frames": chosen.frames, "pick": chosen.pick, "batch": chosen.batch}
    cache_key = {**checkpoints.cache_key(checkpoint), **sampling}
    if chosen.dtype != "float32":  # whose stores have no such key
        cache_key["dtype"] = chosen.dtype
    provenance = {"model": chosen.model, "revision": chosen.revision, "cost": cost.image_cost(checkpoint)}
    groups = engines.groups(shards, settings.compute)
    return [Spec(group, settings, retry_failed, cache_key, provenance) for group in groups]


def update_shards(spec: Spec) -> Iterator[Updated]:
    """Embed the keyframes of new and changed clips into their shards.

    All clips are one sequence: the batches of the encoder are full, and decoding runs ahead while a shard is written.
    The encoder is not loaded if there are no such clips.
    """
    wanted = [
        {clip.id: shards.fingerprint(clip.content, spec.cache_key) for clip in shard.clips} for shard in spec.shards
    ]
    of_shards = [_new_parts(spec, shard, by_id) for shard, by_id in zip(spec.shards, wanted, strict=True)]
    parts = list(chain.from_iterable(of_shards))
    encoder = partial(_loaded, json.dumps(spec.cache_key), spec.settings.encoder, spec.settings.compute)
    machine_failures: dict[str, Failure] = {}
    results = embedded(_prepared(parts, spec, encoder, machine_failures), encoder, spec.settings.encoder)
    for shard, by_id, new in zip(spec.shards, wanted, of_shards, strict=True):
        computed, failed = update.update_shard(
            shard.path,
            "keyframes",
            spec.cache_key,
            by_id,
            # Not as many as the ids that it is called with: another worker may have written some in the meantime.
            partial(_next, results, sum(map(len, new))),
            spec.retry_failed,
            spec.provenance,
        )
        of_shard = {key: failure for key, failure in machine_failures.items() if key in by_id}
        yield Updated(shard.path, len(by_id), computed, failed, of_shard)


def _next(results: Results, count: int, _: Sequence[str]) -> Results:
    return islice(results, count)


@lru_cache(maxsize=1)
def _loaded(cache_key: str, settings: params.Encoder, compute: params.Compute) -> loading.Encoder:
    """Return the encoder. A worker loads it once. Raises UserError if this machine has another checkpoint."""
    pickled = settings.pickled_weights
    folder = checkpoints.locate_same(json.loads(cache_key), settings.model, settings.revision, pickled=pickled)
    return loading.load_encoder(folder, compute, settings.dtype)


def _new_parts(spec: Spec, shard: ShardOfClips, wanted: Mapping[str, str]) -> list[list[Clip]]:
    """Return the new and changed clips of a shard in parts decoded in one call: of one file, a number of pictures."""
    ids = set(update.ids_to_compute(shard.path, "keyframes", spec.cache_key, wanted, spec.retry_failed))
    size = max(1, PICTURES // spec.settings.encoder.frames)
    parts = [
        segments[part]
        for segments in by_file(clip for clip in shard.clips if clip.id in ids).values()
        for part in slices(len(segments), size)
    ]
    return sorted(parts, key=lambda part: part[0].id)


def _prepared(
    parts: Sequence[Sequence[Clip]], spec: Spec, encoder: Encoder, machine_failures: dict[str, Failure]
) -> Iterator[tuple[Clip, Prepared | Failure]]:
    """Yield each clip with its keyframes. Threads prepare a batch of them while the encoder computes embeddings."""
    settings = spec.settings
    decode = crash_safe.crash_safe(keyframes.read_keyframes_of_spans, settings.compute)

    def prepare(part: Sequence[Clip]) -> list[Prepared | Failure]:
        """Return the keyframes of some clips of one file."""
        path, sha256, spans = part[0].path, part[0].sha256, [clip.span for clip in part]
        sampling = settings.encoder.frames, settings.encoder.pick, Limits.of(settings.compute)
        found = call_with_copy(decode, settings.dataset.root, path, sha256, spans, *sampling)
        if isinstance(found, Failure):
            return [found] * len(part)
        return [frames if isinstance(frames, Failure) else list(map(prepare_frame, frames)) for frames in found]

    def prepare_frame(frame: keyframes.Keyframe) -> tuple[int, float, embedding.Pixels]:
        return frame.frame, frame.time, embedding.preprocess(encoder(), frame.image)

    machines.record(spec.shards[0].path.parent, str(encoder().model.device))  # loaded before the threads use it
    ahead = settings.encoder.batch // max(map(len, parts), default=1)
    # A worker of a cluster is one of many: it decodes while it embeds, but not in parallel.
    threads = 1 if settings.compute.engine == "dask" else settings.compute.workers
    found = engines.map_ahead(prepare, parts, threads, ahead)
    for clip, keyframes_of_clip in zip(chain.from_iterable(parts), chain.from_iterable(found), strict=True):
        if isinstance(keyframes_of_clip, Failure):
            machine_failures[clip.id] = keyframes_of_clip
        yield clip, keyframes_of_clip


def embedded(
    prepared: Iterable[tuple[Clip, Prepared | Failure]],
    encoder: Encoder,
    settings: params.Encoder,
) -> Results:
    """Yield the id and the record or Failure of each clip, in order. Several clips share a batch of the encoder."""
    waiting: deque[tuple[Clip, list[tuple[int, float]] | Failure]] = deque()

    def pixels() -> Iterator[embedding.Pixels]:
        for clip, found in prepared:
            if isinstance(found, Failure):
                waiting.append((clip, found))
            else:
                waiting.append((clip, [(frame, seconds) for frame, seconds, _ in found]))
                yield from (image for _, _, image in found)

    rows = embedding.embed_pixels(encoder(), pixels(), settings.batch)
    while rows_of_clip := list(islice(rows, settings.frames)):
        clip, positions = waiting.popleft()
        while isinstance(positions, Failure):
            yield clip.id, positions
            clip, positions = waiting.popleft()
        frames, times = zip(*positions, strict=True)
        arrays = {"embedding": np.stack(rows_of_clip), "frame": np.array(frames), "time": np.array(times)}
        yield clip.id, shards.Record({**arrays, "source": np.array(clip.sha256)})
    for clip, failure in waiting:
        assert isinstance(failure, Failure)
        yield clip.id, failure
