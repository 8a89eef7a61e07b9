"""Vectors exported by libavcodec for a frame, and their copies in the memory layout of motion fields."""

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
# The first, second and fourth 8 bytes of it, without flags and padding: the input of motion fields.
BLOCK = np.dtype(
    [
        *(("source", "i4"), ("w", "u1"), ("h", "u1")),
        *((name, "i2") for name in ("src_x", "src_y", "dst_x", "dst_y")),
        *(("motion_scale", "u2"), ("motion_x", "i4"), ("motion_y", "i4")),
    ]
)


def exported_vectors(frame: av.VideoFrame) -> np.ndarray:
    """Return the vectors of a frame: EXPORTED [V], a view of its memory."""
    # Not frame.side_data, which creates a reference cycle: frames would be freed only by the garbage collector, and the
    # decoder would have to allocate new ones, which takes 1.5 times as long.
    side = SideDataContainer(frame).get("MOTION_VECTORS")  # type: ignore[call-arg]
    return NO_VECTORS if side is None else np.frombuffer(side, EXPORTED)


class Blocks:
    """A growing array of BLOCK, copied directly from the memory of the frames."""

    def __init__(self) -> None:
        self._words, self.count = np.empty((1 << 14, BLOCK.itemsize // 8), dtype=np.int64), 0

    @property
    def size(self) -> int:
        """Allocated bytes."""
        return self._words.nbytes

    def add(self, exported: np.ndarray) -> int:
        """Append vectors of dtype EXPORTED and return their number."""
        start, self.count = self.count, self.count + len(exported)
        if self.count > len(self._words):
            # In place where the system can do so, because a copy needs twice the memory.
            self._words.resize((max(self.count, len(self._words) * 3 // 2), self._words.shape[1]), refcheck=False)
        words, new = exported.view(np.int64).reshape(-1, EXPORTED.itemsize // 8), self._words[start : self.count]
        new[:, :2], new[:, 2] = words[:, :2], words[:, 3]
        new.view(BLOCK)["motion_scale"][:, 0] = exported["motion_scale"]
        return len(exported)

    def all(self) -> np.ndarray:
        """Return all blocks: BLOCK [V]."""
        return self._words[: self.count].view(BLOCK)[:, 0]
