"""Scenes with known motion, rendered from a textured picture, and encoding with PyAV."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from scipy.ndimage import map_coordinates

SIZE = (144, 176)  # height, width

# x264 chooses its code, and its bytes with it, by the processor unless told not to.
SAME_BYTES = "cpu-independent=1"
# A fixed number of consecutive B-frames, one reference frame in each direction, no I-frames at scene cuts.
CODECS = {
    "mpeg4": {"b_strategy": "0", "sc_threshold": "1000000000", "qmin": "2", "qmax": "2"},
    "mpeg2video": {"b_strategy": "0", "sc_threshold": "1000000000", "qmin": "2", "qmax": "2"},
    "libx264": {
        "crf": "18",
        "x264-params": f"b-adapt=0:b-pyramid=none:ref=1:weightp=0:weightb=0:scenecut=0:{SAME_BYTES}",
    },
    "libx265": {"x265-params": "log-level=none"},
}


@dataclass(frozen=True)
class Scene:
    """Pictures and their true motion.

    pictures: uint8 [height, width] each. motion: float [T, height, width, 2], the displacement (right, down) in pixels
    of the content at each pixel since the previous frame.
    """

    pictures: list[np.ndarray]
    motion: np.ndarray


def steady(right: float = 0, down: float = 0, zoom: float = 1, rotation: float = 0, frames: int = 25) -> Scene:
    """Return a scene with one motion in all frames: translation in pixels, zoom, clockwise rotation in radians."""
    cosine, sine = np.cos(rotation), np.sin(rotation)
    forward = np.eye(3)
    forward[:2, :2] = zoom * np.array([[cosine, -sine], [sine, cosine]])
    forward[:2, 2] = right, down
    backward = np.linalg.inv(forward)
    pixels = _pixels()
    earlier = _transform(backward, pixels)
    pictures = [_sample_canvas(_transform(np.linalg.matrix_power(backward, frame), pixels)) for frame in range(frames)]
    return Scene(pictures, np.broadcast_to(pixels - earlier, (frames, *pixels.shape)))


def two_objects(frames: int = 25) -> Scene:
    """Return a scene with a square of 64 pixels that moves by (2, 1) over a background that moves by (-1.5, 0)."""
    background, square = steady(right=-1.5, frames=frames), steady(right=2, down=1, frames=frames)
    pictures, motion = [], background.motion.copy()
    for frame, (background_picture, square_picture) in enumerate(
        zip(background.pictures, square.pictures, strict=True)
    ):
        top, left = 24 + frame, 24 + 2 * frame
        inside = np.s_[top : top + 64, left : left + 64]
        picture = background_picture.copy()
        picture[inside] = 255 - square_picture[inside]
        motion[frame][inside] = square.motion[frame][inside]
        pictures.append(picture)
    return Scene(pictures, motion)


SCENES = {
    "whole pixels": lambda: steady(right=3, down=-2),
    "half pixels": lambda: steady(right=-1.5, down=0.5),
    "quarter pixels": lambda: steady(right=1.25, down=-0.75),
    "pan": lambda: steady(right=6),
    "zoom": lambda: steady(zoom=1.02),
    "rotation": lambda: steady(rotation=0.02),
    "two objects": two_objects,
}


def _pixels() -> np.ndarray:
    """Centres (x, y) of all pixels, relative to the centre of the picture: float [height, width, 2]."""
    height, width = SIZE
    y, x = np.mgrid[:height, :width]
    return np.stack([x - width / 2 + 0.5, y - height / 2 + 0.5], axis=-1)


def _transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:2, :2].T + matrix[:2, 2]


@cache
def _canvas() -> np.ndarray:
    return texture(512, 640).astype(float)


def _sample_canvas(points: np.ndarray) -> np.ndarray:
    """The canvas at the points, by cubic interpolation."""
    rows, cols = points[..., 1] + 256, points[..., 0] + 320
    return np.clip(np.rint(map_coordinates(_canvas(), [rows, cols], order=3)), 0, 255).astype(np.uint8)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return smooth noise, uint8 [height, width], in which motion estimation works well."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for scale in (4, 8, 16, 32):
        coarse = rng.random((height // scale + 2, width // scale + 2))
        x, y = np.arange(width) / scale, np.arange(height) / scale
        rows = np.array([np.interp(x, np.arange(coarse.shape[1]), row) for row in coarse])
        total += np.array([np.interp(y, np.arange(coarse.shape[0]), column) for column in rows.T]).T
    return ((total - total.min()) / np.ptp(total) * 255).astype(np.uint8)


@contextmanager
def restored_priority() -> Iterator[None]:
    """Restore the priority of the calling thread: if permitted, SVT-AV1 makes it real-time and leaves it so."""
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, param)


def encode(
    path: str | Path,
    pictures: Sequence[np.ndarray],
    codec: str = "mpeg4",
    gop: int = 12,
    b_frames: int = 0,
    **options: str,
) -> str | Path:
    """Write grey pictures at 25 frames per second; return the path. options are passed to the codec."""
    with restored_priority(), av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={**CODECS.get(codec, {}), **options})
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        stream.codec_context.thread_count = 1
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
