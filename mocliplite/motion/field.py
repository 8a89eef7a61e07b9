"""Motion fields: what they hold, and what a network sees of them. numpy only."""

from dataclasses import dataclass

import numpy as np

KIND_CODES = {"I": 0, "P": 1, "B": 2, "missing": 3}
# int8 has one value more on the negative side. It says "no vector here"; a vector is within +-127.
MISSING = -128
LIMIT = 127
BASE_CELL_SIZE = 8  # pixels, edge of the smallest block that libavcodec exports


@dataclass(frozen=True)
class Field:
    """The motion of one clip.

    vectors: int8 [T, rows, cols, 2], (x, y) in quarter pixels per frame interval, or with motion.accumulate: gop since
    the last I-frame, positive where the *content* moves right and down (FFmpeg's vectors point the other way, from a
    block to where it came from). MISSING where there is no vector: in I-frames, intra blocks, and B-frames whose
    codec exports none.
    kind: uint8 [T], KIND_CODES; "missing" is a frame that should have vectors and has none.
    time: float64 [T], seconds from the first frame, rising; from the container's time stamps, or index over frame rate
    where they say nothing (they are missing, or start again on the way).
    """

    vectors: np.ndarray
    kind: np.ndarray
    time: np.ndarray
    fps: float  # frames per second, the mean; 0 where unknown
    width: int  # pixels, of the picture that the field is of, upright
    height: int
    codec: str  # of the file
    clipped: int  # components that were cut to +-LIMIT
    damaged: float  # share of frames that do not decode, or of which the decoder made up a part
    reencoded: bool  # whether the vectors are of the clip encoded anew
    interlaced: bool  # whether any picture of the clip is coded as two fields
    pixel_aspect: float  # width of a pixel over its height, of the picture that the field is of
