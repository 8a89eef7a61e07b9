"""Keyframes of a clip: which frames they are, and their pixels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocliplite.errors import UserError
from mocliplite.video.frames import select_frames
from mocliplite.video.streams import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class Keyframe:
    """One decoded frame of a clip."""

    frame: int  # index in display order
    time: float  # seconds from the first frame
    image: np.ndarray  # uint8 [height, width, 3], RGB, upright, pixels as coded


def read_keyframes(path: str | Path, count: int, pick: str, limits: Limits = DEFAULT_LIMITS) -> list[Keyframe]:
    """Return the centre frames of `count` equal segments of a clip, or with pick "key" the I-frames nearest to them.

    Raises UserError for a file that cannot be read or decoded, or has fewer than `count` frames.
    """
    found = select_frames(path, lambda frame_types: _select(path, frame_types, count, pick), limits)
    for index in found.indices:
        if index not in found.pictures or found.pictures[index].damaged:
            raise UserError(f"{path} cannot be decoded as video (frame {index} is damaged); replace or remove it.")
    return [
        Keyframe(index, time, found.pictures[index].image)
        for index, time in zip(found.indices, found.times, strict=True)
    ]


def _select(path: str | Path, frame_types: str, count: int, pick: str) -> list[int]:
    if not frame_types:
        raise UserError(f"{path} has no frame that can be decoded; replace or remove it.")
    if len(frame_types) < count:
        raise UserError(
            f"{path} has {len(frame_types)} frames, but encoder.frames is {count}; lower encoder.frames or remove the "
            "clip."
        )
    centres = segment_centres(len(frame_types), count)
    if pick == "middle":
        return centres
    intra = [index for index, frame_type in enumerate(frame_types) if frame_type == "I"]
    if not intra:
        raise UserError(f"{path} has no I-frame; set encoder.pick to middle.")
    return [min(intra, key=lambda index: abs(index - centre)) for centre in centres]


def segment_centres(length: int, count: int) -> list[int]:
    """Return the indices of the centres of `count` equal segments of `length` items."""
    return [(2 * segment + 1) * length // (2 * count) for segment in range(count)]
