"""The fitted heads and what they are compared with, in numpy alone: two matrix products need no torch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mocliplite.evaluation import calibration
from mocliplite.evaluation.metrics import softmax, within_top
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import probe_logits, tensors_of

STREAMS = {"fusion": ("keyframe", "motion"), "keyframe": ("keyframe",)}  # what each head sees
SINGLE_STREAM = ("keyframe", "keyframe_probe", "motion", "motion_probe")  # ways that see one stream and were trained
MIXED = {"score_fusion": ("keyframe", "motion"), "blend": ("keyframe", "motion", "ridge", "fusion")}


def head_logits(tensors: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    """Logits float32 [S, N, C] of all seeds of the head `name`, for features float32 [N, D]."""
    part = tensors_of(tensors, name)
    hidden = np.maximum((x - part["mean"]) / part["std"] @ part["weight1"] + part["bias1"], 0)
    return hidden @ part["weight2"] + part["bias2"]


def zero_shot_logits(keyframe: np.ndarray, prompts: np.ndarray, scale: float) -> np.ndarray:
    """CLIP's own answer, float32 [N, C]: scaled cosines of keyframes [N, D1] and class prompts [C, D1] of length 1."""
    length = np.maximum(np.linalg.norm(keyframe, axis=1, keepdims=True), 1e-12)
    return scale * (keyframe / length) @ prompts.T


def trained_logits(heads: Arrays, probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Logits of all that was trained: of the heads [S, N, C], of the motion network and the probes [N, C].

    data: the arrays of pairs.h5, or the same of new clips, which have neither label nor split.
    """
    return {
        "motion": data["motion_logits"],
        **{name: head_logits(heads, name, features(data, seen)) for name, seen in STREAMS.items()},
        **probe_logits(probes, data),
    }


def all_logits(heads: Arrays, probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Logits of every way that mixes no others, for the arrays of pairs.h5: trained_logits and CLIP's own answer."""
    own = zero_shot_logits(data["keyframe"][:, 0], data["prompts"], float(data["logit_scale"]))
    return {"zero_shot": own} | trained_logits(heads, probes, data)


def fit_calibration(logits: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, Any]:
    """All that validation clips decide once the heads are fitted: see `settle`. Also the best single stream."""
    temperature = {name: calibration.fit_temperature(values, labels) for name, values in logits.items()}
    calm = {name: values / temperature[name] for name, values in logits.items()}
    weights = {name: fit_mixing_weights([calm[part] for part in parts], labels) for name, parts in MIXED.items()}
    for name, parts in MIXED.items():
        calm[name] = mix([calm[part] for part in parts], weights[name])
        temperature[name] = calibration.fit_temperature(calm[name], labels)
    top1 = {name: float(within_top(logits[name], labels, 1).mean()) for name in SINGLE_STREAM}
    return {"temperature": temperature, "weights": weights, "best_single": max(SINGLE_STREAM, key=top1.__getitem__)}


def calibrate(logits: Mapping[str, np.ndarray], chosen: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Logits of every way whose softmax are calibrated probabilities; mixed ways are added."""
    calm = {name: values / chosen["temperature"][name] for name, values in logits.items()}
    for name, parts in MIXED.items():
        mixed = mix([calm[part] for part in parts], chosen["weights"][name])
        calm[name] = mixed / chosen["temperature"][name]
    return calm


def mix(parts: list[np.ndarray], weights: list[float]) -> np.ndarray:
    """Weighted sum of the log probabilities of several ways, [S, N, C]; those without seeds count for each seed."""
    return np.tensordot(np.asarray(weights), _log_probabilities(parts), axes=1)


def fit_mixing_weights(parts: list[np.ndarray], labels: np.ndarray) -> list[float]:
    """Weights of `mix`, which add up to 1: those of the best log likelihood, whatever the temperature after it."""
    weights = calibration.fit_log_weights(_log_probabilities(parts), labels)
    return (weights / weights.sum()).tolist() if weights.any() else [1 / len(parts)] * len(parts)


def _log_probabilities(parts: list[np.ndarray]) -> np.ndarray:
    return np.stack(np.broadcast_arrays(*[np.log(softmax(part) + 1e-12) for part in parts]))
