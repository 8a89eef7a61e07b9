"""Accuracy of the probes against the number of train clips: would more clips help?

Arrays are those of features/pairs.h5 for the train or the validation clips.
"""

from collections.abc import Mapping

import numpy as np

from mocliplite.fusion import ridge
from mocliplite.fusion.draws import draw_clips
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import PROBES

DRAWS = 3  # random subsets of the clips at each point of the curve


def learning_curve(train: Arrays, val: Arrays, alphas: Mapping[str, float]) -> list[dict[str, object]]:
    """Return a row per number of train clips per class (1, 2, 4, ... up to all) and probe, called `curve`.

    A row has the mean `top1` on validation, and its `std` over draws of whole groups; see `draw_clips`. The penalty
    alpha is scaled with the number of clips, so that its weight relative to a clip stays the same. The motion network
    was trained on all train clips, so the curves of probes on motion start too high.
    """
    labels = train["label"]
    largest = int(np.bincount(labels).max())
    sizes = [2**power for power in range(largest.bit_length()) if 2**power < largest] + [largest]
    rows: list[dict[str, object]] = []
    for size in sizes:
        draws = range(DRAWS if size < largest else 1)
        subsets = [draw_clips(labels, train["group"], size, draw) for draw in draws]
        for name in PROBES:
            top1 = [_val_top1(train, val, name, subset, alphas[name]) for subset in subsets]
            std = float(np.std(top1, ddof=1)) if len(top1) > 1 else 0.0
            rows.append({"clips_per_class": size, "curve": name, "top1": float(np.mean(top1)), "std": std})
    return rows


def _val_top1(train: Arrays, val: Arrays, probe: str, subset: np.ndarray, alpha: float) -> float:
    x, x_val = (features(data, PROBES[probe]) for data in (train, val))
    clips = x[subset], train["label"][subset]
    scores = ridge.scores_of(clips, len(train["classes"]), alpha * len(subset) / len(x), x_val)
    return float((scores.argmax(axis=1) == val["label"]).mean())
