"""Vectors that libavcodec exports for a frame."""

from typing import NamedTuple

import av
import numpy as np
from av.sidedata.motionvectors import MotionVectors
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


# The parts of EXPORTED that a motion field needs, as columns of 8 bytes each.
_KIND = np.dtype({"names": ["source", "w", "h"], "formats": ["i4", "u1", "u1"], "offsets": [0, 4, 5], "itemsize": 8})
_PLACE = np.dtype({"names": ["dst_x", "dst_y"], "formats": ["i2", "i2"], "offsets": [2, 4], "itemsize": 8})


class Columns(NamedTuple):
    """Blocks as arrays of length V, in the order in which they were exported."""

    source: np.ndarray  # int32, negative for the past, positive for the future
    width: np.ndarray  # uint8, pixels
    height: np.ndarray
    x: np.ndarray  # int16, pixels, centre of the block
    y: np.ndarray
    motion: np.ndarray  # int32 [2 V], motion_x and motion_y of each block


def exported_vectors(frame: av.VideoFrame) -> np.ndarray:
    """Return the vectors of a frame: EXPORTED [V], a view of its memory, which it keeps."""
    # Not frame.side_data, which creates a reference cycle: frames would be freed only by the garbage collector, and the
    # decoder would have to allocate new ones, which takes 1.5 times as long.
    for side in SideDataContainer(frame):  # type: ignore[call-arg]
        if isinstance(side, MotionVectors):
            return np.frombuffer(side, EXPORTED)  # type: ignore[call-overload]
    return NO_VECTORS


def copied(exported: np.ndarray) -> np.ndarray:
    """Return a read-only copy of vectors: EXPORTED [V]."""
    # As bytes, because numpy copies structures field by field, which takes many times as long.
    return np.frombuffer(exported.tobytes(), EXPORTED)


class BlockBuffer:
    """Columns of the blocks of some frames, in memory that is used again: fresh memory takes longer than the copy."""

    def __init__(self) -> None:
        self._columns = np.empty((3, 0), dtype=np.int64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, blocks: np.ndarray) -> None:
        """Add the blocks of a frame, EXPORTED [V]."""
        words = blocks.view(np.int64).reshape(-1, EXPORTED.itemsize // 8)
        start, self._size = self._size, self._size + len(words)
        if self._size > self._columns.shape[1]:
            grown = np.empty((3, self._size * 3 // 2), dtype=np.int64)
            grown[:, :start] = self._columns[:, :start]
            self._columns = grown
        self._columns[:2, start : self._size] = words[:, :2].T
        self._columns[2, start : self._size] = words[:, 3]

    def columns(self) -> Columns:
        """Return all blocks; the arrays are valid until the next call of append."""
        kind, place, motion = self._columns[:, : self._size]
        kinds, places = kind.view(_KIND), place.view(_PLACE)
        return Columns(
            source=kinds["source"],
            width=kinds["w"],
            height=kinds["h"],
            x=places["dst_x"],
            y=places["dst_y"],
            motion=motion.view(np.int32),
        )

    def clear(self) -> None:
        """Remove all blocks."""
        self._size = 0
