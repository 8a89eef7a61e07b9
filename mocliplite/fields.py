"""Motion fields: what they hold, and what a network sees of them. numpy only."""

from dataclasses import dataclass

import numpy as np

from mocliplite.store import Store

KIND_CODES = {"I": 0, "P": 1, "B": 2, "missing": 3}
# int8 has one value more on the negative side. It says "no vector here"; a vector is within +-127.
MISSING = -128
LIMIT = 127
CELL = 8  # pixels, edge of the smallest block that libavcodec exports


@dataclass(frozen=True)
class Field:
    """The motion of one clip.

    vectors: int8 [T, rows, cols, 2], (x, y) in quarter pixels per frame interval, or with motion.accumulate: gop since
    the last I-frame, positive where the *content* moves right and down (FFmpeg's vectors point the other way, from a
    block to where it came from). MISSING where there is no vector: in I-frames, intra blocks, and B-frames whose
    codec exports none.
    kind: uint8 [T], KIND_CODES; "missing" is a frame that should have vectors and has none.
    time: float64 [T], seconds from the first frame, rising; from the container's time stamps, or index over frame rate
    where they say nothing (AVI, streams without a container).
    """

    vectors: np.ndarray
    kind: np.ndarray
    time: np.ndarray
    fps: float  # frames per second, the mean; 0 where unknown
    width: int  # pixels, of the picture that the field is of, upright
    height: int
    codec: str  # of the file
    saturated: int  # components that were cut to +-LIMIT
    damaged: float  # share of frames that do not decode, or of which the decoder made up a part
    reencoded: bool  # whether the vectors are of the clip encoded anew


def even_places(count: int) -> np.ndarray:
    """The middles of `count` equal spans of a clip: float64 [count], from 0 to 1."""
    return (np.arange(count) + 0.5) / count


def frames_at(kind: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Indices of a clip's frames with vectors at places from 0 to 1, of those frames alone: int64 [S]."""
    informed = np.flatnonzero((kind == KIND_CODES["P"]) | (kind == KIND_CODES["B"]))
    return informed[np.minimum((places * len(informed)).astype(np.int64), len(informed) - 1)]


def load_fields(store: Store, clip_id: str, places: np.ndarray, grid: tuple[int, int], camera: bool) -> np.ndarray:
    """sample_fields of one clip of a motion store at places from 0 to 1; no other frames are read."""
    record = store.read_frames(clip_id, lambda kind: frames_at(kind, places))
    return sample_fields(record.arrays["vectors"], store.sizes[clip_id], grid, camera)


def sample_fields(vectors: np.ndarray, size: tuple[int, int], grid: tuple[int, int], camera: bool) -> np.ndarray:
    """Some fields of a clip, int8 [S, ...] of its vectors, brought to one grid: float16 [S, 3, rows, cols].

    size is the video's (height, width) in pixels, grid (rows, cols). Channels are x and y, in cells of the new grid per
    frame interval, and the share of the cell that is known. The clip is seen as if it had been scaled to the new grid,
    displacements with it, so that the size of a video does not tell its class. With camera, each field's median motion
    is taken from it first: what moves with most of the picture is the camera.
    """
    rows, cols = grid
    known = vectors[..., :1] != MISSING
    moved = np.where(known, vectors, 0).astype(np.float32)
    if camera:
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
