"""Folds of whole groups with similar classes, as scikit-learn's StratifiedGroupKFold makes them.

Written by hand because importing scikit-learn takes longer than everything else in the stage `split`.
"""

from collections.abc import Sequence

import numpy as np


def group_folds(classes: Sequence[Sequence[int]], groups: Sequence[str], count: int, seed: int) -> np.ndarray:
    """Return the fold of each clip, int64 [N], from 0: those of StratifiedGroupKFold(count, shuffle=True).

    classes: of each clip, at least one; scikit-learn accepts exactly one.

    Groups are shuffled, and those with few classes come first. Each goes to the fold with which the classes are then
    spread most evenly over the folds; of equally good folds, to the smallest.
    """
    _, group = np.unique(groups, return_inverse=True)
    names, column = np.unique([index for clip in classes for index in clip], return_inverse=True)
    clips = np.zeros((group.max() + 1, len(names)))  # by group and class
    np.add.at(clips, (np.repeat(group, [len(clip) for clip in classes]), column), 1)
    shuffled = np.random.RandomState(seed).permutation(len(clips))
    order = shuffled[np.argsort(-clips.std(axis=1)[shuffled], kind="stable")]

    totals = clips.sum(axis=0)
    fold_of_group, fold_clips = np.zeros(len(clips), dtype=np.int64), np.zeros((count, len(names)))
    for index in order:
        fold = _best_fold(fold_clips, clips[index], totals)
        fold_of_group[index] = fold
        fold_clips[fold] += clips[index]
    return fold_of_group[group]


def _best_fold(fold_clips: np.ndarray, group_clips: np.ndarray, totals: np.ndarray) -> int:
    """Return the fold for a group. fold_clips: [F, C], clips of each class in the folds; totals: [C], in all."""
    best, lowest, smallest = 0, np.inf, np.inf
    for fold in range(len(fold_clips)):
        proposed = fold_clips.copy()
        proposed[fold] += group_clips
        unevenness, size = (proposed / totals).std(axis=0).mean(), fold_clips[fold].sum()
        if unevenness < lowest or (np.isclose(unevenness, lowest) and size < smallest):
            best, lowest, smallest = fold, unevenness, size
    return best
