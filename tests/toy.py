"""A small pairs.h5: three objects with two motions each. Only both streams together identify the six classes."""

from pathlib import Path

import numpy as np
import yaml
from builders import CHECKOUT

from mocliplite.fusion.pairs import select_clips
from mocliplite.store import table_file

CLASSES = np.array([f"{item}{motion}" for item in ("Ball", "Box", "Star") for motion in ("Falling", "Rolling")])
SETTINGS = {
    "keyframes": {"weights": "0", "frames": 1},
    "motion_embeddings": {"motion": {"cell_size": 8}, "model": "0", "data": "0", "views": ["plain", "shift"]},
    "prompts": {"weights": "0", "templates": ["a {}"]},
}
PROVENANCE = {"cost": {"encoder": {"parameters": 10, "macs": 100}, "motion": {"parameters": 20, "macs": 200}}}


def pairs_of(groups=10, clips=2, noise=0.6, seed=0):
    """Return the arrays of pairs.h5. Of ten groups of a class, 6 are in train, 2 in val and 2 in test."""
    rng = np.random.default_rng(seed)
    label, group, number = (part.ravel() for part in np.indices((6, groups, clips)))
    split = np.array(["train"] * 6 + ["val"] * 2 + ["test"] * 2)[group % 10]

    def around(centres):
        group_noise = rng.normal(scale=noise / 2, size=(6, groups, centres.shape[1]))[label, group]
        return centres + group_noise + rng.normal(scale=noise, size=centres.shape)

    keyframe = around(np.eye(3, 8)[label // 2] * 2)
    motion = around(np.eye(2, 5)[label % 2] * 2)
    return {
        "ids": np.array([f"c{a}_g{b}_t{c}" for a, b, c in zip(label, group, number, strict=True)]),
        "label": label,
        "split": split,
        "group": np.array([f"{CLASSES[a]}/g{b}" for a, b in zip(label, group, strict=True)]),
        "keyframe": keyframe[:, None].astype(np.float32),
        "motion": np.stack([motion, motion + rng.normal(scale=0.1, size=motion.shape)], axis=1).astype(np.float32),
        "motion_logits": (motion[:, np.arange(6) % 2] * 2).astype(np.float32),
        "prompts": np.eye(6, 8, dtype=np.float32)[np.arange(6) // 2],
        "classes": CLASSES,
        "logit_scale": np.array(10.0, dtype=np.float32),
        "similarity": np.zeros(len(label), dtype=np.float32),
    }


def split_of(arrays, split):
    """Return the arrays of the clips of one split."""
    return select_clips(arrays, arrays["split"] == split)


def put_pairs(arrays, **head):
    """Write features/pairs.h5 and a params.yaml with these head settings into the working directory."""
    settings = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    settings["head"] |= {"hidden": 16, "epochs": 20, "seeds": 2, "batch": 16, "lr": 0.01, **head}
    settings["compute"] |= {"threads": 1, "device": "cpu"}
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    table_file.write_table("features/pairs.h5", "pairs", arrays, SETTINGS, PROVENANCE)
