"""The labels of clips as the array that classifiers are fitted on."""

from collections.abc import Sequence

import numpy as np

from mocliplite.data.clips import Clip


def label_array(clips: Sequence[Clip], multi_label: bool, classes: int) -> np.ndarray:
    """Return the class of each clip, int64 [N], or with multi_label whether it has each class, uint8 [N, classes].

    This is scikit-learn's convention for the targets of classifiers.
    """
    if not multi_label:
        return np.array([clip.index for clip in clips])
    labels = np.zeros((len(clips), classes), dtype=np.uint8)
    for row, clip in enumerate(clips):
        labels[row, list(clip.indices)] = 1
    return labels
