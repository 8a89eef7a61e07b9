"""Motion fields: what they hold, and what a network sees of them. numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mocliplite.spans import middles
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


def load_fields(store: Store, ids: Sequence[str], shape: tuple[int, int, int]) -> np.ndarray:
    """sample_fields of many clips of a motion store: float16 [N, S, 3, rows, cols], in the order of ids."""
    out = np.empty((len(ids), shape[0], 3, *shape[1:]), dtype=np.float16)
    place = {clip_id: row for row, clip_id in enumerate(ids)}
    for clip_id, record in store.records(ids):
        size = (record.attributes["height"], record.attributes["width"])
        out[place[clip_id]] = sample_fields(record.arrays["vectors"], record.arrays["kind"], size, shape)
    return out


def sample_fields(
    vectors: np.ndarray, kind: np.ndarray, size: tuple[int, int], shape: tuple[int, int, int]
) -> np.ndarray:
    """Fields at S places spread over a clip, brought to one size: float16 [S, 3, rows, cols] for shape (S, rows, cols).

    size is the video's (height, width) in pixels. Channels are x and y, in cells of the new grid per frame interval,
    and the share of the cell that is known. Only frames with vectors are taken. The clip is seen as if it had been
    scaled to the new grid, displacements with it, so that the size of a video does not tell its class.
    """
    count, rows, cols = shape
    informed = np.flatnonzero((kind == KIND_CODES["P"]) | (kind == KIND_CODES["B"]))
    chosen = vectors[informed[middles(len(informed), count)]]
    known = (chosen[..., :1] != MISSING).astype(np.float32)
    moved = np.where(known > 0, chosen, 0).astype(np.float32)
    down, across = _area_weights(vectors.shape[1], rows), _area_weights(vectors.shape[2], cols)
    moved, share = (np.einsum("ir,trcd,jc->tdij", down, part, across, optimize=True) for part in (moved, known))
    cells_a_quarter = np.array([cols / size[1], rows / size[0]], dtype=np.float32).reshape(2, 1, 1) / 4
    mean = moved / np.maximum(share, 1e-6) * cells_a_quarter
    return np.concatenate([mean, share], axis=1).astype(np.float16)


def _area_weights(size: int, wanted: int) -> np.ndarray:
    """Weights float32 [wanted, size] of an area mean from `size` cells to `wanted`."""
    edges = np.linspace(0, size, wanted + 1)
    start, end = edges[:-1, None], edges[1:, None]
    cells = np.arange(size)[None]
    overlap = np.clip(np.minimum(end, cells + 1) - np.maximum(start, cells), 0, None)
    return (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
