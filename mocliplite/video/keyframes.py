"""The keyframes of a clip: which frames, and what they show."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mocliplite.errors import UserError
from mocliplite.video import streams
from mocliplite.video.frames import frame_types, pictures


@dataclass(frozen=True)
class Keyframe:
    """One decoded frame of a clip."""

    frame: int  # index in display order
    time: float  # seconds from the start, index over frame rate
    image: np.ndarray  # uint8 [height, width, 3], RGB, upright


def read_keyframes(path: str | Path, count: int, pick: str) -> list[Keyframe]:
    """The frames in the middle of `count` equal spans of the clip, or with pick "key" the I-frames nearest to them.

    Raises UserError for a file that cannot be read or decoded, or has fewer frames than asked for.
    """
    kinds = frame_types(path)
    if not kinds:
        raise UserError(f"{path} has no frame that decodes; replace or remove it.")
    if len(kinds) < count:
        raise UserError(f"{path} has {len(kinds)} frames, clip.frames asks for {count}; lower it or remove the clip.")
    wanted = segment_centres(len(kinds), count)
    if pick == "key":
        intra = [index for index, kind in enumerate(kinds) if kind == "I"]
        if not intra:
            raise UserError(f"{path} has no I-frame to take; set clip.pick to middle.")
        wanted = [min(intra, key=lambda index: abs(index - middle)) for middle in wanted]
    fps, images = streams.info(path).fps or 1.0, pictures(path, wanted)
    if len(images) < len(set(wanted)):
        raise UserError(f"{path} cannot be decoded as video (the frame wanted is damaged); replace or remove it.")
    return [Keyframe(index, index / fps, images[index]) for index in wanted]


def segment_centres(length: int, count: int) -> list[int]:
    """Indices in the middle of `count` equal spans of `length` items."""
    return [(2 * span + 1) * length // (2 * count) for span in range(count)]
