"""Which fields of a clip a network gets, and how they are resampled to one grid. Uses numpy only."""

import math

import numpy as np

from mocliplite.motion.field import KIND_CODES, MISSING
from mocliplite.params import MotionNet

# The view "shift" starts at this position of the clip.
SHIFT_START = 0.1


def even_positions(count: int) -> np.ndarray:
    """Return the centres of `count` equal spans of a clip: float64 [count], from 0 to 1."""
    return (np.arange(count) + 0.5) / count


def view_positions(settings: MotionNet, view: str = "plain") -> np.ndarray:
    """Return the positions of a view's fields: float64 [frames], from 0 to 1."""
    even = even_positions(settings.frames)
    return SHIFT_START + even * (1 - SHIFT_START) if view == "shift" else even


def random_positions(settings: MotionNet, generator: np.random.Generator) -> np.ndarray:
    """Return a random position in each of `segments` equal spans: float64 [segments], from 0 to 1.

    Up to `temporal_crop` of the clip is left out at either end first.
    """
    start, end = generator.uniform(0, settings.temporal_crop), 1 - generator.uniform(0, settings.temporal_crop)
    spans = (np.arange(settings.segments) + generator.random(settings.segments)) / settings.segments
    return start + spans * (end - start)


def indices_at(count: int, positions: np.ndarray) -> np.ndarray:
    """Return the indices, among `count` fields, of those at positions from 0 to 1: int64 [S]; 0.5 is the middle."""
    return np.minimum((positions * count).astype(np.int64), count - 1)


def frames_with_vectors(kind: np.ndarray) -> np.ndarray:
    """Return the indices of the frames with vectors among frames of types uint8 [T]. Only these frames are used."""
    return np.flatnonzero((kind == KIND_CODES["P"]) | (kind == KIND_CODES["B"]))


def frames_at(kind: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the indices of the frames with vectors at positions from 0 to 1: int64 [S]."""
    frames = frames_with_vectors(kind)
    return frames[indices_at(len(frames), positions)]


def sample_fields(
    vectors: np.ndarray, size: tuple[int, int], grid: tuple[int, int], remove_global_motion: bool
) -> np.ndarray:
    """Resample vectors int8 [S, rows, cols, 2] of a clip to one grid: float16 [S, 3, *grid].

    size is the video's (height, width) in pixels, grid is (rows, cols). Channels are x and y, in cells of the new grid
    per frame interval, and the share of the cell that is known. Displacements are scaled with the picture, so that the
    size of a video carries no information about its class. With remove_global_motion, the median motion of each field
    is subtracted first: it is the camera's motion where most of the picture moves with the camera.
    """
    rows, cols = grid
    known = vectors[..., :1] != MISSING
    motion = vectors.astype(np.int16)
    if remove_global_motion:
        motion -= _median(vectors)
    # Products are several times faster than numpy.where.
    motion *= known
    channels = np.empty((len(vectors), 3, *vectors.shape[1:3]), dtype=np.float32)
    channels[:, :2], channels[:, 2:] = motion.transpose(0, 3, 1, 2), known.transpose(0, 3, 1, 2)
    weights_down, weights_across = _area_weights(vectors.shape[1], rows), _area_weights(vectors.shape[2], cols)
    channels = weights_down @ (channels @ weights_across.T)
    cells_per_quarter_pixel = np.array([cols / size[1], rows / size[0]], dtype=np.float32).reshape(2, 1, 1) / 4
    mean = channels[:, :2] / np.maximum(channels[:, 2:], 1e-6) * cells_per_quarter_pixel
    return np.concatenate([mean, channels[:, 2:]], axis=1).astype(np.float16)


def mirrored(fields: np.ndarray) -> np.ndarray:
    """Return the mirrored fields [..., 3, rows, cols] as augmentation.flip does: columns reversed, x negated."""
    return fields[..., ::-1] * np.array([-1, 1, 1], dtype=fields.dtype).reshape(3, 1, 1)


def _median(vectors: np.ndarray) -> np.ndarray:
    """The lower median of the known vectors of each field, by component: int8 [S, 1, 1, 2]; 0 where none is known."""
    values = np.sort(
        vectors.reshape(len(vectors), math.prod(vectors.shape[1:3]), 2).transpose(0, 2, 1), axis=2, kind="stable"
    )
    # MISSING is the lowest int8 value, so the known values come last.
    missing = (values[:, 0] == MISSING).sum(axis=1)
    middle = np.minimum((missing + values.shape[2] - 1) // 2, values.shape[2] - 1)
    median = values[np.arange(len(values)), :, middle]
    return np.where(median == MISSING, 0, median)[:, None, None]


def _area_weights(size: int, new_size: int) -> np.ndarray:
    """Weights float32 [new_size, size] of an area mean from `size` cells to `new_size`."""
    edges = np.linspace(0, size, new_size + 1)
    start, end = edges[:-1, None], edges[1:, None]
    cells = np.arange(size)[None]
    overlap = np.clip(np.minimum(end, cells + 1) - np.maximum(start, cells), 0, None)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
