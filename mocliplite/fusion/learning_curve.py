"""Accuracy of the probes against the number of train clips: would more clips help?

Arrays are those of features/pairs.h5 for the train or the validation clips.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from mocliplite.fusion import ridge
from mocliplite.fusion.draws import draw_clips, draw_groups
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import PROBES

DRAWS = 3  # random subsets of the clips at each point of the curve
SHARES = (1 / 8, 1 / 4, 1 / 2, 1)  # of the train clips, where a clip may have several classes


def learning_curve(train: Arrays, val: Arrays, alphas: Mapping[str, float]) -> list[dict[str, object]]:
    """Return a row per number of train clips per class (1, 2, 4, ... up to all) and probe, called `curve`.

    A row has the mean `top1` on validation, and its `std` over draws of whole groups; see `draw_clips`. The penalty
    alpha is scaled with the number of clips, so that its weight relative to a clip stays the same. The motion network
    was trained on all train clips, so the curves of probes on motion start too high. Where a clip may have several
    classes, the points are SHARES of the clips (see `draw_groups`), `clips_per_class` is the mean over classes and
    draws, and `top1` the share of clips whose most probable class is one of theirs.
    """
    rows: list[dict[str, object]] = []
    inputs = {name: (features(train, streams), features(val, streams)) for name, streams in PROBES.items()}
    for clips_per_class, subsets in _subsets(train["label"], train["group"]):
        for name, (x, x_val) in inputs.items():
            top1 = [_top1(_scores(train, x, subset, alphas[name], x_val), val["label"]) for subset in subsets]
            std = float(np.std(top1, ddof=1)) if len(top1) > 1 else 0.0
            rows.append({"clips_per_class": clips_per_class, "curve": name, "top1": float(np.mean(top1)), "std": std})
    return rows


def _subsets(labels: np.ndarray, groups: np.ndarray) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Yield the number of clips per class of each point of the curve, and the rows of the clips of each draw."""
    if labels.ndim == 2:
        yield from _shares(labels, groups)
        return
    largest = int(np.bincount(labels).max())
    sizes = [2**power for power in range(largest.bit_length()) if 2**power < largest] + [largest]
    for size in sizes:
        yield size, [draw_clips(labels, groups, size, draw) for draw in range(DRAWS if size < largest else 1)]


def _shares(labels: np.ndarray, groups: np.ndarray) -> Iterator[tuple[int, list[np.ndarray]]]:
    last = 0
    for share in SHARES:
        subsets = [draw_groups(groups, share, draw) for draw in range(DRAWS if share < 1 else 1)]
        clips_per_class = round(float(np.mean([labels[subset].sum(axis=0).mean() for subset in subsets])))
        if clips_per_class > last:  # of few clips, two shares may be the same number
            yield clips_per_class, subsets
        last = clips_per_class


def _scores(train: Arrays, x: np.ndarray, subset: np.ndarray, alpha: float, x_val: np.ndarray) -> np.ndarray:
    """Scores of validation clips by a probe fitted on some of the train clips; x, x_val: the features of all."""
    clips = x[subset], train["label"][subset]
    return ridge.scores_of(clips, len(train["classes"]), alpha * len(subset) / len(x), x_val)


def _top1(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of the clips whose class of the highest score is one of theirs. scores: [N, C]."""
    guess = scores.argmax(axis=1)
    correct = guess == labels if labels.ndim == 1 else labels[np.arange(len(labels)), guess]
    return float(correct.mean())
