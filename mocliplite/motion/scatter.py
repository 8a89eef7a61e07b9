"""Conversion of blocks of vectors to a grid of cells of 8 pixels, some frames at a time."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mocliplite.motion.distances import HELD_BACK, References
from mocliplite.motion.field import BASE_CELL_SIZE, LIMIT, MISSING
from mocliplite.motion.grid import Batches, size_in_cells
from mocliplite.video.blocks import BlockBuffer, Columns, copied
from mocliplite.video.vectors import FrameStream

# Frames are written in batches, because a call of numpy right after the decoder takes several microseconds: its code is
# no longer in the processor cache. The intermediate results of a batch of this size fit in that cache.
_BATCH_BLOCKS, BATCH_FRAMES = 12_000, 64
# By item size of the grid: integers that contain both components of one cell, and those of two cells, for fewer writes.
_WIDE = {1: (np.int16, np.int32), 2: (np.int32, np.int64)}


class _Located(NamedTuple):
    """A frame of which the references are known."""

    number: int
    distances: tuple[int, int]  # to the past and the future reference, 0 for none
    blocks: np.ndarray


class _Batch:
    """Frames that are converted together."""

    def __init__(self, size: tuple[int, int], frames: int) -> None:
        self._size, self._frames, self._blocks = size, frames, BlockBuffer()
        self._clear()

    @property
    def is_empty(self) -> bool:
        return not self._numbers

    @property
    def is_full(self) -> bool:
        return len(self._blocks) >= _BATCH_BLOCKS or len(self._numbers) == self._frames

    def append(self, frame: _Located) -> None:
        """Add a frame. Its vectors are copied, so that the decoder can use its picture again."""
        self._numbers.append(frame.number)
        self._counts.append(len(frame.blocks))
        self._distances.append(frame.distances)
        # libavcodec exports all vectors of a frame at one scale.
        self._scales.append(int(frame.blocks["motion_scale"][0]) if len(frame.blocks) else 1)
        self._blocks.append(frame.blocks)

    def take(self) -> tuple[list[int], np.ndarray, dict[int, int]]:
        """Return the motion of the frames, see Batches, and remove them."""
        distances, scales = np.array(self._distances), np.array(self._scales)
        with np.errstate(divide="ignore"):
            # A vector points from the block to its source, so motion is against a past vector, and along a future one.
            factors = np.where(distances > 0, np.array([-4.0, 4.0]) / distances, np.nan) / scales[:, None]
        cells = _empty(len(self._numbers), self._size, np.int8, MISSING)
        clipped = _write_interval(cells, self._blocks.columns(), np.array(self._counts), factors)
        numbers = self._numbers
        self._clear()
        return numbers, _cropped(cells, self._size), {numbers[frame]: count for frame, count in clipped.items()}

    def _clear(self) -> None:
        self._numbers: list[int] = []
        self._counts: list[int] = []
        self._distances: list[tuple[int, int]] = []
        self._scales: list[int] = []
        self._blocks.clear()


def scatter(stream: FrameStream, held: Callable[[], int], frames: int) -> Batches:
    """Yield the motion of content per frame interval, in quarter pixels, MISSING without a vector.

    Vectors to a frame that is not in the clip are ignored. If a block of a B-frame has two vectors, the one to the past
    is used. held: the bytes that the receiver stores, for the limit of memory. frames: at most so many at a time.
    """
    batch = _Batch(size_in_cells(stream), frames)
    for frame in _located(stream, held):
        batch.append(frame)
        if batch.is_full:
            yield batch.take()
    if not batch.is_empty:
        yield batch.take()


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
                # Without the second condition, a frame whose future reference is lost would wait to the end.
                elif references.may_follow(order) and number - other.number <= HELD_BACK:
                    still_waiting.append((order, other))
                else:
                    yield other
            waiting = still_waiting
        located = _Located(number, (past, 0), frame.blocks)
        if len(frame.blocks) and references.may_follow(frame.order) and (frame.blocks["source"] > 0).any():
            waiting.append((frame.order, located._replace(blocks=copied(frame.blocks))))
            stream.check_memory(held() + sum(other.blocks.nbytes for _, other in waiting), number + 1)
        else:
            yield located
    for _, other in waiting:
        yield other


def _write_interval(grid: np.ndarray, blocks: Columns, counts: np.ndarray, factors: np.ndarray) -> dict[int, int]:
    """Write the motion of some blocks to the grid and return the number of clipped components of frames with any.

    counts: int [T], number of blocks of each frame of the grid.
    factors: float64 [T, 2], from a vector to quarter pixels per frame interval, for past and future references; NaN for
    a reference that is not in the clip.
    """
    future = blocks.source > 0
    if future.any():
        factor = factors.reshape(-1).take(np.repeat(2 * np.arange(len(counts)), counts) + future)
    else:
        factor = np.repeat(factors[:, 0], counts)
    quarters = np.rint(blocks.motion * np.repeat(factor, 2))
    clipped: dict[int, int] = {}
    # NaN makes both extremes NaN, for which every comparison is false.
    if quarters.min(initial=0) >= -LIMIT and quarters.max(initial=0) <= LIMIT:
        has_reference = None
    else:
        clipped = Counter(np.repeat(np.arange(len(counts)), 2 * counts)[np.abs(quarters) > LIMIT].tolist())
        has_reference = ~np.isnan(factor)
        quarters = np.nan_to_num(quarters, copy=False).clip(-LIMIT, LIMIT)
    _write(grid, blocks, counts, quarters.astype(np.int8), has_reference)
    return clipped


def displacement_to_past(blocks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the motion of content of a frame since its past reference: int16 [rows, cols, 2], whole pixels.

    The rounding is that of libavcodec. The motion of a block without a vector to the past is 0.
    """
    buffer, cells = BlockBuffer(), _empty(1, size, np.int16, 0)
    buffer.append(blocks)
    columns = buffer.columns()
    values = np.stack([blocks["dst_x"] - blocks["src_x"], blocks["dst_y"] - blocks["src_y"]], axis=1)
    _write(cells, columns, np.array([len(blocks)]), values.reshape(-1), columns.source < 0)
    displacement: np.ndarray = _cropped(cells, size)[0]
    return displacement


