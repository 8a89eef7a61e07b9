"""From a codec's motion vectors to a motion field."""

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
    """Motion field of a whole clip.

    Raises UserError for a clip that cannot be read, has no vectors, or is damaged beyond motion.max_damaged;
    MachineError where the machine is at fault, and LimitError for a clip beyond the limits.
    """
    return field_of(path, load_vectors(path, settings, limits), settings)


def field_of(path: str | Path, read: Vectors, settings: Motion) -> Field:
    """motion_field of vectors that were read from path."""
    share = damaged_share(read)
    if share > settings.max_damaged:
        raise UserError(
            f"{path} is damaged: {share:.0%} of its frames do not decode, motion.max_damaged allows "
            f"{settings.max_damaged:.0%}; replace or remove it, or raise that."
        )
    distances = reference_distances(read.order, read.reference)
    if settings.accumulate == "gop":
        grid, clipped = accumulate_since_intra(read, distances[:, 0])
    else:
        grid, clipped = scatter(read, distances)
    informed = (grid[..., 0] != MISSING).any(axis=(1, 2))
    if not informed.any():
        raise UserError(f"{path} has vectors to frames that are not in it; it is cut off, replace or remove it.")
    kinds = [kind if has or kind == "I" else "missing" for kind, has in zip(read.kinds, informed, strict=True)]
    if settings.interpolate:
        grid = _interpolated(grid, np.array(kinds))
        kinds = read.kinds
    way = read.orientation
    grid = _upright(_coarser(grid, settings.cell_size), way)
    width, height = (read.info.width, read.info.height)[:: -1 if way.swaps_axes else 1]
    return Field(
        vectors=grid,
        kind=np.array([KIND_CODES[kind] for kind in kinds], dtype=np.uint8),
        time=read.time,
        fps=read.info.fps,
        width=width,
        height=height,
        codec=read.info.codec,
        clipped=clipped,
        damaged=share,
        reencoded=read.reencoded,
        interlaced=read.interlaced,
        pixel_aspect=1 / read.info.pixel_aspect if way.swaps_axes else read.info.pixel_aspect,
    )


def settings_of(stored: Mapping[str, Any]) -> Motion:
    """The settings with which a store's fields were made, from the store's own record of them."""
    return params.section(Motion, "motion", {key: value for key, value in stored.items() if key != "version"})


def damaged_share(read: Vectors) -> float:
    """Share of a clip's frames that do not decode, or of which the decoder made up a part."""
    return (read.lost + int(read.damaged.sum())) / (read.lost + len(read.kinds))


def why_none(codec: str, kinds: Sequence[str]) -> str:
    """Why a clip has no vectors, and what to do about it."""
    if len(kinds) == 1:
        return "it has one frame only, and motion needs two; remove it or replace it by a video."
    if codec not in EXPORTING:
        return (
            f"codec {codec} exports no motion vectors; set motion.reencode: auto, which encodes such clips in memory, "
            "or encode it again as H.264 or MPEG-4."
        )
    return (
        "it has I-frames only, so there is no motion to read; set motion.reencode: auto, which encodes such clips in "
        "memory, or encode it again with P-frames."
    )


def load_vectors(path: str | Path, settings: Motion, limits: Limits = DEFAULT_LIMITS) -> Vectors:
    """Vectors of the clip itself, or of the clip encoded anew where the settings want it. Raises UserError."""
    if isinstance(settings.reencode, Reencode):
        read = read_vectors(path, settings.reencode, limits)
    else:
        auto = settings.reencode == "auto"
        read = read_vectors(path, None, limits, without=AUTO if auto else "skip")
        if auto and len(read.kinds) > 1 and not len(read.blocks) and not read.reencoded:
            read = read_vectors(path, AUTO, limits)
    if not len(read.blocks) and damaged_share(read) <= settings.max_damaged:
        raise UserError(f"{path}: {why_none('mpeg4' if read.reencoded else read.info.codec, read.kinds)}")
    return read


def _coarser(grid: np.ndarray, cell: int) -> np.ndarray:
    """Join cells of 8 pixels to larger ones by the mean of those known."""
    if cell == BASE_CELL_SIZE:
        return grid
    times = cell // BASE_CELL_SIZE
    frames, rows, cols, _ = grid.shape
    pad = ((0, 0), (0, -rows % times), (0, -cols % times), (0, 0))
    padded = np.pad(grid, pad, constant_values=MISSING).reshape(frames, -(-rows // times), times, -1, times, 2)
    known = padded[..., :1] != MISSING
    count = known.sum(axis=(2, 4))
    total = np.where(known, padded, 0).sum(axis=(2, 4), dtype=np.int64)
    return np.where(count > 0, np.rint(total / np.maximum(count, 1)), MISSING).astype(np.int8)


def _upright(grid: np.ndarray, way: Orientation) -> np.ndarray:
    """The field of the picture as it is shown."""
    if way == PLAIN:
        return np.ascontiguousarray(grid)
    right, down = grid[..., 0], grid[..., 1]
    if way.mirrored:
        right = _negative(right)
    for _ in range(way.turns):
        # What moves right moves up after a quarter turn counterclockwise, and what moves down moves right.
        right, down = down, _negative(right)
    turned = np.stack([right, down], axis=-1)
    return np.ascontiguousarray(np.rot90(turned[:, :, ::-1] if way.mirrored else turned, way.turns, axes=(1, 2)))


def _negative(part: np.ndarray) -> np.ndarray:
    return np.where(part == MISSING, MISSING, -part).astype(part.dtype)


def _interpolated(grid: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Frames of kind "missing" filled in, cell by cell, on a line between the frames before and after that are not."""
    informed = np.flatnonzero((kinds == "P") | (kinds == "B"))
    gaps = np.flatnonzero(kinds == "missing")
    after = np.searchsorted(informed, gaps)
    before, after = informed[np.maximum(after - 1, 0)], informed[np.minimum(after, len(informed) - 1)]
    share = np.clip((gaps - before) / np.maximum(after - before, 1), 0, 1)[:, None, None, None]
    first, last = grid[before], grid[after]
    line = np.rint(first * (1 - share) + last * share)
    # Where one side says nothing, the other stands alone.
    line = np.where(first == MISSING, last, np.where(last == MISSING, first, line))
    filled = grid.copy()
    filled[gaps] = line
    return filled
