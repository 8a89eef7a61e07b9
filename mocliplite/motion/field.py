"""The motion field of a clip, and its constants."""

from dataclasses import dataclass

import numpy as np

KIND_CODES = {"I": 0, "P": 1, "B": 2, "missing": 3}
# The smallest value of int8 means "no vector". Components of vectors are within +-127.
MISSING = -128
LIMIT = 127
BASE_CELL_SIZE = 8  # pixels, edge of the smallest block that libavcodec exports


@dataclass(frozen=True)
class Field:
    """The motion field of a clip.

    vectors: int8 [T, rows, cols, 2], (x, y) in quarter pixels per frame interval, or with motion.accumulate: gop since
    the last I-frame. Positive if the *content* moves right and down; vectors of FFmpeg point the other way, from a
    block to its source. MISSING without a vector: in I-frames, intra blocks, and B-frames for which libavcodec exports
    none.
    kind: uint8 [T], KIND_CODES. "missing" is a P- or B-frame without vectors.
    time: float64 [T], seconds from the first frame, increasing: the timestamps of the container, or the index divided
    by the frame rate if timestamps are missing or start again.
    """

    vectors: np.ndarray
    kind: np.ndarray
    time: np.ndarray
    fps: float  # mean number of frames per second, 0 if unknown
    width: int  # pixels, upright, after re-encoding
    height: int
    codec: str  # of the file
    clipped: int  # number of components clipped to +-LIMIT
    damaged: float  # fraction of frames that cannot be decoded or that the decoder conceals in part
    reencoded: bool  # whether the vectors are those of the re-encoded clip
    interlaced: bool  # whether any picture of the clip is coded as two fields
    pixel_aspect: float  # width of a pixel divided by its height, upright, after re-encoding