def _empty(frames: int, size: tuple[int, int], dtype: type, value: int) -> np.ndarray:
    """Return a grid of complete macroblocks of 16 pixels, so that it contains every block."""
    rows, cols = size
    return np.full((frames, rows + rows % 2, cols + cols % 2, 2), value, dtype=dtype)


def _cropped(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, cols = size
    return grid[:, :rows, :cols]


def _write(
    grid: np.ndarray, blocks: Columns, counts: np.ndarray, values: np.ndarray, selected: np.ndarray | None = None
) -> None:
    """Fill the cells of each block with its value. Blocks outside of the grid are left out.

    counts: int [T], number of blocks of each frame of the grid. values: [2 V] of the type of the grid, x and y of each.
    selected: bool [V], blocks to write; None for all.

    Blocks are written size by size, and blocks of 16 pixels width two cells at a time, which takes half the time of
    writing cell by cell. All blocks of a macroblock have one size; those with a past reference are written last.
    """
    cell_type, pair_type = _WIDE[grid.itemsize]
    frames, rows, cols, _ = grid.shape
    cells, pairs = grid.reshape(-1).view(cell_type), grid.reshape(-1).view(pair_type)

    key = _sort_key(blocks.width, blocks.height // BASE_CELL_SIZE) + (blocks.source < 0)
    if selected is not None:
        key *= selected
    order = np.argsort(key, kind="stable")
    key, x, y = key.take(order), blocks.x.take(order), blocks.y.take(order)
    frame_start = np.repeat(rows * cols * np.arange(frames), counts).take(order)
    value = values.view(cell_type).take(order)

    for width, high in ((16, 2), (16, 1), (8, 2), (8, 1)):
        of_size = slice(*np.searchsorted(key, _sort_key(width, high) + np.array([0, 2], dtype=key.dtype)))
        if of_size.start == of_size.stop:
            continue
        left, top = (x[of_size] - width // 2) // BASE_CELL_SIZE, (y[of_size] - 4 * high) // BASE_CELL_SIZE
        target, fill = frame_start[of_size] + top * np.int64(cols) + left, value[of_size]
        inside = (left >= 0) & (top >= 0) & (left <= cols - width // BASE_CELL_SIZE) & (top <= rows - high)
        if not inside.all():
            target, fill = target[inside], fill[inside]
        plane, step = cells, cols
        if width > BASE_CELL_SIZE:
            target, fill, plane, step = target // 2, np.repeat(fill, 2).view(pair_type), pairs, cols // 2
        for row in range(high):
            plane[target + row * step] = fill


def _sort_key(width: Any, high: Any) -> Any:
    """Return a number for each size of block: of `width` pixels and `high` cells. The next number is free."""
    return 2 * (width + high)
