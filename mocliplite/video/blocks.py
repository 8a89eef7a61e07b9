"""Vectors that libavcodec exports for a frame."""

from collections.abc import Sequence

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer

# Memory layout of AVMotionVector in libavcodec, including padding.
EXPORTED = np.dtype(
    {
        "names": [
            *("source", "w", "h", "src_x", "src_y", "dst_x", "dst_y"),
            *("flags", "motion_x", "motion_y", "motion_scale"),
        ],
        "formats": ["i4", "u1", "u1", "i2", "i2", "i2", "i2", "u8", "i4", "i4", "u2"],
        "offsets": [0, 4, 5, 6, 8, 10, 12, 16, 24, 28, 32],
        "itemsize": 40,
    }
)
NO_VECTORS = np.zeros(0, dtype=EXPORTED)


def exported_vectors(frame: av.VideoFrame) -> np.ndarray:
    """Return the vectors of a frame: EXPORTED [V], a view of its memory."""
    # Not frame.side_data, which creates a reference cycle: frames would be freed only by the garbage collector, and the
    # decoder would have to allocate new ones, which takes 1.5 times as long.
    side = SideDataContainer(frame).get("MOTION_VECTORS")  # type: ignore[call-arg]
    return NO_VECTORS if side is None else np.frombuffer(side, EXPORTED)


def copied(exported: np.ndarray) -> np.ndarray:
    """Return a read-only copy of vectors: EXPORTED [V]."""
    # As bytes, because numpy copies structures field by field, which takes many times as long.
    return np.frombuffer(exported.tobytes(), EXPORTED)


class Joiner:
    """Concatenation of vectors in memory that is used again, since fresh memory takes longer than the copy."""

    def __init__(self) -> None:
        self._words = np.empty(0, dtype=np.int64)

    def join(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the concatenation of at least one array: EXPORTED [V], valid until the next call."""
        words = [part.view(np.int64) for part in parts]
        size = sum(map(len, words))
        if size > len(self._words):
            self._words = np.empty(size * 3 // 2, dtype=np.int64)
        vectors: np.ndarray = np.concatenate(words, out=self._words[:size]).view(EXPORTED)
        return vectors
