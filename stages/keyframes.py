"""Embed the keyframes of every clip with the frozen image encoder, or take the embeddings from a file.

Reads features/clips.csv, and the videos and the checkpoint, or encoder.features; writes features/keyframes/. Only new
and changed clips are decoded, and with --retry-failed also those that failed. The segments of a file are decoded
together. With --part I/N, only a part of the shards is written.
"""

from collections.abc import Mapping

from mocliplite import params
from mocliplite.data.clips import Clip, read_clips
from mocliplite.encoders import own_features
from mocliplite.extraction import keyframes, shard_runs
from mocliplite.runtime import arguments
from mocliplite.store import shards, stores, update
from mocliplite.store.failures import reckon

from . import run_stage

FOLDER = "features/keyframes"


def main() -> None:
    given = arguments.parse("keyframes")
    settings = params.load()
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    if settings.encoder.features == params.NO_PATH:
        embed_keyframes(settings, clips, given)
    else:
        store_own_features(settings.encoder.features, clips, given.part)


def store_own_features(file: str, clips: Mapping[str, Clip], part: arguments.Part) -> None:
    """Write the store from a file of embeddings. Raises UserError unless it has a row of every clip."""
    features = own_features.read_own_features(file)
    paths, sources = ({key: getattr(clips[key], name) for key in clips} for name in ("path", "sha256"))
    arrays = own_features.arrays_by_clip(features, paths, sources)
    cache_key = own_features.cache_key(features)
    with stores.updating(FOLDER, "keyframes", len(clips), part.name):
        for shard in shard_runs.shards_of_clips(FOLDER, "keyframes", clips, part):
            update.update_shard(
                shard.path,
                "keyframes",
                cache_key,
                {clip.id: shards.fingerprint(clip.content, cache_key) for clip in shard.clips},
                lambda new: ((clip_id, shards.Record(arrays[clip_id])) for clip_id in new),
                provenance={"model": features.name, "revision": None},
            )
    if part == arguments.WHOLE:
        reckon(FOLDER, clips, "keyframes")
    print(f"{len(arrays)} clips have the embeddings of {features.name} in {file}")


def embed_keyframes(settings: params.Params, clips: Mapping[str, Clip], given: arguments.Arguments) -> None:
    """Decode the keyframes of new and changed clips, and embed them."""
    shards_of_part = shard_runs.shards_of_clips(FOLDER, "keyframes", clips, given.part)
    specs = keyframes.specs_of(shards_of_part, settings, given.retry_failed)
    shard_runs.update_store_of_clips(FOLDER, "keyframes", keyframes.update_shards, specs, clips, settings, given.part)


if __name__ == "__main__":
    run_stage("keyframes", main)
