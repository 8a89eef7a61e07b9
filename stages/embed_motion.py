"""Embed every clip with the frozen motion network, in each of motion_net.views.

Reads features/motion/ and models/motion/; writes features/motion_embeddings/.
"""

import numpy as np

from mocliplite import checkpoint, fit, loader, nets, params, store
from mocliplite.device import device
from mocliplite.errors import run

FOLDER = "features/motion_embeddings"


def main() -> None:
    settings = params.load()
    where = device(settings.compute)
    tensors, config = checkpoint.load("models/motion")
    net, net_settings = nets.restore(tensors, config).to(where), nets.settings(config)
    motion = store.open_store("features/motion")
    workers = settings.compute.workers if settings.compute.engine == "processes" else 0
    views = settings.motion_net.views
    decided = {"motion": motion.settings, **{key: config[key] for key in ("net", "classes", "cost")}, "views": views}

    def compute(ids: list[str]) -> dict[str, store.Record | store.Failure]:
        results: dict[str, store.Record | store.Failure] = {
            key: motion.failures[key] for key in ids if key in motion.failures
        }
        usable = [clip_id for clip_id in ids if clip_id not in results]
        clips = loader.MotionClips(motion, usable, net_settings)
        seen = [fit.embed_clips(net, clips, net_settings, view, workers) for view in views]
        embedding = np.stack([embeddings for embeddings, _ in seen], axis=1)
        logits = np.mean([scores for _, scores in seen], axis=0)
        for row, clip_id in enumerate(usable):
            arrays = {"embedding": embedding[row], "logits": logits[row], "frames": np.array(motion.lengths[clip_id])}
            results[clip_id] = store.Record(arrays)
        return results

    with store.renewing(FOLDER, "motion_embeddings"):
        for number, ids in enumerate(store.by_shard(motion.fingerprints, "motion_embeddings")):
            wanted = {clip_id: motion.fingerprints[clip_id] for clip_id in ids}
            store.update_shard(store.shard_path(FOLDER, number), "motion_embeddings", decided, wanted, compute)


if __name__ == "__main__":
    run(main)
