"""Embed every clip with the frozen motion network, in each of motion_net.views.

Reads features/motion/ and models/motion/; writes features/motion_embeddings/.
"""

import numpy as np
import torch

from mocliplite import checkpoint, fields, fit, nets, params, store
from mocliplite.device import device
from mocliplite.errors import run

FOLDER = "features/motion_embeddings"


def main() -> None:
    settings = params.load()
    where = device(settings.compute)
    tensors, config = checkpoint.load("models/motion")
    net = nets.restore(tensors, config).to(where)
    motion = store.open_store("features/motion")
    shape = fit.field_shape(settings.motion_net)
    decided = {"motion": motion.settings, "net": config["net"], "classes": config["classes"], "cost": config["cost"]}

    def compute(ids: list[str]) -> dict[str, store.Record | store.Failure]:
        results: dict[str, store.Record | store.Failure] = {
            key: motion.failures[key] for key in ids if key in motion.failures
        }
        usable = [clip_id for clip_id in ids if clip_id not in results]
        sampled = torch.from_numpy(fields.load_fields(motion, usable, shape)).to(where)
        views = [fit.embed_motion(net, sampled, settings.motion_net.batch, view) for view in settings.motion_net.views]
        embedding = torch.stack([embeddings for embeddings, _ in views], dim=1).cpu().numpy()
        logits = views[0][1].cpu().numpy()
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
