"""Distances between a frame and its references, in frames."""

# Frames that are decoded, but displayed later. A decoder of H.264 holds back 16 at most; among more packets without a
# frame, the oldest are those of frames that are lost or hidden.
HELD_BACK = 32


class References:
    """The references of the frames of a clip, which are added in display order.

    The reference on either side is the nearest one that was decoded before. In MPEG-4 Part 2 it is the only one. In
    H.264 this is an assumption: libavcodec does not export the reference, but for most blocks encoders choose the
    nearest.
    """

    def __init__(self) -> None:
        self._count, self._highest = 0, -1
        self._expected: list[int] = []  # order of frames that were decoded, but are not displayed yet
        self._past: list[tuple[int, int]] = []  # (order, index), those that may be the past reference of a later frame

    def add(self, order: int, reference: bool) -> int:
        """Add the next frame and return the distance to its past reference, 0 for none.

        order: increases in decoding order. reference: whether the frame may be a reference.
        """
        index, self._count = self._count, self._count + 1
        distance = 0
        for decoded, other in reversed(self._past):
            if decoded <= order:
                distance = index - other
                break
        if order > self._highest:
            if order > self._highest + 1:
                self._expected = [*self._expected, *range(self._highest + 1, order)][-HELD_BACK:]
            self._highest = order
        elif order in self._expected:
            self._expected.remove(order)
        if reference:
            self._past.append((order, index))
        if len(self._past) > 1:
            self._drop_hidden()
        return distance

    def may_follow(self, order: int) -> bool:
        """Return whether a frame that was decoded before the one with this order may still be displayed."""
        return bool(self._expected) and self._expected[0] < order

    @property
    def past(self) -> list[int]:
        """The indices of all frames that may be the past reference of a frame added later."""
        return [index for _, index in self._past]

    def _drop_hidden(self) -> None:
        """Drop the references with a nearer one for every frame that may follow."""
        if not self._expected:
            self._past = self._past[-1:]
            return
        kept = self._past[-1:]
        lowest = kept[0][0]
        for decoded, index in reversed(self._past[:-1]):
            if any(decoded < order < lowest for order in self._expected):
                kept.append((decoded, index))
            lowest = min(lowest, decoded)
        self._past = kept[::-1]
