"""The grid of a motion field while it is filled, a few frames at a time."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from mocliplite.motion.field import BASE_CELL_SIZE
from mocliplite.video.vectors import FrameStream

# The motion of a stream, a few frames at a time and not always in order: the numbers of the frames, their motion in
# cells of 8 pixels, int8 [frames, rows, cols, 2], and the number of components clipped to +-LIMIT, of frames with any.
Batches = Iterator[tuple[list[int], np.ndarray, dict[int, int]]]


class Grid:
    """The motion of the frames of a stream, in any order: int8 [T, rows, cols, 2].

    finish: is applied to cells of 8 pixels before they are stored, int8 [frames, rows, cols, 2], and may return another
    number of rows and columns.
    """

    def __init__(self, stream: FrameStream, finish: Callable[[np.ndarray], np.ndarray]) -> None:
        self._stream, self._finish, self._count = stream, finish, 0
        rows, cols = size_in_cells(stream)
        shape = finish(np.zeros((1, rows, cols, 2), dtype=np.int8)).shape[1:]
        self._frame_size = int(np.prod(shape))
        # Frames that are never written use no memory, but the limit of the process counts their addresses.
        most = (stream.limits.memory << 20) // max(1, self._frame_size) + 1  # without a frame the size is 0
        self._cells = np.empty((min(stream.packets, most), *shape), dtype=np.int8)

    @property
    def size(self) -> int:
        """Bytes of all frames up to the last one."""
        return self._count * self._frame_size

    def write(self, frames: Sequence[int], cells: np.ndarray) -> None:
        """Store the cells of some frames. Raises LimitError if the grid is too large."""
        self._count = max(self._count, max(frames) + 1)
        self._stream.check_memory(self.size, self._count)
        if self._count > len(self._cells):
            # In place where the system can do so, because a copy needs twice the memory.
            self._cells.resize((self._count * 3 // 2, *self._cells.shape[1:]), refcheck=False)
        self._cells[frames] = self._finish(cells)

    def all(self) -> np.ndarray:
        """Return the cells of all frames: int8 [T, rows, cols, 2]."""
        return self._cells[: self._count]


def size_in_cells(stream: FrameStream) -> tuple[int, int]:
    """Return rows and columns of cells of 8 pixels, including incomplete ones at the right and lower border."""
    return -(-stream.height // BASE_CELL_SIZE), -(-stream.width // BASE_CELL_SIZE)
