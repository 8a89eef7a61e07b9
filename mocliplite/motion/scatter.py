"""Blocks of vectors onto a grid of cells of 8 pixels, a whole clip at once."""

from collections.abc import Iterator

import numpy as np

from mocliplite.motion.field import BASE_CELL_SIZE, LIMIT, MISSING
from mocliplite.video.vectors import Vectors

# Two cells of two int8, and of two int16, seen as one number: half the writes.
_PART = 1 << 13  # blocks
_WIDE = {1: (np.int16, np.int32), 2: (np.int32, np.int64)}


def size_in_cells(read: Vectors) -> tuple[int, int]:
    """Rows and columns of the grid; started cells at the right and lower border count."""
    return -(-read.info.height // BASE_CELL_SIZE), -(-read.info.width // BASE_CELL_SIZE)


def frame_of_each_block(read: Vectors) -> np.ndarray:
    """The frame of each block: int64 [V]."""
    return np.repeat(np.arange(len(read.counts)), read.counts)


def scatter(read: Vectors, distances: np.ndarray) -> tuple[np.ndarray, int]:
    """Motion of content per frame interval: int8 [T, rows, cols, 2], quarter pixels, MISSING where there is no vector.

    distances is reference_distances' int64 [T, 2]; a vector to a frame that is not there says nothing. Where a block of
    a B-frame has two vectors, the one to the past stays. Returns also how many components were cut to +-LIMIT.
    """
    with np.errstate(divide="ignore"):
        # A vector leads from the block to its source: backwards in time to a past one, forwards to a future one.
        factors = np.where(distances > 0, np.array([-4.0, 4.0]) / distances, np.nan)
    frame, grid, clipped = frame_of_each_block(read), _empty(read, np.int8, MISSING), 0
    for part in _parts(read):
        clipped += _write_interval(grid, read.blocks[part], frame[part], factors)
    return _cropped(grid, read), clipped


def _write_interval(grid: np.ndarray, blocks: np.ndarray, frame: np.ndarray, factors: np.ndarray) -> int:
    """per_interval of some frames; factors float64 [T, 2] turn a displacement into quarters of content's motion."""
    future = blocks["source"] > 0
    factor = factors[frame, future.view(np.int8)] / blocks["motion_scale"]
    known = ~np.isnan(factor)
    if not known.all():
        blocks, frame, future, factor = blocks[known], frame[known], future[known], factor[known]
    quarters = np.empty((len(blocks), 2))
    for axis, name in enumerate(("motion_x", "motion_y")):
        np.rint(blocks[name] * factor, out=quarters[:, axis])
    clipped = int(np.count_nonzero(np.abs(quarters) > LIMIT))
    if clipped:
        quarters.clip(-LIMIT, LIMIT, out=quarters)
    _write(grid, blocks, frame, quarters.astype(np.int8), future)
    return clipped


def _parts(read: Vectors) -> Iterator[slice]:
    """Blocks of whole frames, some at a time: what is computed of them stays in the processor's cache."""
    ends = np.cumsum(read.counts)
    start = 0
    while start < len(read.blocks):
        end = int(ends[min(int(np.searchsorted(ends, start + _PART)), len(ends) - 1)])
        yield slice(start, end)
        start = end


def displacement_to_past(read: Vectors) -> np.ndarray:
    """Motion of content from the past reference, whole pixels as libavcodec rounds them: int16 [T, rows, cols, 2].

    0 where a block has no vector to the past.
    """
    past = read.blocks["source"] < 0
    blocks = read.blocks[past]
    values = np.stack([blocks["dst_x"] - blocks["src_x"], blocks["dst_y"] - blocks["src_y"]], axis=1)
    grid = _empty(read, np.int16, 0)
    _write(grid, blocks, frame_of_each_block(read)[past], values, np.zeros(len(blocks), dtype=bool))
    return _cropped(grid, read)


def _empty(read: Vectors, dtype: type, value: int) -> np.ndarray:
    """Whole macroblocks of 16 pixels, so that every block lies inside."""
    rows, cols = size_in_cells(read)
    return np.full((len(read.counts), rows + rows % 2, cols + cols % 2, 2), value, dtype=dtype)


def _cropped(grid: np.ndarray, read: Vectors) -> np.ndarray:
    rows, cols = size_in_cells(read)
    return np.ascontiguousarray(grid[:, :rows, :cols])


def _write(grid: np.ndarray, blocks: np.ndarray, frame: np.ndarray, values: np.ndarray, first: np.ndarray) -> None:
    """Fill the cells of each block with its value; what lies outside of the grid is left out.

    Blocks with `first`, bool [V], are written first, so that others prevail over them. The four sizes of block one
    after the other, those of 16 pixels width two cells at a time: half the time of a scatter cell by cell.
    """
    one, two = _WIDE[grid.itemsize]
    _, rows, cols, _ = grid.shape
    cells, pairs = grid.reshape(-1).view(one), grid.reshape(-1).view(two)
    value = np.ascontiguousarray(values, dtype=grid.dtype).view(one)[:, 0]

    height, width = blocks["h"].astype(np.int16), blocks["w"].astype(np.int16)
    left, top = (blocks["dst_x"] - width // 2) // BASE_CELL_SIZE, (blocks["dst_y"] - height // 2) // BASE_CELL_SIZE
    inside = (
        (left >= 0) & (top >= 0) & (left + width // BASE_CELL_SIZE <= cols) & (top + height // BASE_CELL_SIZE <= rows)
    )
    size = np.where(inside, height + width // BASE_CELL_SIZE, 0)
    place = (frame * rows + top) * cols + left
    for turn in (first, ~first) if first.any() else (~first,):
        for high, wide in ((16, 16), (16, 8), (8, 16), (8, 8)):
            chosen = np.flatnonzero((size == high + wide // BASE_CELL_SIZE) & turn)
            at, what = place[chosen], value[chosen]
            if wide > BASE_CELL_SIZE:
                at, what = at // 2, np.stack([what, what], axis=1).view(two)[:, 0]
            for down in range(high // BASE_CELL_SIZE):
                (pairs if wide > BASE_CELL_SIZE else cells)[at + down * cols // (wide // BASE_CELL_SIZE)] = what
