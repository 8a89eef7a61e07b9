"""Decode what prediction needs from a clip: its keyframes and its motion field."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from mocliplite import params
from mocliplite.errors import Failure, UserError
from mocliplite.motion import extraction
from mocliplite.motion.field import Field
from mocliplite.runtime import crash_safe, engines
from mocliplite.video.keyframes import Keyframe, read_keyframes
from mocliplite.video.streams import DEFAULT_LIMITS, Limits

# In this order: decode the keyframes, read the motion vectors into a motion field.
PHASES = ("keyframes", "motion")
BATCH = 16  # clips per forward pass

Decoded = TypeVar("Decoded")
Answer = TypeVar("Answer")


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
    field = extraction.motion_field(path, settings, limits)
    durations = np.diff([start, keyframes_read, time.perf_counter()]) * 1000
    return DecodedClip(keyframes, field, dict(zip(PHASES, durations.tolist(), strict=True)))


def decode_keyframes(
    path: str, frames: int, pick: str, limits: Limits = DEFAULT_LIMITS
) -> tuple[list[Keyframe], dict[str, float]]:
    """Return the keyframes of a clip, and the milliseconds that they took by phase, as `decode` does."""
    start = time.perf_counter()
    keyframes = read_keyframes(path, frames, pick, limits)
    return keyframes, {PHASES[0]: 1000 * (time.perf_counter() - start)}


def classify_decoded(
    decode_clip: Callable[..., Decoded],
    arguments: tuple[object, ...],
    classify: Callable[[list[tuple[str, Decoded]]], list[Answer]],
    paths: Iterable[str],
    compute: params.Compute,
) -> Iterator[Answer | UserError]:
    """Yield the answer to each path, in order; for a clip that cannot be used, the UserError.

    decode_clip(path, *arguments) runs ahead in subprocesses, so that a clip that crashes the decoder does not affect
    the others. classify returns the answers to up to BATCH clips, each given as path and result of decode_clip.
    """
    decode_safely = crash_safe.crash_safe(decode_clip, compute)

    def decode_path(path: str) -> tuple[str, Decoded | UserError]:
        if os.path.isdir(path):  # noqa: PTH112  unlike Path.is_dir, False for a name that is too long
            return path, UserError(f"{path} is a folder; give its files, such as {Path(path)}/*.mp4.")
        found = decode_safely(path, *arguments)
        if isinstance(found, Failure):
            return path, found.error()
        return path, found

    decoded = engines.map_ahead(decode_path, paths, compute.workers)
    while batch := list(islice(decoded, BATCH)):
        usable = [(path, found) for path, found in batch if not isinstance(found, UserError)]
        answers = iter(classify(usable) if usable else [])
        for _, found in batch:
            yield found if isinstance(found, UserError) else next(answers)
