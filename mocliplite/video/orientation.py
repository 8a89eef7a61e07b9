"""How a player shows a coded picture: one of eight ways, four turns, each plain or mirrored."""

from dataclasses import dataclass

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer


@dataclass(frozen=True)
class Orientation:
    """First a mirror image, left for right, then quarter turns counterclockwise."""

    mirrored: bool = False
    turns: int = 0

    @property
    def swaps_axes(self) -> bool:
        """Whether width and height change places."""
        return self.turns % 2 == 1

    def upright(self, array: np.ndarray) -> np.ndarray:
        """A coded picture [H, W, ...] as it is shown: a contiguous copy, or the array itself where nothing changes."""
        return np.ascontiguousarray(np.rot90(array[:, ::-1] if self.mirrored else array, self.turns))


PLAIN = Orientation()
# (x, y) to the right and down, of the directions in which a coded picture's right and down are shown.
_TURNS = {(1, 0): 0, (0, -1): 1, (-1, 0): 2, (0, 1): 3}


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """What the frame's display matrix says; its scale and any angle other than quarter turns are left out.

    Not `frame.rotation`, which does not tell a mirror image from a turn.
    """
    # Not frame.side_data: see vectors.exported.
    side = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if side is None:
        return PLAIN
    # Rows (a, b, u), (c, d, v), (x, y, w): a coded point (p, q) is shown at (a p + c q, b p + d q).
    a, b, _, c, d, *_ = np.frombuffer(side, dtype="<i4").astype(np.float64).tolist()
    mirrored = a * d - b * c < 0
    # After the mirror image the coded right is the mirrored picture's left.
    x, y = (-a, -b) if mirrored else (a, b)
    if not (x or y):
        return PLAIN
    right = (round(np.sign(x)), 0) if abs(x) >= abs(y) else (0, round(np.sign(y)))
    return Orientation(mirrored, _TURNS[right])
