"""The fitted heads and what they are compared with, in numpy alone: two matrix products need no torch."""

from typing import Any

import numpy as np

from mocliplite.scores import softmax

WEIGHTS = np.linspace(0, 1, 21)  # of the keyframe's scores, tried on validation


def fuse(keyframe: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The fusion head's input, float32 [..., D1 + D2], from keyframe [..., D1] and one motion view [..., D2]."""
    return np.concatenate([keyframe, motion], axis=-1)


def head_logits(tensors: dict[str, np.ndarray], name: str, features: np.ndarray) -> np.ndarray:
    """Logits float32 [S, N, C] of all seeds of the head `name`, for features float32 [N, D]."""
    part = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
    hidden = np.maximum((features - part["mean"]) / part["std"] @ part["weight1"] + part["bias1"], 0)
    return hidden @ part["weight2"] + part["bias2"]


def zero_shot_logits(keyframe: np.ndarray, prompts: np.ndarray, scale: float) -> np.ndarray:
    """CLIP's own answer, float32 [N, C]: scaled cosines of keyframes [N, D1] and class prompts [C, D1] of length 1."""
    length = np.maximum(np.linalg.norm(keyframe, axis=1, keepdims=True), 1e-12)
    return scale * (keyframe / length) @ prompts.T


def all_logits(tensors: dict[str, np.ndarray], data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Logits of each way of recognising, [S, N, C] where there are seeds, else [N, C], from the arrays of pairs.h5."""
    keyframe, motion = data["keyframe"], data["motion"][:, 0]
    return {
        "zero_shot": zero_shot_logits(keyframe, data["prompts"], float(data["logit_scale"])),
        "keyframe": head_logits(tensors, "keyframe", keyframe),
        "motion": data["motion_logits"],
        "fusion": head_logits(tensors, "fusion", fuse(keyframe, motion)),
    }


def score_fusion(
    keyframe: np.ndarray, motion: np.ndarray, labels: np.ndarray, val: np.ndarray
) -> tuple[np.ndarray, float]:
    """Weighted sum of log probabilities [S, N, C], and the keyframe's weight: the best log likelihood on `val`."""
    parts = [np.log(softmax(logits) + 1e-12) for logits in (keyframe, np.broadcast_to(motion, keyframe.shape))]
    mixed = {weight: weight * parts[0] + (1 - weight) * parts[1] for weight in WEIGHTS.tolist()}
    likelihood = {
        weight: np.log(softmax(values)[:, val][:, np.arange(val.sum()), labels[val]] + 1e-12).mean()
        for weight, values in mixed.items()
    }
    weight = max(mixed, key=likelihood.__getitem__)
    return mixed[weight], weight


def cost(tensors: dict[str, np.ndarray], features: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Parameters and multiply-accumulates of one clip by part; the head's are one seed's."""
    clip, frames = features["keyframes"]["cost"], features["keyframes"]["frames"]
    layers = [tensors[f"fusion.{name}"][0] for name in ("weight1", "bias1", "weight2", "bias2")]
    head = {"parameters": sum(layer.size for layer in layers), "macs": layers[0].size + layers[2].size}
    parts = {
        "clip": {"parameters": clip["parameters"], "macs": clip["macs"] * frames},
        "motion": features["motion_embeddings"]["cost"],
        "head": head,
    }
    total = {key: sum(part[key] for part in parts.values()) for key in ("parameters", "macs")}
    return {**parts, "total": total}
