"""Motion fields from the motion vectors of a codec."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite.errors import Failure, UserError
from mocliplite.large_arrays import slices
from mocliplite.motion.accumulation import accumulate_since_intra
from mocliplite.motion.field import BASE_CELL_SIZE, KIND_CODES, MISSING, Field
from mocliplite.motion.grid import Batches, Grid
from mocliplite.motion.scatter import BATCH_FRAMES, scatter
from mocliplite.params import Motion, Reencode
from mocliplite.sections import section
from mocliplite.spans import WHOLE_FILE, Span, name_of
from mocliplite.video.orientation import PLAIN, Orientation
from mocliplite.video.spans import frame_range
from mocliplite.video.streams import DEFAULT_LIMITS, Limits
from mocliplite.video.vectors import AUTO, EXPORTING, ClipFrames, FrameStream, read_vectors

_PART = 64  # frames


def motion_field(path: str | Path, settings: Motion, limits: Limits = DEFAULT_LIMITS) -> Field:
    """Return the motion field of a clip.

    Raises UserError for a clip that cannot be read, has no vectors, or is damaged beyond motion.max_damaged,
    MachineError for errors of the machine, and LimitError for a clip beyond the limits.
    """
    clip, (grid, clipped) = _read(path, settings, limits)
    return field_of(path, clip, grid, clipped, settings)


def motion_fields(
    path: str | Path, spans: Sequence[Span], settings: Motion, limits: Limits = DEFAULT_LIMITS
) -> list[Field | Failure]:
    """Return the motion field of each span of a file, which is decoded once; a Failure for a span without one.

    Every frame has the values that it has in the field of the file, except that interpolation is between frames of the
    span. Its time is that from the first frame of the span.
    Raises the errors of motion_field for a file that cannot be used.
    """
    clip, (grid, clipped) = _read(path, settings, limits)
    times = clip.time.tolist()
    fields: list[Field | Failure] = []
    for span in spans:
        try:
            frames, name = frame_range(path, span, times), name_of(path, span)
            # Copied, because spans may overlap, and because a part would keep the whole grid in memory.
            part = grid if list(spans) == [WHOLE_FILE] else grid[frames.start : frames.stop].copy()
            if not span.is_whole_file and part.max() == MISSING:
                raise UserError(f"{name} has no frame with motion vectors; choose a longer span or remove the clip.")
            clipped_in_span = {frame: count for frame, count in clipped.items() if frame in frames}
            fields.append(field_of(name, clip.part(frames), part, clipped_in_span, settings))
        except UserError as error:
            fields.append(Failure(str(error)))
    return fields


def grid_of(stream: FrameStream, settings: Motion) -> tuple[np.ndarray, dict[int, int]]:
    """Return the grid of a motion field, int8 [T, rows, cols, 2], and the components clipped to +-LIMIT.

    These are given as the number of each frame that has any.
    """
    grid, clipped = Grid(stream, finish_of(stream, settings)), dict[int, int]()
    for numbers, cells, new_clipped in motion_batches(stream, settings, lambda: grid.size):
        grid.write(numbers, cells)
        clipped |= new_clipped
    return grid.all(), clipped


def finish_of(stream: FrameStream, settings: Motion) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from cells of 8 pixels, int8 [frames, rows, cols, 2], to those that field_of expects."""
    # Interpolation is in cells of 8 pixels.
    return (lambda cells: cells) if settings.interpolate else partial(_finished, settings, stream.orientation)


def motion_batches(
    stream: FrameStream, settings: Motion, held: Callable[[], int], frames: int = BATCH_FRAMES
) -> Batches:
    """Yield the motion of a stream in cells of 8 pixels, a few frames at a time. held: bytes that are stored."""
    return accumulate_since_intra(stream) if settings.accumulate == "gop" else scatter(stream, held, frames)


