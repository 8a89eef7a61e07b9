"""Embed the keyframes of every clip with the frozen image encoder, or take the embeddings from a file.

Reads features/clips.csv, and the videos and the checkpoint, or encoder.features; writes features/keyframes/. Only new
and changed clips are decoded, and with --retry-failed also those that failed. The encoder is not loaded if there are
none.
"""

from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np

from mocliplite import params
from mocliplite.data.clips import Clip, read_clips
from mocliplite.encoders import checkpoints, cost, embedding, loading, own_features
from mocliplite.errors import Failure
from mocliplite.runtime import arguments, crash_safe, engines
from mocliplite.runtime.progress import progress
from mocliplite.store import shards, stores
from mocliplite.store.failures import check_failed, check_machine, recorded_failures
from mocliplite.video import keyframes
from mocliplite.video.streams import Limits
from stages import run_stage

FOLDER = "features/keyframes"


def main() -> None:
    retry_failed = arguments.retry_failed("keyframes")
    settings = params.load()
    clips = {item.id: item for item in read_clips("features/clips.csv")}
    if settings.encoder.features == params.NO_PATH:
        embed_keyframes(settings, clips, retry_failed)
    else:
        store_own_features(settings.encoder.features, clips)


def store_own_features(path: str, clips: Mapping[str, Clip]) -> None:
    """Write the store from a file of embeddings. Raises UserError unless it has a row of every clip."""
    features = own_features.read_own_features(path)
    paths, sources = ({key: getattr(clips[key], name) for key in clips} for name in ("path", "sha256"))
    arrays = own_features.arrays_by_clip(features, paths, sources)
    cache_key = own_features.cache_key(features)
    with stores.updating(FOLDER, "keyframes"):
        for number, ids in enumerate(stores.by_shard(clips, "keyframes")):
            shards.update_shard(
                stores.shard_path(FOLDER, number),
                "keyframes",
                cache_key,
                {clip_id: shards.fingerprint(clips[clip_id].content, cache_key) for clip_id in ids},
                lambda new: {clip_id: shards.Record(arrays[clip_id]) for clip_id in new},
                provenance={"model": features.name, "revision": None},
            )
    print(f"{len(arrays)} clips have the embeddings of {features.name} in {path}")


def embed_keyframes(settings: params.Params, clips: Mapping[str, Clip], retry_failed: bool) -> None:
    """Decode the keyframes of new and changed clips, and embed them."""
    checkpoint = checkpoints.locate(settings.encoder.model, settings.encoder.revision)
    sampling = {"frames": settings.encoder.frames, "pick": settings.encoder.pick, "batch": settings.encoder.batch}
    cache_key = {**checkpoints.cache_key(checkpoint), **sampling}
    provenance = {
        "model": settings.encoder.model,
        "revision": settings.encoder.revision,
        "cost": cost.image_cost(checkpoint),
    }
    encoder = cache(lambda: loading.load_encoder(checkpoint, settings.compute))
    decode = crash_safe.crash_safe(keyframes.read_keyframes, settings.compute)

    def prepare(clip_id: str) -> list[tuple[int, float, embedding.Pixels]] | Failure:
        """Return index, seconds and input of each keyframe. Threads call this while the encoder computes embeddings."""
        path = f"{settings.dataset.root}/{clips[clip_id].path}"
        found = decode(path, settings.encoder.frames, settings.encoder.pick, Limits.of(settings.compute))
        if isinstance(found, Failure):
            return found
        return [(frame.frame, frame.time, embedding.preprocess(encoder(), frame.image)) for frame in found]

    def compute(ids: list[str]) -> dict[str, shards.Record | Failure]:
        results: dict[str, shards.Record | Failure] = {}
        positions: list[tuple[str, int, float]] = []
        encoder()  # loaded once, before the threads use it

        def pixels() -> Iterator[embedding.Pixels]:
            for clip_id, found in zip(ids, engines.map_ahead(prepare, ids, settings.compute.workers), strict=True):
                bar.update()
                if isinstance(found, Failure):
                    results[clip_id] = machine_failures[clip_id] = found
                    continue
                for frame, seconds, image in found:
                    positions.append((clip_id, frame, seconds))
                    yield image

        embeddings = list(embedding.embed_pixels(encoder(), pixels(), settings.encoder.batch))
        for clip_id in dict.fromkeys(clip_id for clip_id, _, _ in positions):
            rows = [row for row, (key, _, _) in enumerate(positions) if key == clip_id]
            results[clip_id] = shards.Record(
                {
                    "embedding": np.stack([embeddings[row] for row in rows]),
                    "frame": np.array([positions[row][1] for row in rows]),
                    "time": np.array([positions[row][2] for row in rows]),
                    "source": np.array(clips[clip_id].sha256),
                }
            )
        return results

    before = recorded_failures(FOLDER)
    machine_failures: dict[str, Failure] = {}
    computed = failed = 0
    with stores.updating(FOLDER, "keyframes"), progress("keyframes", len(clips), "clip") as bar:
        for number, ids in enumerate(stores.by_shard(clips, "keyframes")):
            fingerprints = {clip_id: shards.fingerprint(clips[clip_id].content, cache_key) for clip_id in ids}
            path = stores.shard_path(FOLDER, number)
            new, new_failures = shards.update_shard(
                path, "keyframes", cache_key, fingerprints, compute, retry_failed, provenance
            )
            computed, failed = computed + new, failed + new_failures
            bar.set_postfix(computed=computed, failed=failed, refresh=False)
            bar.update(len(ids) - new)
    failures = stores.open_store(FOLDER).failures
    check_machine(machine_failures, before, len(clips), "keyframes")
    check_failed(failures, len(clips), settings.dataset.max_failed, "keyframes")


if __name__ == "__main__":
    run_stage("keyframes", main)
