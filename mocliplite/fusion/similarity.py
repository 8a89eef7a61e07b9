"""The most similar train clip of each validation and test clip."""

from collections.abc import Mapping

import numpy as np

NEAR_DUPLICATE = 0.995  # cosine of both streams above which two clips are taken for one and the same
_ROWS = 512  # compared at a time, to keep memory small


def nearest_train_clips(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """For each clip that is not for training, the train clip most like it: row int64 [N] and likeness float32 [N].

    Likeness is the lower of the two streams' cosines: a train clip that shares the scene alone, or the movement alone,
    is no twin. Train clips have row -1 and likeness 0.
    """
    train, others = np.flatnonzero(arrays["split"] == "train"), np.flatnonzero(arrays["split"] != "train")
    streams = [_unit(arrays[name][:, 0], train) for name in ("keyframe", "motion")]
    row, alike = np.full(len(arrays["ids"]), -1), np.zeros(len(arrays["ids"]), dtype=np.float32)
    for start in range(0, len(others), _ROWS):
        part = others[start : start + _ROWS]
        cosine = np.minimum(*(stream[part] @ stream[train].T for stream in streams))
        best = cosine.argmax(axis=1)
        row[part], alike[part] = train[best], cosine[np.arange(len(part)), best]
    return row, alike


def _unit(rows: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Rows of length 1 once the train clips' mean is off: what all clips share says nothing of any two."""
    centred = rows - rows[train].mean(axis=0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
