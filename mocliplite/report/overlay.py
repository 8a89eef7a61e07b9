"""A picture of a clip's motion for people to look at."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mocliplite.errors import UserError
from mocliplite.motion import extraction
from mocliplite.motion.field import BASE_CELL_SIZE, KIND_CODES, MISSING, Field
from mocliplite.params import Motion
from mocliplite.video.frames import pictures
from mocliplite.video.streams import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Clips of any codec, as their own vectors show them.
SETTINGS = Motion(cell_size=8, accumulate="none", reencode="auto", interpolate=False, max_damaged=0.5)
_LONG = 3 * BASE_CELL_SIZE  # pixels, of the longest arrow
_NAMES = {code: name for name, code in KIND_CODES.items()}


def show(path: str, out: str | Path, limits: Limits = DEFAULT_LIMITS) -> str:
    """Write a PNG: the frame with vectors nearest to the middle, as a picture, with arrows, and as colours.

    Returns a line that says what is shown. Raises UserError for a clip without motion and for a file that cannot be
    written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if Path(out).suffix.lower() != ".png":
        raise UserError(f"{out} is no name of a PNG; give --out a name that ends in .png.")
    field = extraction.motion_field(path, SETTINGS, limits)
    frame = _middle(field)
    image = pictures(path, [frame], limits)[frame]
    figure = Figure(figsize=(15, 5.2 * field.height / field.width + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    left.imshow(image)
    left.set_title(f"frame {frame}, {_NAMES[int(field.kind[frame])]}, {field.time[frame]:.2f} s", fontsize=10)
    fastest = _arrows(middle, image, field, frame)
    middle.set_title(f"motion of content; the longest arrow is {fastest:.1f} pixels a frame", fontsize=10)
    rows, cols = field.vectors.shape[1:3]
    colours = _colours(field.vectors[frame], fastest)
    right.imshow(colours, extent=(0, cols * BASE_CELL_SIZE, rows * BASE_CELL_SIZE, 0), interpolation="nearest")
    right.set_xlim(0, field.width)
    right.set_ylim(field.height, 0)
    right.set_title("direction as hue, speed as strength; grey: no vector", fontsize=10)
    wheel = right.inset_axes((0.87, 0.02, 0.12, 0.12 * field.width / field.height))
    wheel.imshow(_colours(_disc(), 1))
    wheel.set_axis_off()
    for axes in (left, middle, right):
        axes.set_axis_off()
    try:
        figure.savefig(out, dpi=100, metadata={"Software": None}, format="png")
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error.strerror}); give another --out.") from None
    kind = f"{field.codec}{', interlaced' if field.interlaced else ''}{', encoded anew' if field.reencoded else ''}"
    return f"{out}: frame {frame} of {len(field.kind)}, {kind}"


def overlay(path: str, limits: Limits = DEFAULT_LIMITS) -> np.ndarray:
    """The middle frame that has vectors, with arrows over it: uint8 [height, width, 3], RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    field = extraction.motion_field(path, SETTINGS, limits)
    frame = _middle(field)
    figure = Figure(figsize=(3.2, 3.2 * field.height / field.width))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    _arrows(axes, pictures(path, [frame], limits)[frame], field, frame)
    axes.set_axis_off()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _middle(field: Field) -> int:
    """The frame nearest to the middle that has vectors."""
    told = np.flatnonzero((field.vectors[..., 0] != MISSING).any(axis=(1, 2)))
    return int(told[np.abs(told - len(field.kind) // 2).argmin()])


def _arrows(axes: "Axes", image: np.ndarray, field: Field, frame: int) -> float:
    """Draw every second cell's vector over the picture; returns the largest of them, pixels a frame."""
    vectors = field.vectors[frame].astype(float)
    rows, cols = (part.ravel() for part in np.mgrid[: len(vectors) : 2, : vectors.shape[1] : 2])
    x, y = vectors[rows, cols].T
    moving = (x != MISSING) & ((x != 0) | (y != 0))
    speed = np.hypot(x, y)[moving] / 4
    fastest = float(speed.max(initial=0))
    axes.imshow(image)
    if fastest:
        long = _LONG / (4 * fastest)
        places = (BASE_CELL_SIZE * (cols[moving] + 0.5), BASE_CELL_SIZE * (rows[moving] + 0.5))
        along, down = x[moving] * long, y[moving] * long
        axes.quiver(*places, along, down, angles="xy", scale_units="xy", scale=1, color="lime", width=0.003)
    axes.set_xlim(-0.5, field.width - 0.5)
    axes.set_ylim(field.height - 0.5, -0.5)
    return fastest


def _colours(vectors: np.ndarray, fastest: float) -> np.ndarray:
    """RGB float [rows, cols, 3] of vectors in quarter pixels: red moves right, and white stands still."""
    from matplotlib.colors import hsv_to_rgb

    x, y = np.moveaxis(vectors.astype(float), -1, 0)
    hue = np.arctan2(y, x) / (2 * np.pi) % 1
    strength = np.clip(np.hypot(x, y) / 4 / max(fastest, 0.25), 0, 1)
    colours = hsv_to_rgb(np.stack([hue, strength, np.ones_like(hue)], axis=-1))
    return np.where((x == MISSING)[..., None], 0.6, colours)


def _disc() -> np.ndarray:
    """Vectors of every direction, the longest at the rim; MISSING outside."""
    y, x = np.mgrid[-40:41, -40:41] / 10
    return np.where(np.hypot(x, y)[..., None] <= 4, np.stack([x, y], axis=-1), MISSING)
