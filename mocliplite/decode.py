"""What prediction takes from a clip: its keyframes and its motion field."""

import time
from dataclasses import dataclass

from mocliplite import motion, params, video
from mocliplite.fields import Field


@dataclass(frozen=True)
class Decoded:
    """The two streams of one clip, before any network."""

    keyframes: list[video.Keyframe]
    field: Field
    milliseconds: dict[str, float]  # of each of the two


def decode(path: str, frames: int, pick: str, settings: params.Motion) -> Decoded:
    """Keyframes and motion field of a clip. Raises UserError for one that cannot be used."""
    start = time.perf_counter()
    keyframes = video.keyframes(path, frames, pick)
    middle = time.perf_counter()
    field = motion.motion_field(path, settings)
    end = time.perf_counter()
    return Decoded(keyframes, field, {"keyframes": 1000 * (middle - start), "vectors": 1000 * (end - middle)})
