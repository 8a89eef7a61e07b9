"""Random subsets of the train clips by whole groups, for curves of accuracy against the number of clips."""

import numpy as np


def draw_groups(groups: np.ndarray, share: float, draw: int) -> np.ndarray:
    """Return the sorted rows of the clips of random groups, int64, which are about `share` of all clips.

    Groups are added in random order until their clips are as many. Those of a smaller share are among those of a larger
    one of the same draw. groups and draw: as for draw_clips.
    """
    names, group = np.unique(groups, return_inverse=True)
    order = np.argsort(np.random.default_rng(draw).permutation(len(names))[group], kind="stable")
    last = group[order[max(round(share * len(groups)), 1) - 1]]
    return np.sort(order[: np.flatnonzero(group[order] == last)[-1] + 1])


def draw_clips(labels: np.ndarray, groups: np.ndarray, shots: int, draw: int) -> np.ndarray:
    """Return the sorted rows of `shots` random clips of each class, int64; a class with fewer contributes all it has.

    Groups are visited in random order, and each class takes its clips from one group after the other until it has
    enough. Single clips from all groups would show a model every scene, which nobody who labels a few clips has.
    The clips of fewer shots are among those of more shots of the same draw.

    labels: int [N]; groups: text [N], the unique names of `data.groups.group_of`; draw: number of the draw, its seed.
    """
    generator = np.random.default_rng(draw)
    names, group = np.unique(groups, return_inverse=True)
    group_rank, clip_rank = generator.permutation(len(names)), generator.permutation(len(labels))
    order = np.lexsort((clip_rank, group_rank[group], labels))
    first = np.searchsorted(labels[order], labels[order])  # position of the first clip of the same class
    return np.sort(order[np.arange(len(order)) - first < shots])
