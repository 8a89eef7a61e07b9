"""Decode what prediction needs from a clip: its keyframes and its motion field."""

import time
from dataclasses import dataclass

import numpy as np

from mocliplite import params
from mocliplite.motion import extraction
from mocliplite.motion.field import Field
from mocliplite.video.keyframes import Keyframe, read_keyframes
from mocliplite.video.streams import DEFAULT_LIMITS, Limits

# In this order: decode the keyframes, read the motion vectors, turn them into a motion field.
PHASES = ("keyframes", "vectors", "field")


@dataclass(frozen=True)
class DecodedClip:
    """Both streams of one clip, as the networks get them."""

    keyframes: list[Keyframe]
    field: Field
    milliseconds: dict[str, float]  # by phase, see PHASES


def decode(path: str, frames: int, pick: str, settings: params.Motion, limits: Limits = DEFAULT_LIMITS) -> DecodedClip:
    """Return the keyframes (encoder.frames, encoder.pick) and the motion field of a clip.

    Raises UserError for a clip that cannot be used.
    """
    start = time.perf_counter()
    keyframes = read_keyframes(path, frames, pick, limits)
    keyframes_read = time.perf_counter()
    vectors = extraction.load_vectors(path, settings, limits)
    vectors_read = time.perf_counter()
    field = extraction.field_of(path, vectors, settings)
    durations = np.diff([start, keyframes_read, vectors_read, time.perf_counter()]) * 1000
    return DecodedClip(keyframes, field, dict(zip(PHASES, durations.tolist(), strict=True)))
