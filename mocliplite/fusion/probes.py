"""Closed-form linear probes: which streams each sees, how they are fitted and applied."""

import numpy as np

from mocliplite.fusion import ridge
from mocliplite.fusion.pairs import Arrays, features

PROBES = {"ridge": ("keyframe", "motion"), "keyframe_probe": ("keyframe",), "motion_probe": ("motion",)}


def fit_probes(train: Arrays, val: Arrays) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Tensors of all closed-form probes, and the penalty of each, chosen on val."""
    tensors: dict[str, np.ndarray] = {}
    alphas: dict[str, float] = {}
    for name, seen in PROBES.items():
        given, judge = ((features(data, seen), data["label"]) for data in (train, val))
        fitted, alphas[name] = ridge.fit_ridge(given, judge, len(train["classes"]))
        tensors |= {f"{name}.{key}": value for key, value in fitted.items()}
    return tensors, alphas


def probe_logits(probes: Arrays, data: Arrays) -> dict[str, np.ndarray]:
    """Scores [N, C] of each closed-form probe, for the arrays of pairs.h5."""
    return {name: ridge.probe_logits(tensors_of(probes, name), features(data, seen)) for name, seen in PROBES.items()}


def tensors_of(tensors: Arrays, name: str) -> dict[str, np.ndarray]:
    """The tensors of one head or probe by their own names."""
    return {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
