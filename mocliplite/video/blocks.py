"""Vectors exported by libavcodec for a frame, and their copies in the memory layout of motion fields."""

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
# The first, second and fourth 8 bytes of it, without flags and padding: the input of motion fields.
BLOCK = np.dtype(
    [
        *(("source", "i4"), ("w", "u1"), ("h", "u1")),
        *((name, "i2") for name in ("src_x", "src_y", "dst_x", "dst_y")),
        *(("motion_scale", "u2"), ("motion_x", "i4"), ("motion_y", "i4")),
    ]
)
NO_BLOCKS = np.zeros(0, dtype=BLOCK)


def exported_vectors(frame: av.VideoFrame) -> np.ndarray:
    """Return the vectors of a frame: EXPORTED [V], a view of its memory."""
    # Not frame.side_data, which creates a reference cycle: frames would be freed only by the garbage collector, and the
    # decoder would have to allocate new ones, which takes 1.5 times as long.
    side = SideDataContainer(frame).get("MOTION_VECTORS")  # type: ignore[call-arg]
    return NO_VECTORS if side is None else np.frombuffer(side, EXPORTED)


def blocks_of(exported: np.ndarray) -> np.ndarray:
    """Return a copy of vectors of dtype EXPORTED: BLOCK [V]."""
    # By words of 8 bytes, which takes a fraction of the time of copying field by field.
    words = exported.view(np.int64).reshape(-1, EXPORTED.itemsize // 8)
    copied = np.empty((len(exported), BLOCK.itemsize // 8), dtype=np.int64)
    copied[:, :2], copied[:, 2] = words[:, :2], words[:, 3]
    blocks: np.ndarray = copied.view(BLOCK)[:, 0]
    blocks["motion_scale"] = exported["motion_scale"]
    return blocks


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the concatenation of at least one array of BLOCK."""
    blocks: np.ndarray = np.concatenate([part.view(np.int64) for part in parts]).view(BLOCK)
    return blocks
