"""The frames of a file that a span contains."""

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from mocliplite.errors import UserError
from mocliplite.spans import Span

# Times are fractions rounded to floats, so a time that equals the start of a span may be slightly below it.
_ROUNDING = 1e-6  # seconds


def frame_range(path: str | Path, span: Span, times: Sequence[float]) -> range:
    """Return the indices of the frames of a span. times: of all frames, in seconds from the first, increasing.

    Raises UserError for a span that contains no frame, or that ends more than one frame after the end of the file.
    `path` is used in error messages only.
    """
    start, end = span.interval
    step = times[-1] / max(1, len(times) - 1)
    duration = times[-1] + step
    if (start > 0 and start >= duration) or (span.end is not None and end > duration + step):
        problem = f"lasts {duration:.2f} s, so it does not contain the span {span} s"
        raise UserError(f"{path} {problem}; correct the start or end of the clip, or replace the file.")
    found = range(bisect_left(times, start - _ROUNDING), bisect_left(times, end - _ROUNDING))
    if not found:
        raise UserError(f"{path} has no frame in the span {span} s; correct the start or end of the clip.")
    return found
