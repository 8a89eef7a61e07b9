"""The keyframes of a clip: which frames, and what they show."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocliplite.errors import UserError
from mocliplite.video.frames import take
from mocliplite.video.streams import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class Keyframe:
    """One decoded frame of a clip."""

    frame: int  # index in display order
    time: float  # seconds from the first frame, when it is shown
    image: np.ndarray  # uint8 [height, width, 3], RGB, upright, pixels as coded


def read_keyframes(path: str | Path, count: int, pick: str, limits: Limits = DEFAULT_LIMITS) -> list[Keyframe]:
    """The frames in the middle of `count` equal spans of the clip, or with pick "key" the I-frames nearest to them.

    Raises UserError for a file that cannot be read or decoded, or has fewer frames than asked for.
    """
    found = take(path, lambda kinds: _chosen(path, kinds, count, pick), limits)
    for index in found.indices:
        if index not in found.pictures or found.pictures[index].damaged:
            raise UserError(f"{path} cannot be decoded as video (frame {index} is damaged); replace or remove it.")
    return [
        Keyframe(index, time, found.pictures[index].image)
        for index, time in zip(found.indices, found.times, strict=True)
    ]


def _chosen(path: str | Path, kinds: str, count: int, pick: str) -> list[int]:
    if not kinds:
        raise UserError(f"{path} has no frame that decodes; replace or remove it.")
    if len(kinds) < count:
        raise UserError(f"{path} has {len(kinds)} frames, clip.frames asks for {count}; lower it or remove the clip.")
    wanted = segment_centres(len(kinds), count)
    if pick == "middle":
        return wanted
    intra = [index for index, kind in enumerate(kinds) if kind == "I"]
    if not intra:
        raise UserError(f"{path} has no I-frame to take; set clip.pick to middle.")
    return [min(intra, key=lambda index: abs(index - middle)) for middle in wanted]


def segment_centres(length: int, count: int) -> list[int]:
    """Indices in the middle of `count` equal spans of `length` items."""
    return [(2 * span + 1) * length // (2 * count) for span in range(count)]
