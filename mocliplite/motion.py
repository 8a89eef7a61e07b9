"""From a codec's motion vectors to a motion field."""

from pathlib import Path

import numpy as np

from mocliplite import video
from mocliplite.errors import UserError
from mocliplite.fields import KIND_CODES, LIMIT, MISSING, Field
from mocliplite.params import Motion

# Raised whenever the values of a field would change: it is part of every clip's fingerprint.
VERSION = 1

# Smallest block that libavcodec exports, in pixels.
_BLOCK = 8

# Of the other codecs, MPEG-4 Part 2 first, libavcodec exports zeros for B-frames, whatever moves.
_B_VECTORS = ("h264", "mpeg1video", "mpeg2video")


def motion_field(path: str | Path, settings: Motion) -> Field:
    """Motion field of a whole clip. Raises UserError for a clip that cannot be read or has no vectors."""
    head = video.info(path)
    frames = list(video.motion_vectors(path))
    if not frames:
        raise UserError(f"{path} has no frame that decodes; replace or remove it.")
    kinds = [kind for kind, _ in frames]
    if head.codec not in _B_VECTORS:
        frames = [(kind, vectors[:0] if kind == "B" else vectors) for kind, vectors in frames]
    if not any(len(vectors) for _, vectors in frames):
        raise UserError(f"{path}: {why_none(head.codec, kinds)}")

    vectors = np.concatenate([vectors for _, vectors in frames])
    frame = np.repeat(np.arange(len(frames)), [len(vectors) for _, vectors in frames])
    quarters, known = _quarter_pixels(vectors, reference_distances(kinds), frame)
    shape = (len(frames), -(-head.height // _BLOCK), -(-head.width // _BLOCK))
    clipped = np.clip(quarters, -LIMIT, LIMIT)
    grid = _scatter(vectors[known], frame[known], clipped[known].astype(np.int8), shape)

    informed = np.bincount(frame[known], minlength=len(frames)) > 0
    if not informed.any():
        raise UserError(f"{path} has vectors to frames that are not in it; it is cut off, replace or remove it.")
    codes = [KIND_CODES[kind if has or kind == "I" else "missing"] for kind, has in zip(kinds, informed, strict=True)]
    saturated = int((clipped != quarters)[known].sum())
    kind = np.array(codes, dtype=np.uint8)
    return Field(_coarser(grid, settings.cell), kind, head.fps, head.width, head.height, head.codec, saturated)


def reference_distances(kinds: list[str]) -> np.ndarray:
    """Frame intervals from each frame to its references: int64 [T, 2], (past, future), 0 where there is none.

    MPEG-4 Part 2 has one past and one future reference, the nearest I- or P-frames in display order. H.264 may
    choose among several and libavcodec does not say which: the nearest is assumed there as well.
    """
    anchors = np.array([index for index, kind in enumerate(kinds) if kind != "B"], dtype=np.int64)
    if not len(anchors):
        return np.zeros((len(kinds), 2), dtype=np.int64)
    places = np.arange(len(kinds))
    before = np.searchsorted(anchors, places, side="left") - 1
    after = np.searchsorted(anchors, places, side="right")
    past = np.where(before >= 0, places - anchors[np.maximum(before, 0)], 0)
    last = len(anchors) - 1
    future = np.where(after <= last, anchors[np.minimum(after, last)] - places, 0)
    return np.stack([past, future], axis=1)


def why_none(codec: str, kinds: list[str]) -> str:
    """Why a clip whose frames decode has no vectors, and what to do about it."""
    if set(kinds) == {"I"} and codec in ("h264", "mpeg4"):
        return "it has I-frames only, so there is no motion to read; encode it again with P-frames."
    return f"codec {codec} exports no motion vectors; encode it again as H.264 or MPEG-4."


def _quarter_pixels(vectors: np.ndarray, distances: np.ndarray, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Content motion in quarter pixels per interval, int64 [V, 2], and whether its reference is known, bool [V]."""
    future = vectors["source"] > 0
    distance = distances[frame, future.astype(int)]
    known = distance > 0
    displacement = np.stack([vectors["motion_x"], vectors["motion_y"]], axis=1) / vectors["motion_scale"][:, None]
    # A vector leads from the block to its source: backwards in time to a past one, forwards to a future one.
    sign = np.where(future, 1, -1)
    return np.rint(4 * displacement * (sign / np.maximum(distance, 1))[:, None]).astype(np.int64), known


def _scatter(vectors: np.ndarray, frame: np.ndarray, values: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Spread the blocks over cells of 8 pixels: int8 [T, rows, cols, 2].

    Where a block of a B-frame has two vectors, the one to the past stays: it is written last.
    """
    _, rows, cols = shape
    grid = np.full((*shape, 2), MISSING, dtype=np.int8)
    left = (vectors["dst_x"] - vectors["w"].astype(np.int64) // 2) // _BLOCK
    top = (vectors["dst_y"] - vectors["h"].astype(np.int64) // 2) // _BLOCK
    for past in (False, True):
        for height, width in ((16, 16), (16, 8), (8, 16), (8, 8)):
            chosen = (vectors["source"] < 0) == past
            chosen &= (vectors["w"] == width) & (vectors["h"] == height)
            for down in range(height // _BLOCK):
                for right in range(width // _BLOCK):
                    row, col = top[chosen] + down, left[chosen] + right
                    # Blocks at the right and lower border may reach past the picture.
                    inside = (row >= 0) & (row < rows) & (col >= 0) & (col < cols)
                    grid[frame[chosen][inside], row[inside], col[inside]] = values[chosen][inside]
    return grid


def _coarser(grid: np.ndarray, cell: int) -> np.ndarray:
    """Join cells of 8 pixels to larger ones by the mean of those known."""
    if cell == _BLOCK:
        return grid
    times = cell // _BLOCK
    frames, rows, cols, _ = grid.shape
    pad = ((0, 0), (0, -rows % times), (0, -cols % times), (0, 0))
    padded = np.pad(grid, pad, constant_values=MISSING).reshape(frames, -(-rows // times), times, -1, times, 2)
    known = padded[..., :1] != MISSING
    count = known.sum(axis=(2, 4))
    total = np.where(known, padded, 0).sum(axis=(2, 4), dtype=np.int64)
    return np.where(count > 0, np.rint(total / np.maximum(count, 1)), MISSING).astype(np.int8)
