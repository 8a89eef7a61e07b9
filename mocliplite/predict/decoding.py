"""What prediction takes from a clip: its keyframes and its motion field."""

import time
from dataclasses import dataclass

import numpy as np

from mocliplite import params
from mocliplite.motion import extraction
from mocliplite.motion.field import Field
from mocliplite.video.keyframes import Keyframe, read_keyframes

# In turn: keyframes decoded, motion vectors read, and made into a field.
PHASES = ("keyframes", "vectors", "field")


@dataclass(frozen=True)
class Decoded:
    """The two streams of one clip, before any network."""

    keyframes: list[Keyframe]
    field: Field
    milliseconds: dict[str, float]  # by PHASES


def decode(path: str, frames: int, pick: str, settings: params.Motion) -> Decoded:
    """Keyframes and motion field of a clip. Raises UserError for one that cannot be used."""
    start = time.perf_counter()
    taken = read_keyframes(path, frames, pick)
    seen = time.perf_counter()
    vectors = extraction.load_vectors(path, settings)
    read = time.perf_counter()
    field = extraction.field_of(path, vectors, settings)
    times = np.diff([start, seen, read, time.perf_counter()]) * 1000
    return Decoded(taken, field, dict(zip(PHASES, times.tolist(), strict=True)))
