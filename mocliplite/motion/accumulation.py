"""Motion since the last I-frame: vectors traced back through the group of pictures (GOP), pixel by pixel.

After CoViAR (C.-Y. Wu et al., Compressed Video Action Recognition, CVPR 2018, section 3.1), with B-frames added.
"""

import numpy as np

from mocliplite.motion.distances import References
from mocliplite.motion.field import BASE_CELL_SIZE, LIMIT, MISSING
from mocliplite.motion.grid import Batches, size_in_cells
from mocliplite.motion.scatter import displacement_to_past
from mocliplite.video.vectors import FrameStream


def accumulate_since_intra(stream: FrameStream) -> Batches:
    """Yield the displacement of content since the last I-frame.

    The displacement is in quarter pixels, the mean over the pixels of each cell. It is MISSING in I-frames, in frames
    without vectors to the past, and if the I-frame is not in the clip. As in CoViAR, a pixel keeps its position if its
    block has no vector or if the vector leaves the picture.
    """
    size, references = size_in_cells(stream), References()
    moved: dict[int, np.ndarray | None] = {}  # by reference frame, int16 [height, width, 2], whole pixels
    for index, frame in enumerate(stream.frames):
        past = references.add(frame.order, frame.reference)
        before = moved.get(index - past) if past else None
        cells, clipped = np.full((1, *size, 2), MISSING, dtype=np.int8), dict[int, int]()
        if frame.frame_type == "I":
            after: np.ndarray | None = np.zeros((stream.height, stream.width, 2), dtype=np.int16)
        else:
            after = None if before is None else _traced(before, displacement_to_past(frame.blocks, size))
            if after is not None and (frame.blocks["source"] < 0).any():
                quarters = np.rint(4 * _mean_of_cells(after))
                cells[0] = np.clip(quarters, -LIMIT, LIMIT)
                if count := int(np.count_nonzero(np.abs(quarters) > LIMIT)):
                    clipped = {index: count}
        yield [index], cells, clipped
        moved[index] = after
        moved = {reference: moved[reference] for reference in references.past}


def _traced(before: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Add the displacement at the source of each pixel to its own step: int16 [height, width, 2]."""
    height, width, _ = before.shape
    shift = step.repeat(BASE_CELL_SIZE, axis=0).repeat(BASE_CELL_SIZE, axis=1)[:height, :width].astype(np.int32)
    rows, cols = np.arange(height, dtype=np.int32)[:, None], np.arange(width, dtype=np.int32)
    y, x = rows - shift[..., 1], cols - shift[..., 0]
    outside = (y < 0) | (y >= height) | (x < 0) | (x >= width)
    shift[outside] = 0
    source = np.where(outside, rows * width + cols, y * width + x)
    # Both components of a pixel at once.
    fetched = np.ascontiguousarray(before).view(np.int32).reshape(-1)[source]
    return fetched.view(np.int16).reshape(before.shape) + shift.astype(np.int16)


def _mean_of_cells(pixels: np.ndarray) -> np.ndarray:
    """Return the mean over the pixels of each cell inside the picture: float64 [rows, cols, 2]."""
    height, width, _ = pixels.shape
    rows, cols = -(-height // BASE_CELL_SIZE), -(-width // BASE_CELL_SIZE)
    full = np.zeros((rows * BASE_CELL_SIZE, cols * BASE_CELL_SIZE, 2), dtype=np.int16)
    full[:height, :width] = pixels
    lines = full.reshape(rows, BASE_CELL_SIZE, -1).sum(axis=1, dtype=np.int32)
    total = lines.reshape(rows, cols, BASE_CELL_SIZE, 2).sum(axis=2)
    high, wide = (
        np.minimum(BASE_CELL_SIZE, size - BASE_CELL_SIZE * np.arange(-(-size // BASE_CELL_SIZE)))
        for size in (height, width)
    )
    return total / (high[:, None] * wide)[..., None]