def field_of(
    path: str | Path, clip: ClipFrames, grid: np.ndarray, clipped: Mapping[int, int], settings: Motion
) -> Field:
    """Return the motion field of a clip from grid_of. `path` is used in error messages only."""
    damaged = damaged_share(clip)
    if damaged > settings.max_damaged:
        raise UserError(
            f"{path} is damaged: {damaged:.0%} of its frames cannot be decoded, motion.max_damaged is "
            f"{settings.max_damaged:.0%}; replace or remove it, or raise motion.max_damaged."
        )
    # MISSING is the smallest value.
    has_vectors = grid.reshape(len(grid), -1).max(axis=1, initial=MISSING) > MISSING
    if not has_vectors.any():
        raise UserError(f"{path} has only vectors to frames that it does not contain; replace or remove it.")
    pairs = zip(clip.frame_types, has_vectors, strict=True)
    kinds = [frame_type if has or frame_type == "I" else "missing" for frame_type, has in pairs]
    if settings.interpolate:
        _interpolate(grid, np.array(kinds))
        grid, kinds = _finished_in_parts(settings, clip.orientation, grid), clip.frame_types
    width, height = (clip.info.width, clip.info.height)[:: -1 if clip.orientation.swaps_axes else 1]
    return Field(
        vectors=grid,
        kind=np.array([KIND_CODES[kind] for kind in kinds], dtype=np.uint8),
        time=clip.time,
        fps=clip.info.fps,
        width=width,
        height=height,
        codec=clip.info.codec,
        clipped=sum(clipped.values()),
        damaged=damaged,
        reencoded=clip.reencoded,
        interlaced=clip.interlaced,
        pixel_aspect=1 / clip.info.pixel_aspect if clip.orientation.swaps_axes else clip.info.pixel_aspect,
    )


def settings_of(stored: Mapping[str, Any]) -> Motion:
    """Return the settings of extraction that a store has recorded."""
    return section(Motion, "motion", {key: value for key, value in stored.items() if key != "version"})


def damaged_share(clip: ClipFrames) -> float:
    """Return the fraction of frames that cannot be decoded or that the decoder conceals in part."""
    return (len(clip.lost) + len(clip.damaged)) / (len(clip.lost) + len(clip.frame_types))


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


def _read(path: str | Path, settings: Motion, limits: Limits) -> tuple[ClipFrames, tuple[np.ndarray, dict[int, int]]]:
    """Read a clip, or the clip re-encoded as the settings require. Raises UserError without any vectors."""

    def grid(stream: FrameStream) -> tuple[np.ndarray, dict[int, int]]:
        return grid_of(stream, settings)

    if isinstance(settings.reencode, Reencode):
        clip, result = read_vectors(path, grid, settings.reencode, limits)
    else:
        auto = settings.reencode == "auto"
        clip, result = read_vectors(path, grid, None, limits, fallback=AUTO if auto else "skip")
        if auto and len(clip.frame_types) > 1 and not clip.vectors and not clip.reencoded:
            clip, result = read_vectors(path, grid, AUTO, limits)
    if not clip.vectors and damaged_share(clip) <= settings.max_damaged:
        codec = "mpeg4" if clip.reencoded else clip.info.codec
        raise UserError(f"{path}: {no_vectors_reason(codec, clip.frame_types)}")
    return clip, result


def _finished(settings: Motion, orientation: Orientation, cells: np.ndarray) -> np.ndarray:
    """Return cells of 8 pixels at the size in the settings and upright."""
    return _upright(_coarser(cells, settings.cell_size), orientation)


def _finished_in_parts(settings: Motion, orientation: Orientation, grid: np.ndarray) -> np.ndarray:
    finished = np.empty((len(grid), *_finished(settings, orientation, grid[:1]).shape[1:]), dtype=np.int8)
    for part in slices(len(grid), _PART):
        finished[part] = _finished(settings, orientation, grid[part])
    return finished


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


def _interpolate(grid: np.ndarray, kinds: np.ndarray) -> None:
    """Fill in frames of kind "missing" by linear interpolation between the nearest frames with vectors, per cell."""
    has_vectors = np.flatnonzero((kinds == "P") | (kinds == "B"))
    gaps = np.flatnonzero(kinds == "missing")
    after = np.searchsorted(has_vectors, gaps)
    before, after = has_vectors[np.maximum(after - 1, 0)], has_vectors[np.minimum(after, len(has_vectors) - 1)]
    weight = np.clip((gaps - before) / np.maximum(after - before, 1), 0, 1)[:, None, None, None]
    for part in slices(len(gaps), _PART):
        first, last = grid[before[part]], grid[after[part]]
        line = np.rint(first * (1 - weight[part]) + last * weight[part])
        # If a cell is MISSING on one side, the value of the other side is used.
        grid[gaps[part]] = np.where(first == MISSING, last, np.where(last == MISSING, first, line))
