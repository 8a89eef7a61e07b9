"""The most similar train clip of each validation and test clip."""

import numpy as np

from mocliplite.fusion.pairs import Arrays

NEAR_DUPLICATE = 0.995  # lower of the two streams' cosines from which on two clips count as near duplicates
_BATCH = 512  # clips compared at a time, to limit memory


def nearest_train_clips(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest train clip of each validation and test clip: row int64 [N], and similarity float32 [N].

    The similarity is the lower of the two streams' cosines, since a train clip with only the same scene, or only the
    same motion, is not a duplicate. Train clips have row -1 and similarity 0.
    """
    train, others = np.flatnonzero(arrays["split"] == "train"), np.flatnonzero(arrays["split"] != "train")
    streams = [_centred_unit(arrays[name][:, 0], train) for name in ("keyframe", "motion")]
    nearest, similarity = np.full(len(arrays["ids"]), -1), np.zeros(len(arrays["ids"]), dtype=np.float32)
    for start in range(0, len(others), _BATCH):
        rows = others[start : start + _BATCH]
        cosine = np.minimum(*(stream[rows] @ stream[train].T for stream in streams))
        best = cosine.argmax(axis=1)
        nearest[rows], similarity[rows] = train[best], cosine[np.arange(len(rows)), best]
    return nearest, similarity


def _centred_unit(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Features [N, D] minus the mean of the train clips, which all clips share, scaled to length 1."""
    centred = features - features[train].mean(axis=0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
