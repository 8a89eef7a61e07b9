"""Orientation in which a player displays a coded picture: four rotations, each with or without mirroring."""

from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer


@dataclass(frozen=True)
class Orientation:
    """A horizontal flip, then counterclockwise quarter turns."""

    mirrored: bool = False
    quarter_turns: int = 0

    @property
    def swaps_axes(self) -> bool:
        """Whether width and height are swapped."""
        return self.quarter_turns % 2 == 1

    def upright(self, array: np.ndarray) -> np.ndarray:
        """Return a coded picture [H, W, ...] as displayed: contiguous, and the array itself if nothing changes."""
        return np.ascontiguousarray(np.rot90(array[:, ::-1] if self.mirrored else array, self.quarter_turns))


PLAIN = Orientation()
# Quarter turns by the displayed direction (x, y) of a coded picture's rightward direction; y points down.
_TURNS = {(1, 0): 0, (0, -1): 1, (-1, 0): 2, (0, 1): 3}


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return the orientation in the display matrix of a frame, without scale, and rounded to quarter turns.

    `frame.rotation` is not used, because it does not tell mirroring from rotation.
    """
    # Not frame.side_data: see blocks.exported_vectors.
    side = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if side is None:
        return PLAIN
    # Rows (a, b, u), (c, d, v), (x, y, w): a coded point (p, q) is displayed at (a p + c q, b p + d q).
    a, b, _, c, d, *_ = np.frombuffer(side, dtype="<i4").astype(np.float64).tolist()
    mirrored = a * d - b * c < 0
    # After the flip, the coded rightward direction points left.
    x, y = (-a, -b) if mirrored else (a, b)
    if not (x or y):
        return PLAIN
    right = (round(np.sign(x)), 0) if abs(x) >= abs(y) else (0, round(np.sign(y)))
    return Orientation(mirrored, _TURNS[right])
