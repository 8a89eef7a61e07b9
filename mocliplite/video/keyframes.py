"""Keyframes of a clip: which frames they are, and their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocliplite.errors import Failure, UserError
from mocliplite.spans import WHOLE_FILE, Span, name_of
from mocliplite.video.frames import SelectedFrames, select_frames
from mocliplite.video.spans import frame_range
from mocliplite.video.streams import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class Keyframe:
    """One decoded frame of a clip."""

    frame: int  # index in display order
    time: float  # seconds from the first frame
    image: np.ndarray  # uint8 [height, width, 3], RGB, upright, pixels as coded


def read_keyframes(
    path: str | Path, count: int, pick: str, limits: Limits = DEFAULT_LIMITS, span: Span = WHOLE_FILE
) -> list[Keyframe]:
    """Return the centre frames of `count` equal segments of a clip, or with pick "key" the I-frames nearest to them.

    Raises UserError for a file that cannot be read or decoded, or has fewer than `count` frames in the span.
    """
    (found,) = read_keyframes_of_spans(path, [span], count, pick, limits)
    if isinstance(found, Failure):
        raise UserError(found.reason)
    return found


def read_keyframes_of_spans(
    path: str | Path, spans: Sequence[Span], count: int, pick: str, limits: Limits = DEFAULT_LIMITS
) -> list[list[Keyframe] | Failure]:
    """Return the keyframes of each span of a file, like read_keyframes; a Failure for a span without them.

    Indices and times are relative to the first frame of the span. Only the frames that lead to a keyframe are decoded,
    where the file is known to allow this, and otherwise all frames once. Raises UserError for a file that cannot be
    read or decoded.
    """

    def selections(frame_types: str, times: list[float]) -> list[list[int] | Failure]:
        found: list[list[int] | Failure] = []
        for span in spans:
            try:
                found.append(_select(path, span, frame_types, times, count, pick))
            except UserError as error:
                found.append(Failure(str(error)))
        return found

    def selector(frame_types: str, times: list[float]) -> list[int]:
        found = selections(frame_types, times)
        return [index for indices in found if not isinstance(indices, Failure) for index in indices]

    found = select_frames(path, selector, limits)
    selected = selections(found.frame_types, found.times)
    return [
        indices if isinstance(indices, Failure) else _keyframes(path, span, indices, found)
        for span, indices in zip(spans, selected, strict=True)
    ]


def _keyframes(path: str | Path, span: Span, indices: list[int], found: SelectedFrames) -> list[Keyframe] | Failure:
    for index in indices:
        if index not in found.pictures or found.pictures[index].damaged:
            return Failure(f"{path} cannot be decoded as video (frame {index} is damaged); replace or remove it.")
    first = frame_range(path, span, found.times).start
    return [
        Keyframe(index - first, found.times[index] - found.times[first], found.pictures[index].image)
        for index in indices
    ]


def _select(path: str | Path, span: Span, frame_types: str, times: list[float], count: int, pick: str) -> list[int]:
    if not frame_types:
        raise UserError(f"{path} has no frame that can be decoded; replace or remove it.")
    frames, name = frame_range(path, span, times), name_of(path, span)
    if len(frames) < count:
        raise UserError(
            f"{name} has {len(frames)} frames, but encoder.frames is {count}; lower encoder.frames or remove the clip."
        )
    centres = [frames[centre] for centre in segment_centres(len(frames), count)]
    if pick == "middle":
        return centres
    intra = [index for index in frames if frame_types[index] == "I"]
    if not intra:
        raise UserError(f"{name} has no I-frame; set encoder.pick to middle.")
    return [min(intra, key=lambda index: abs(index - centre)) for centre in centres]


def segment_centres(length: int, count: int) -> list[int]:
    """Return the indices of the centres of `count` equal segments of `length` items."""
    return [(2 * segment + 1) * length // (2 * count) for segment in range(count)]
