"""Conversion of blocks of vectors to a grid of cells of 8 pixels, some frames at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mocliplite.motion.distances import References
from mocliplite.motion.field import BASE_CELL_SIZE, LIMIT, MISSING
from mocliplite.motion.grid import Batches, size_in_cells
from mocliplite.video.blocks import Joiner
from mocliplite.video.vectors import FrameStream

# Frames are written in batches. Intermediate results fit in the processor cache, and are below the 128 KiB from which
# malloc takes fresh pages from the system.
_BATCH_BLOCKS, _BATCH_FRAMES = 6000, 64
# By item size of the grid: integers that contain both components of one cell, and those of two cells, for fewer writes.
_WIDE = {1: (np.int16, np.int32), 2: (np.int32, np.int64)}


class _Located(NamedTuple):
    """A frame of which the references are known."""

    number: int
    distances: tuple[int, int]  # to the past and the future reference, 0 for none
    blocks: np.ndarray


def scatter(stream: FrameStream, held: Callable[[], int]) -> Batches:
    """Yield the motion of content per frame interval, in quarter pixels, MISSING without a vector.

    Vectors to a frame that is not in the clip are ignored. If a block of a B-frame has two vectors, the one to the past
    is used. held: the bytes that the receiver stores, for the limit of memory.
    """
    size, joiner = size_in_cells(stream), Joiner()
    batch: list[_Located] = []
    blocks = 0
    for frame in _located(stream, held):
        batch.append(frame)
        blocks += len(frame.blocks)
        if blocks >= _BATCH_BLOCKS or len(batch) == _BATCH_FRAMES:
            yield _motion_of(batch, size, joiner)
            batch, blocks = [], 0
    if batch:
        yield _motion_of(batch, size, joiner)


def _located(stream: FrameStream, held: Callable[[], int]) -> Iterator[_Located]:
    """Yield every frame as soon as its references are known: at once, or after the future reference of its vectors."""
    references = References()
    waiting: list[tuple[int, _Located]] = []  # with the order of the frame
    for number, frame in enumerate(stream.frames):
        past = references.add(frame.order, frame.reference)
        if waiting:
            still_waiting = []
            for order, other in waiting:
                if frame.reference and frame.order < order:
                    yield other._replace(distances=(other.distances[0], number - other.number))
                elif references.may_follow(order):
                    still_waiting.append((order, other))
                else:
                    yield other
            waiting = still_waiting
        located = _Located(number, (past, 0), frame.blocks)
        if len(frame.blocks) and references.may_follow(frame.order) and (frame.blocks["source"] > 0).any():
            waiting.append((frame.order, located))
            stream.check_memory(held() + sum(other.blocks.nbytes for _, other in waiting), number + 1)
        else:
            yield located
    for _, other in waiting:
        yield other


def _motion_of(batch: Sequence[_Located], size: tuple[int, int], joiner: Joiner) -> tuple[list[int], np.ndarray, int]:
    distances = np.array([frame.distances for frame in batch])
    with np.errstate(divide="ignore"):
        # A vector points from the block to its source, so motion is against a past vector, and along a future vector.
        factors = np.where(distances > 0, np.array([-4.0, 4.0]) / distances, np.nan)
    cells = _empty(len(batch), size, np.int8, MISSING)
    number = np.repeat(np.arange(len(batch)), [len(frame.blocks) for frame in batch])
    clipped = _write_interval(cells, joiner.join([frame.blocks for frame in batch]), number, factors)
    return [frame.number for frame in batch], _cropped(cells, size), clipped


def _write_interval(grid: np.ndarray, blocks: np.ndarray, frame: np.ndarray, factors: np.ndarray) -> int:
    """Write the motion of some blocks to the grid and return the number of clipped components.

    frame: int64 [V], number of the frame of each block in the grid.
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


def displacement_to_past(blocks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the motion of content of a frame since its past reference: int16 [rows, cols, 2], whole pixels.

    The rounding is that of libavcodec. The motion of a block without a vector to the past is 0.
    """
    past = blocks[blocks["source"] < 0]
    values = np.stack([past["dst_x"] - past["src_x"], past["dst_y"] - past["src_y"]], axis=1)
    cells, first = _empty(1, size, np.int16, 0), np.zeros(len(past), dtype=bool)
    _write(cells, past, np.zeros(len(past), dtype=np.int64), values, first)
    displacement: np.ndarray = _cropped(cells, size)[0]
    return displacement


def _empty(frames: int, size: tuple[int, int], dtype: type, value: int) -> np.ndarray:
    """Return a grid of complete macroblocks of 16 pixels, so that it contains every block."""
    rows, cols = size
    return np.full((frames, rows + rows % 2, cols + cols % 2, 2), value, dtype=dtype)


def _cropped(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, cols = size
    return grid[:, :rows, :cols]


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
