"""Frame distances between a frame and its references."""

from bisect import bisect_left

import numpy as np


def reference_distances(order: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Frame intervals from each frame to its references: int64 [T, 2], (past, future), 0 where there is none.

    order is each frame's place in the order of decoding, reference whether others may refer to it. The nearest
    reference on either side that was decoded before is taken. MPEG-4 Part 2 has no other; H.264 may choose among
    several and libavcodec does not say which, but its encoders take the nearest for most blocks.
    """
    distances = np.zeros((len(order), 2), dtype=np.int64)
    decoded: list[int] = []
    for place in np.argsort(order, kind="stable").tolist():
        after = bisect_left(decoded, place)
        if after > 0:
            distances[place, 0] = place - decoded[after - 1]
        if after < len(decoded):
            distances[place, 1] = decoded[after] - place
        if reference[place]:
            decoded.insert(after, place)
    return distances
