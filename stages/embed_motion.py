"""Embed every clip with the frozen motion network, in each of motion_net.views.

Reads features/motion/ and models/motion/; writes features/motion_embeddings/.
"""

from collections.abc import Iterator

import numpy as np

from mocliplite import checkpoint, params
from mocliplite.errors import Failure, UserError
from mocliplite.motion_net import loader, networks
from mocliplite.motion_net.embedding import embed_clips
from mocliplite.runtime.device import device
from mocliplite.store import layout, shards, stores, update

from . import run_stage

FOLDER = "features/motion_embeddings"


def main() -> None:
    settings = params.load()
    tensors, config = checkpoint.load("models/motion")
    net_settings = networks.settings_from_config(config)
    net = networks.load_network(tensors, config).to(device(settings.compute))
    motion = stores.open_store("features/motion")
    workers = settings.compute.workers if settings.compute.engine == "processes" else 0
    views = settings.motion_net.views
    if config["motion"] != motion.settings:
        raise UserError(
            "models/motion was trained on fields with other settings than features/motion; run `dvc repro`."
        )
    model = checkpoint.digest("models/motion")
    cache_key = {"motion": motion.settings, "model": model, "data": config.get("data"), "views": views}
    provenance = {"net": config["net"], "cost": config["cost"]}

    def compute(ids: list[str]) -> Iterator[tuple[str, shards.Record | Failure]]:
        yield from ((clip_id, motion.failures[clip_id]) for clip_id in ids if clip_id in motion.failures)
        usable = [clip_id for clip_id in ids if clip_id not in motion.failures]
        if not usable:
            return
        clips = loader.MotionClips(motion, usable, net_settings)
        embedding, logits = embed_clips(net, clips, net_settings, views, workers)
        for row, clip_id in enumerate(usable):
            arrays = {
                "embedding": embedding[row],
                "logits": logits[row].mean(axis=0),
                "frames": np.array(motion.lengths[clip_id]),
            }
            yield clip_id, shards.Record(arrays)

    with stores.updating(FOLDER, "motion_embeddings", len(motion.fingerprints)):
        for path, ids in layout.ids_by_path(FOLDER, "motion_embeddings", motion.fingerprints).items():
            fingerprints = {clip_id: motion.fingerprints[clip_id] for clip_id in ids}
            update.update_shard(path, "motion_embeddings", cache_key, fingerprints, compute, provenance=provenance)


if __name__ == "__main__":
    run_stage("embed_motion", main)
