"""Embed every clip with the frozen motion network, in each of motion_net.views.

Reads features/motion/ and models/motion/; writes features/motion_embeddings/.
"""

import numpy as np

from mocliplite import checkpoint, params
from mocliplite.errors import Failure, run
from mocliplite.motion_net import loader, networks
from mocliplite.motion_net.embedding import embed_clips
from mocliplite.runtime.device import device
from mocliplite.store import shards, stores

FOLDER = "features/motion_embeddings"


def main() -> None:
    settings = params.load()
    where = device(settings.compute)
    tensors, config = checkpoint.load("models/motion")
    net, net_settings = networks.load_network(tensors, config).to(where), networks.settings_of(config)
    motion = stores.open_store("features/motion")
    workers = settings.compute.workers if settings.compute.engine == "processes" else 0
    views = settings.motion_net.views
    of_the_model = {key: config[key] for key in ("version", "net", "classes", "cost")}
    cache_key = {"motion": motion.settings, **of_the_model, "views": views}

    def compute(ids: list[str]) -> dict[str, shards.Record | Failure]:
        results: dict[str, shards.Record | Failure] = {
            key: motion.failures[key] for key in ids if key in motion.failures
        }
        usable = [clip_id for clip_id in ids if clip_id not in results]
        clips = loader.MotionClips(motion, usable, net_settings)
        seen = [embed_clips(net, clips, net_settings, view, workers) for view in views]
        embedding = np.stack([embeddings for embeddings, _ in seen], axis=1)
        logits = np.mean([scores for _, scores in seen], axis=0)
        for row, clip_id in enumerate(usable):
            arrays = {"embedding": embedding[row], "logits": logits[row], "frames": np.array(motion.lengths[clip_id])}
            results[clip_id] = shards.Record(arrays)
        return results

    with stores.updating(FOLDER, "motion_embeddings"):
        for number, ids in enumerate(stores.by_shard(motion.fingerprints, "motion_embeddings")):
            wanted = {clip_id: motion.fingerprints[clip_id] for clip_id in ids}
            shards.update_shard(stores.shard_path(FOLDER, number), "motion_embeddings", cache_key, wanted, compute)


if __name__ == "__main__":
    run(main)
