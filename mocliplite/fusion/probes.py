"""Closed-form linear probes: their input streams, fitting, and scores."""

from typing import Literal

import numpy as np

from mocliplite.fusion import ridge
from mocliplite.fusion.pairs import Arrays, class_weights, features

PROBES = {"ridge": ("keyframe", "motion"), "keyframe_probe": ("keyframe",), "motion_probe": ("motion",)}


def fit_probes(
    train: Arrays, val: Arrays, class_weight: Literal["balanced"] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return the tensors of all probes, and the penalty of each, chosen on val; see params.Head for class_weight."""
    classes = len(train["classes"])
    weights = class_weights(train["label"], classes) if class_weight == "balanced" else None
    tensors: dict[str, np.ndarray] = {}
    alphas: dict[str, float] = {}
    for name, streams in PROBES.items():
        train_data, val_data = ((features(data, streams), data["label"]) for data in (train, val))
        probe, alphas[name] = ridge.fit_ridge(train_data, val_data, classes, weights)
        tensors |= {f"{name}.{key}": value for key, value in probe.items()}
    return tensors, alphas


def probe_logits(probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Scores [N, C] of each probe, for the arrays of pairs.h5."""
    return {
        name: ridge.probe_logits(tensors_of(probes, name), features(data, streams)) for name, streams in PROBES.items()
    }


def tensors_of(tensors: Arrays, name: str) -> dict[str, np.ndarray]:
    """Return the tensors of one head or probe, without the prefix of its name."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
