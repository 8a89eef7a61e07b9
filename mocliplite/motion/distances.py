"""Distances between a frame and its references, in frames."""

from bisect import bisect_left

import numpy as np


def reference_distances(order: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the frame intervals from each frame to its references: int64 [T, 2], (past, future), 0 for no reference.

    order: position of each frame in decoding order. reference: whether a frame may be a reference.

    The reference on either side is the nearest one that was decoded before. In MPEG-4 Part 2 it is the only one. In
    H.264 this is an assumption: libavcodec does not export the reference, but for most blocks encoders choose the
    nearest.
    """
    distances = np.zeros((len(order), 2), dtype=np.int64)
    decoded: list[int] = []
    for position in np.argsort(order, kind="stable").tolist():
        after = bisect_left(decoded, position)
        if after > 0:
            distances[position, 0] = position - decoded[after - 1]
        if after < len(decoded):
            distances[position, 1] = decoded[after] - position
        if reference[position]:
            decoded.insert(after, position)
    return distances
