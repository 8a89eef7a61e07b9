"""Embed every clip with the frozen motion network, in each of motion_net.views.

Reads features/motion/ and models/motion/; writes features/motion_embeddings/. With --part I/N, only a part of the
shards is written.
"""

from mocliplite import params
from mocliplite.extraction import motion_embeddings, shard_runs
from mocliplite.runtime import arguments
from mocliplite.store.failures import reckon

from . import run_stage

FOLDER = "features/motion_embeddings"


def main() -> None:
    given = arguments.parse("embed_motion", decodes=False)
    settings = params.load()
    specs = motion_embeddings.specs_of(FOLDER, settings, given.part)
    shard_runs.update_store(
        FOLDER, "motion_embeddings", motion_embeddings.update_shards, specs, settings.compute, given.part
    )
    if given.part == arguments.WHOLE:
        reckon(FOLDER, [clip_id for spec in specs for _, ids in spec.shards for clip_id in ids], "embed_motion")


if __name__ == "__main__":
    run_stage("embed_motion", main)
