"""Accuracy of the probes against the number of train clips: would more clips help?

Arrays are those of features/pairs.h5 for the train or the validation clips.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from mocliplite.evaluation.multi_label import mean_average_precision
from mocliplite.fusion import ridge
from mocliplite.fusion.draws import draw_clips, draw_groups
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import PROBES

DRAWS = 3  # random subsets of the clips at each point of the curve
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)  # of the train clips, where a clip may have several classes


def learning_curve(train: Arrays, val: Arrays, alphas: Mapping[str, float]) -> list[dict[str, object]]:
    """Return a row per number of train clips per class (1, 2, 4, ... up to all): validation top-1 of each probe.

    A row has the mean and the standard deviation over draws of whole groups; see `draw_clips`. The penalty alpha is
    scaled with the number of clips, so that its weight relative to a clip stays the same. The motion network was
    trained on all train clips, so the curves of probes on motion start too high. Where a clip may have several classes,
    a row is a share of the clips (SHARES; see `draw_groups`), its number the mean over classes and draws, and the
    figure mAP.
    """
    rows: list[dict[str, object]] = []
    for clips_per_class, subsets in _subsets(train["label"], train["group"]):
        row: dict[str, object] = {"clips_per_class": clips_per_class}
        for name in PROBES:
            found = [_val_figure(train, val, name, subset, alphas[name]) for subset in subsets]
            row |= {name: float(np.mean(found)), f"{name}_std": float(np.std(found, ddof=1)) if len(found) > 1 else 0.0}
        rows.append(row)
    return rows


def _subsets(labels: np.ndarray, groups: np.ndarray) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield the number of clips per class of each point of the curve, and the rows of the clips of each draw."""
    if labels.ndim == 2:
        for share in SHARES:
            subsets = [draw_groups(groups, share, draw) for draw in range(DRAWS if share < 1 else 1)]
            yield round(float(np.mean([labels[subset].sum(axis=0).mean() for subset in subsets]))), subsets
        return
    largest = int(np.bincount(labels).max())
    sizes = [2**power for power in range(largest.bit_length()) if 2**power < largest] + [largest]
    for size in sizes:
        yield size, [draw_clips(labels, groups, size, draw) for draw in range(DRAWS if size < largest else 1)]


def _val_figure(train: Arrays, val: Arrays, probe: str, subset: np.ndarray, alpha: float) -> float:
    x, x_val = (features(data, PROBES[probe]) for data in (train, val))
    clips = x[subset], train["label"][subset]
    scores = ridge.scores_of(clips, len(train["classes"]), alpha * len(subset) / len(x), x_val)
    if val["label"].ndim == 2:
        return mean_average_precision(scores, val["label"])
    return float((scores.argmax(axis=1) == val["label"]).mean())
