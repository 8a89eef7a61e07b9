"""Which fields of a clip a network sees, and how they are resampled to one grid. numpy only."""

import numpy as np

from mocliplite.motion.field import KIND_CODES, MISSING
from mocliplite.params import MotionNet
from mocliplite.store.stores import Store


def even_positions(count: int) -> np.ndarray:
    """The middles of `count` equal spans of a clip: float64 [count], from 0 to 1."""
    return (np.arange(count) + 0.5) / count


def frames_at(kind: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Indices of a clip's frames with vectors at places from 0 to 1, of those frames alone: int64 [S]."""
    informed = np.flatnonzero((kind == KIND_CODES["P"]) | (kind == KIND_CODES["B"]))
    return informed[np.minimum((places * len(informed)).astype(np.int64), len(informed) - 1)]


def load_fields(
    store: Store, clip_id: str, positions: np.ndarray, grid: tuple[int, int], remove_global_motion: bool
) -> np.ndarray:
    """sample_fields of one clip of a motion store at positions from 0 to 1; no other frames are read."""
    record = store.read_frames(clip_id, lambda kind: frames_at(kind, positions))
    return sample_fields(record.arrays["vectors"], store.sizes[clip_id], grid, remove_global_motion)


def sample_fields(
    vectors: np.ndarray, size: tuple[int, int], grid: tuple[int, int], remove_global_motion: bool
) -> np.ndarray:
    """Some fields of a clip, int8 [S, ...] of its vectors, brought to one grid: float16 [S, 3, rows, cols].

    size is the video's (height, width) in pixels, grid (rows, cols). Channels are x and y, in cells of the new grid per
    frame interval, and the share of the cell that is known. The clip is seen as if it had been scaled to the new grid,
    displacements with it, so that the size of a video does not tell its class. With remove_global_motion, the median
    motion of each field is subtracted first: it is that of the camera where most of the picture moves with it.
    """
    rows, cols = grid
    known = vectors[..., :1] != MISSING
    moved = np.where(known, vectors, 0).astype(np.float32)
    if remove_global_motion:
        moved -= np.where(known, _median(vectors), 0)
    down, across = _area_weights(vectors.shape[1], rows), _area_weights(vectors.shape[2], cols)
    both = np.concatenate([moved, known], axis=3).transpose(0, 3, 1, 2)
    both = down @ (both @ across.T)
    cells_a_quarter = np.array([cols / size[1], rows / size[0]], dtype=np.float32).reshape(2, 1, 1) / 4
    mean = both[:, :2] / np.maximum(both[:, 2:], 1e-6) * cells_a_quarter
    return np.concatenate([mean, both[:, 2:]], axis=1).astype(np.float16)


def _median(vectors: np.ndarray) -> np.ndarray:
    """The lower median of the known vectors of each field, by component: int8 [S, 1, 1, 2]; 0 where none is known."""
    values = np.sort(vectors.reshape(len(vectors), -1, 2).transpose(0, 2, 1), axis=2, kind="stable")
    # MISSING is the lowest value there is, so the known ones are the last.
    missing = (values[:, 0] == MISSING).sum(axis=1)
    middle = np.minimum((missing + values.shape[2] - 1) // 2, values.shape[2] - 1)
    median = values[np.arange(len(values)), :, middle]
    return np.where(median == MISSING, 0, median)[:, None, None]


def _area_weights(size: int, wanted: int) -> np.ndarray:
    """Weights float32 [wanted, size] of an area mean from `size` cells to `wanted`."""
    edges = np.linspace(0, size, wanted + 1)
    start, end = edges[:-1, None], edges[1:, None]
    cells = np.arange(size)[None]
    overlap = np.clip(np.minimum(end, cells + 1) - np.maximum(start, cells), 0, None)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)


# The view "shift" begins this far into the clip.
SHIFT_START = 0.1


def positions(settings: MotionNet, view: str = "plain") -> np.ndarray:
    """Where in a clip the fields of a view are taken: float64 [frames], from 0 to 1."""
    even = even_positions(settings.frames)
    return SHIFT_START + even * (1 - SHIFT_START) if view == "shift" else even


def random_positions(settings: MotionNet, generator: np.random.Generator) -> np.ndarray:
    """A random position in each of `segments` equal spans, after cropping up to `temporal_crop` at either end."""
    start, end = generator.uniform(0, settings.temporal_crop), 1 - generator.uniform(0, settings.temporal_crop)
    spans = (np.arange(settings.segments) + generator.random(settings.segments)) / settings.segments
    return start + spans * (end - start)
