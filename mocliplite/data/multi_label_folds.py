"""Folds of whole groups among which classes are spread evenly, for clips that have several classes each."""

from collections.abc import Sequence

import numpy as np


def fold_of_clips(indices: Sequence[Sequence[int]], groups: Sequence[str], count: int, seed: int) -> np.ndarray:
    """Return the fold of each clip, from 0 to count - 1, int64 [N]. A group is in one fold.

    Groups take turns, the largest first. Each joins the fold that has the smallest share of the classes of the group so
    far. This minimises, one group at a time, the sum of the squares of all shares.

    indices: the classes of each clip; groups: the group of each clip; seed: decides between groups of equal size.
    """
    names, group = np.unique(groups, return_inverse=True)
    classes = max((index for clip in indices for index in clip), default=-1) + 1
    # Clips count as one class more, so that clips without a class are spread as well.
    counts = np.zeros((len(names), classes + 1))
    for row, clip in enumerate(indices):
        counts[group[row], [*clip, classes]] += 1
    shares = counts / np.maximum(counts.sum(axis=0), 1)
    order = np.random.default_rng(seed).permutation(len(names))
    filled, folds = np.zeros((count, classes + 1)), np.zeros(len(names), dtype=np.int64)
    for number in order[np.argsort(-counts.sum(axis=1)[order], kind="stable")]:
        # Rounded, so that ties do not depend on the processor.
        folds[number] = np.round(filled @ shares[number], 9).argmin()
        filled[folds[number]] += shares[number]
    return folds[group]
