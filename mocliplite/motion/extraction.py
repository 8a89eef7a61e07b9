"""Motion fields from the motion vectors of a codec."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import params
from mocliplite.errors import UserError
from mocliplite.motion.accumulation import accumulate_since_intra
from mocliplite.motion.distances import reference_distances
from mocliplite.motion.field import BASE_CELL_SIZE, KIND_CODES, MISSING, Field
from mocliplite.motion.scatter import scatter
from mocliplite.params import Motion, Reencode
from mocliplite.video.orientation import PLAIN, Orientation
from mocliplite.video.streams import DEFAULT_LIMITS, Limits
from mocliplite.video.vectors import AUTO, EXPORTING, Vectors, read_vectors


def motion_field(path: str | Path, settings: Motion, limits: Limits = DEFAULT_LIMITS) -> Field:
    """Return the motion field of a clip.

    Raises UserError for a clip that cannot be read, has no vectors, or is damaged beyond motion.max_damaged,
    MachineError for errors of the machine, and LimitError for a clip beyond the limits.
    """
    return field_of(path, load_vectors(path, settings, limits), settings)


def field_of(path: str | Path, vectors: Vectors, settings: Motion) -> Field:
    """Return the motion field of the vectors of a clip. `path` is used in error messages only."""
    damaged = damaged_share(vectors)
    if damaged > settings.max_damaged:
        raise UserError(
            f"{path} is damaged: {damaged:.0%} of its frames cannot be decoded, motion.max_damaged is "
            f"{settings.max_damaged:.0%}; replace or remove it, or raise motion.max_damaged."
        )
    distances = reference_distances(vectors.order, vectors.reference)
    if settings.accumulate == "gop":
        grid, clipped = accumulate_since_intra(vectors, distances[:, 0])
    else:
        grid, clipped = scatter(vectors, distances)
    has_vectors = (grid[..., 0] != MISSING).any(axis=(1, 2))
    if not has_vectors.any():
        raise UserError(f"{path} has only vectors to frames that it does not contain; replace or remove it.")
    pairs = zip(vectors.frame_types, has_vectors, strict=True)
    kinds = [frame_type if has or frame_type == "I" else "missing" for frame_type, has in pairs]
    if settings.interpolate:
        grid = _interpolated(grid, np.array(kinds))
        kinds = vectors.frame_types
    orientation = vectors.orientation
    grid = _upright(_coarser(grid, settings.cell_size), orientation)
    width, height = (vectors.info.width, vectors.info.height)[:: -1 if orientation.swaps_axes else 1]
    return Field(
        vectors=grid,
        kind=np.array([KIND_CODES[kind] for kind in kinds], dtype=np.uint8),
        time=vectors.time,
        fps=vectors.info.fps,
        width=width,
        height=height,
        codec=vectors.info.codec,
        clipped=clipped,
        damaged=damaged,
        reencoded=vectors.reencoded,
        interlaced=vectors.interlaced,
        pixel_aspect=1 / vectors.info.pixel_aspect if orientation.swaps_axes else vectors.info.pixel_aspect,
    )


def settings_of(stored: Mapping[str, Any]) -> Motion:
    """Return the settings of extraction that a store has recorded."""
    return params.section(Motion, "motion", {key: value for key, value in stored.items() if key != "version"})


def damaged_share(vectors: Vectors) -> float:
    """Return the fraction of frames that cannot be decoded or that the decoder conceals in part."""
    return (vectors.lost + int(vectors.damaged.sum())) / (vectors.lost + len(vectors.frame_types))


def no_vectors_reason(codec: str, frame_types: Sequence[str]) -> str:
    """Return why a clip has no vectors, and what to do about it, as the end of a sentence."""
    if len(frame_types) == 1:
        return "it has one frame, but motion needs two; replace it with a video or remove it."
    if codec not in EXPORTING:
        return (
            f"codec {codec} exports no motion vectors; set motion.reencode: auto to re-encode such clips in memory, "
            "or re-encode it as H.264 or MPEG-4."
        )
    return (
        "it has only I-frames, which have no motion vectors; set motion.reencode: auto to re-encode such clips in "
        "memory, or re-encode it with P-frames."
    )


def load_vectors(path: str | Path, settings: Motion, limits: Limits = DEFAULT_LIMITS) -> Vectors:
    """Return the vectors of a clip, or of the clip re-encoded as the settings require. Raises UserError without any."""
    if isinstance(settings.reencode, Reencode):
        vectors = read_vectors(path, settings.reencode, limits)
    else:
        auto = settings.reencode == "auto"
        vectors = read_vectors(path, None, limits, fallback=AUTO if auto else "skip")
        if auto and len(vectors.frame_types) > 1 and not len(vectors.blocks) and not vectors.reencoded:
            vectors = read_vectors(path, AUTO, limits)
    if not len(vectors.blocks) and damaged_share(vectors) <= settings.max_damaged:
        codec = "mpeg4" if vectors.reencoded else vectors.info.codec
        raise UserError(f"{path}: {no_vectors_reason(codec, vectors.frame_types)}")
    return vectors


def _coarser(grid: np.ndarray, cell: int) -> np.ndarray:
    """Average cells of 8 pixels to larger ones, without those that are MISSING."""
    if cell == BASE_CELL_SIZE:
        return grid
    factor = cell // BASE_CELL_SIZE
    frames, rows, cols, _ = grid.shape
    pad = ((0, 0), (0, -rows % factor), (0, -cols % factor), (0, 0))
    padded = np.pad(grid, pad, constant_values=MISSING).reshape(frames, -(-rows // factor), factor, -1, factor, 2)
    known = padded[..., :1] != MISSING
    count = known.sum(axis=(2, 4))
    total = np.where(known, padded, 0).sum(axis=(2, 4), dtype=np.int64)
    return np.where(count > 0, np.rint(total / np.maximum(count, 1)), MISSING).astype(np.int8)


def _upright(grid: np.ndarray, orientation: Orientation) -> np.ndarray:
    """Return the field of the picture as displayed."""
    if orientation == PLAIN:
        return np.ascontiguousarray(grid)
    right, down = grid[..., 0], grid[..., 1]
    if orientation.mirrored:
        right = _negative(right)
    for _ in range(orientation.quarter_turns):
        # After a counterclockwise quarter turn, motion to the right points up, and motion down points to the right.
        right, down = down, _negative(right)
    rotated = np.stack([right, down], axis=-1)
    if orientation.mirrored:
        rotated = rotated[:, :, ::-1]
    return np.ascontiguousarray(np.rot90(rotated, orientation.quarter_turns, axes=(1, 2)))


def _negative(part: np.ndarray) -> np.ndarray:
    return np.where(part == MISSING, MISSING, -part).astype(part.dtype)


def _interpolated(grid: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Fill in frames of kind "missing" by linear interpolation between the nearest frames with vectors, per cell."""
    has_vectors = np.flatnonzero((kinds == "P") | (kinds == "B"))
    gaps = np.flatnonzero(kinds == "missing")
    after = np.searchsorted(has_vectors, gaps)
    before, after = has_vectors[np.maximum(after - 1, 0)], has_vectors[np.minimum(after, len(has_vectors) - 1)]
    weight = np.clip((gaps - before) / np.maximum(after - before, 1), 0, 1)[:, None, None, None]
    first, last = grid[before], grid[after]
    line = np.rint(first * (1 - weight) + last * weight)
    # If a cell is MISSING on one side, the value of the other side is used.
    line = np.where(first == MISSING, last, np.where(last == MISSING, first, line))
    filled = grid.copy()
    filled[gaps] = line
    return filled
