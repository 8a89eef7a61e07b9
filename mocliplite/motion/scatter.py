"""Conversion of blocks of vectors to a grid of cells of 8 pixels, for a whole clip at once."""

from collections.abc import Iterator

import numpy as np

from mocliplite.motion.field import BASE_CELL_SIZE, LIMIT, MISSING
from mocliplite.video.vectors import Vectors

_BATCH = 1 << 13  # blocks
# By item size of the grid: integers that contain both components of one cell, and those of two cells, for fewer writes.
_WIDE = {1: (np.int16, np.int32), 2: (np.int32, np.int64)}


def size_in_cells(vectors: Vectors) -> tuple[int, int]:
    """Return rows and columns of the grid, including incomplete cells at the right and lower border."""
    return -(-vectors.info.height // BASE_CELL_SIZE), -(-vectors.info.width // BASE_CELL_SIZE)


def frame_of_each_block(vectors: Vectors) -> np.ndarray:
    """Return the frame of each block: int64 [V]."""
    return np.repeat(np.arange(len(vectors.counts)), vectors.counts)


def scatter(vectors: Vectors, distances: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the motion of content per frame interval, and the number of components clipped to +-LIMIT.

    The motion is int8 [T, rows, cols, 2], quarter pixels, MISSING without a vector. Vectors to a frame that is not in
    the clip are ignored. If a block of a B-frame has two vectors, the one to the past is used.

    distances: int64 [T, 2], from reference_distances.
    """
    with np.errstate(divide="ignore"):
        # A vector points from the block to its source, so motion is against a past vector, and along a future vector.
        factors = np.where(distances > 0, np.array([-4.0, 4.0]) / distances, np.nan)
    frame, grid, clipped = frame_of_each_block(vectors), _empty(vectors, np.int8, MISSING), 0
    for batch in _batches(vectors):
        clipped += _write_interval(grid, vectors.blocks[batch], frame[batch], factors)
    return _cropped(grid, vectors), clipped


def _write_interval(grid: np.ndarray, blocks: np.ndarray, frame: np.ndarray, factors: np.ndarray) -> int:
    """Write the motion of some blocks to the grid and return the number of clipped components.

    factors: float64 [T, 2], from a displacement to quarter pixels per frame interval, for past and future references.
    """
    future = blocks["source"] > 0
    factor = factors[frame, future.view(np.int8)] / blocks["motion_scale"]
    has_reference = ~np.isnan(factor)
    if not has_reference.all():
        blocks, frame = blocks[has_reference], frame[has_reference]
        future, factor = future[has_reference], factor[has_reference]
    quarters = np.empty((len(blocks), 2))
    for axis, name in enumerate(("motion_x", "motion_y")):
        np.rint(blocks[name] * factor, out=quarters[:, axis])
    clipped = int(np.count_nonzero(np.abs(quarters) > LIMIT))
    if clipped:
        quarters.clip(-LIMIT, LIMIT, out=quarters)
    _write(grid, blocks, frame, quarters.astype(np.int8), future)
    return clipped


def _batches(vectors: Vectors) -> Iterator[slice]:
    """Yield the blocks of complete frames in batches, so that intermediate results fit in the processor cache."""
    ends = np.cumsum(vectors.counts)
    start = 0
    while start < len(vectors.blocks):
        end = int(ends[min(int(np.searchsorted(ends, start + _BATCH)), len(ends) - 1)])
        yield slice(start, end)
        start = end


def displacement_to_past(vectors: Vectors) -> np.ndarray:
    """Return the motion of content since the past reference: int16 [T, rows, cols, 2], whole pixels.

    The rounding is that of libavcodec. The motion of a block without a vector to the past is 0.
    """
    past = vectors.blocks["source"] < 0
    blocks = vectors.blocks[past]
    values = np.stack([blocks["dst_x"] - blocks["src_x"], blocks["dst_y"] - blocks["src_y"]], axis=1)
    grid = _empty(vectors, np.int16, 0)
    _write(grid, blocks, frame_of_each_block(vectors)[past], values, np.zeros(len(blocks), dtype=bool))
    return _cropped(grid, vectors)


def _empty(vectors: Vectors, dtype: type, value: int) -> np.ndarray:
    """Return a grid of complete macroblocks of 16 pixels, so that it contains every block."""
    rows, cols = size_in_cells(vectors)
    return np.full((len(vectors.counts), rows + rows % 2, cols + cols % 2, 2), value, dtype=dtype)


def _cropped(grid: np.ndarray, vectors: Vectors) -> np.ndarray:
    rows, cols = size_in_cells(vectors)
    return np.ascontiguousarray(grid[:, :rows, :cols])


def _write(grid: np.ndarray, blocks: np.ndarray, frame: np.ndarray, values: np.ndarray, first: np.ndarray) -> None:
    """Fill the cells of each block with its value. Blocks outside of the grid are left out.

    first: bool [V], blocks to write first, so that other blocks overwrite them. Each of the four block sizes is written
    separately, and blocks of 16 pixels width two cells at a time, which takes half the time of writing cell by cell.
    """
    cell_type, pair_type = _WIDE[grid.itemsize]
    _, rows, cols, _ = grid.shape
    cells, pairs = grid.reshape(-1).view(cell_type), grid.reshape(-1).view(pair_type)
    value = np.ascontiguousarray(values, dtype=grid.dtype).view(cell_type)[:, 0]

    height, width = blocks["h"].astype(np.int16), blocks["w"].astype(np.int16)
    left, top = (blocks["dst_x"] - width // 2) // BASE_CELL_SIZE, (blocks["dst_y"] - height // 2) // BASE_CELL_SIZE
    inside = (
        (left >= 0) & (top >= 0) & (left + width // BASE_CELL_SIZE <= cols) & (top + height // BASE_CELL_SIZE <= rows)
    )
    size = np.where(inside, height + width // BASE_CELL_SIZE, 0)
    cell = (frame * rows + top) * cols + left
    for selected in (first, ~first) if first.any() else (~first,):
        for high, wide in ((16, 16), (16, 8), (8, 16), (8, 8)):
            indices = np.flatnonzero((size == high + wide // BASE_CELL_SIZE) & selected)
            target, fill = cell[indices], value[indices]
            if wide > BASE_CELL_SIZE:
                target, fill = target // 2, np.stack([fill, fill], axis=1).view(pair_type)[:, 0]
            for down in range(high // BASE_CELL_SIZE):
                (pairs if wide > BASE_CELL_SIZE else cells)[target + down * cols // (wide // BASE_CELL_SIZE)] = fill
