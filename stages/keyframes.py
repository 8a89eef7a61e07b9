"""Embed the keyframes of every clip with the frozen image encoder, or take the embeddings from a file.

Reads features/clips.csv, and the videos and the checkpoint, or encoder.features; writes features/keyframes/. Only new
and changed clips are decoded, and with --retry-failed also those that failed. The segments of a file are decoded
together. The encoder is not loaded if there are no such clips.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain, islice

import numpy as np

from mocliplite import params
from mocliplite.data.clips import Clip, read_clips
from mocliplite.data.segments import by_file
from mocliplite.encoders import checkpoints, cost, embedding, loading, own_features
from mocliplite.errors import Failure
from mocliplite.remote.copies import call_with_copy
from mocliplite.runtime import arguments, crash_safe, engines
from mocliplite.runtime.progress import progress
from mocliplite.store import layout, shards, stores, update
from mocliplite.store.failures import check_failed, check_machine, recorded_failures
from mocliplite.video import keyframes
from mocliplite.video.streams import Limits

from . import run_stage

FOLDER = "features/keyframes"
PICTURES = 32  # at most decoded in one call, because they are in memory together
Prepared = list[tuple[int, float, embedding.Pixels]]  # index, seconds and input of the encoder of each keyframe


def main() -> None:
    retry_failed = arguments.retry_failed("keyframes")
    settings = params.load()
    clips = {item.id: item for item in read_clips("features/clips.csv")}
    if settings.encoder.features == params.NO_PATH:
        embed_keyframes(settings, clips, retry_failed)
    else:
        store_own_features(settings.encoder.features, clips)


def store_own_features(file: str, clips: Mapping[str, Clip]) -> None:
    """Write the store from a file of embeddings. Raises UserError unless it has a row of every clip."""
    features = own_features.read_own_features(file)
    paths, sources = ({key: getattr(clips[key], name) for key in clips} for name in ("path", "sha256"))
    arrays = own_features.arrays_by_clip(features, paths, sources)
    cache_key = own_features.cache_key(features)
    with stores.updating(FOLDER, "keyframes", len(clips)):
        for path, ids in layout.ids_by_path(FOLDER, "keyframes", clips).items():
            update.update_shard(
                path,
                "keyframes",
                cache_key,
                {clip_id: shards.fingerprint(clips[clip_id].content, cache_key) for clip_id in ids},
                lambda new: ((clip_id, shards.Record(arrays[clip_id])) for clip_id in new),
                provenance={"model": features.name, "revision": None},
            )
    print(f"{len(arrays)} clips have the embeddings of {features.name} in {file}")


def embed_keyframes(settings: params.Params, clips: Mapping[str, Clip], retry_failed: bool) -> None:
    """Decode the keyframes of new and changed clips, and embed them."""
    checkpoint = checkpoints.locate(settings.encoder.model, settings.encoder.revision)
    pictures = {"frames": settings.encoder.frames, "pick": settings.encoder.pick, "batch": settings.encoder.batch}
    cache_key = {**checkpoints.cache_key(checkpoint), **pictures}
    if settings.encoder.dtype != "float32":  # whose stores have no such key
        cache_key["dtype"] = settings.encoder.dtype
    provenance = {
        "model": settings.encoder.model,
        "revision": settings.encoder.revision,
        "cost": cost.image_cost(checkpoint),
    }
    encoder = cache(lambda: loading.load_encoder(checkpoint, settings.compute, settings.encoder.dtype))
    decode = crash_safe.crash_safe(keyframes.read_keyframes_of_spans, settings.compute)
    machine_failures: dict[str, Failure] = {}

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

    def prepared(parts: Sequence[Sequence[Clip]]) -> Iterator[tuple[Clip, Prepared | Failure]]:
        """Yield each clip with its keyframes. Threads prepare a batch of them while the encoder computes embeddings."""
        encoder()  # loaded once, before the threads use it
        ahead = settings.encoder.batch // max(map(len, parts), default=1)
        found = engines.map_ahead(prepare, parts, settings.compute.workers, ahead)
        for clip, keyframes_of_clip in zip(chain.from_iterable(parts), chain.from_iterable(found), strict=True):
            bar.update()
            if isinstance(keyframes_of_clip, Failure):
                machine_failures[clip.id] = keyframes_of_clip
            yield clip, keyframes_of_clip

    before = recorded_failures(FOLDER)
    computed = failed = 0
    fingerprints = {
        path: {key: shards.fingerprint(clips[key].content, cache_key) for key in ids}
        for path, ids in layout.ids_by_path(FOLDER, "keyframes", clips).items()
    }
    with stores.updating(FOLDER, "keyframes", len(clips)), progress("keyframes", len(clips), "clip") as bar:
        new_ids = [
            update.ids_to_compute(path, "keyframes", cache_key, wanted, retry_failed)
            for path, wanted in fingerprints.items()
        ]
        # One sequence for all shards: the encoder's batches are full, and decoding runs ahead while a shard is written.
        parts = [part for ids in new_ids for part in _parts([clips[key] for key in ids], settings.encoder.frames)]
        results = embedded(prepared(parts), encoder, settings.encoder)
        for path, wanted in fingerprints.items():
            new, new_failures = update.update_shard(
                path,
                "keyframes",
                cache_key,
                wanted,
                lambda ids: islice(results, len(ids)),
                retry_failed,
                provenance,
            )
            computed, failed = computed + new, failed + new_failures
            bar.set_postfix(computed=computed, failed=failed, refresh=False)
            bar.update(len(wanted) - new)
    failures = stores.open_store(FOLDER).failures
    check_machine(machine_failures, before, len(clips), "keyframes")
    check_failed(failures, len(clips), settings.dataset.max_failed, "keyframes")


def _parts(clips: Sequence[Clip], frames: int) -> list[list[Clip]]:
    """Return the clips in parts that are decoded in one call: those of one file, up to a number of pictures."""
    size = max(1, PICTURES // frames)
    parts = [
        segments[start : start + size]
        for segments in by_file(clips).values()
        for start in range(0, len(segments), size)
    ]
    return sorted(parts, key=lambda part: part[0].id)


def embedded(
    prepared: Iterable[tuple[Clip, Prepared | Failure]],
    encoder: Callable[[], loading.Encoder],
    settings: params.Encoder,
) -> Iterator[tuple[str, shards.Record | Failure]]:
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


if __name__ == "__main__":
    run_stage("keyframes", main)
