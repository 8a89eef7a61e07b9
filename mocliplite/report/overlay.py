"""Pictures of the motion vectors of a clip."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mocliplite.errors import Failure, UserError
from mocliplite.files import atomic_write
from mocliplite.motion import extraction
from mocliplite.motion.field import BASE_CELL_SIZE, KIND_CODES, MISSING, Field
from mocliplite.params import Motion
from mocliplite.spans import WHOLE_FILE, Span
from mocliplite.video.frames import select_frames
from mocliplite.video.spans import frame_range
from mocliplite.video.streams import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Accept clips of any codec; re-encode those without vectors.
SETTINGS = Motion(cell_size=8, accumulate="none", reencode="auto", interpolate=False, max_damaged=0.5)
_LONGEST_ARROW = 3 * BASE_CELL_SIZE  # pixels
_NAMES = {code: name for name, code in KIND_CODES.items()}


def show(path: str, out: str | Path, limits: Limits = DEFAULT_LIMITS, span: Span = WHOLE_FILE) -> str:
    """Write a PNG of the middle frame with vectors: the picture, the picture with arrows, and the vectors as colours.

    Returns a description in one line. Raises UserError for a clip without motion vectors, and for an output file that
    cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if Path(out).suffix.lower() != ".png":
        raise UserError(f"{out} is not the name of a PNG file; choose a name for --out that ends in .png.")
    field = _field(path, span, limits)
    frame = _middle_frame(field)
    image = _picture(path, span, frame, limits)
    figure = Figure(figsize=(15, 5.2 * field.height / field.width + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    left.imshow(image)
    left.set_title(f"frame {frame}, {_NAMES[int(field.kind[frame])]}, {field.time[frame]:.2f} s", fontsize=10)
    fastest = _arrows(middle, image, field, frame)
    middle.set_title(f"motion of content; the longest arrow is {fastest:.1f} pixels per frame", fontsize=10)
    rows, cols = field.vectors.shape[1:3]
    colours = _colours(field.vectors[frame], fastest)
    right.imshow(colours, extent=(0, cols * BASE_CELL_SIZE, rows * BASE_CELL_SIZE, 0), interpolation="nearest")
    right.set_xlim(0, field.width)
    right.set_ylim(field.height, 0)
    right.set_title("hue: direction, saturation: speed, grey: no vector", fontsize=10)
    wheel = right.inset_axes((0.87, 0.02, 0.12, 0.12 * field.width / field.height))
    wheel.imshow(_colours(_colour_wheel(), 1))
    wheel.set_axis_off()
    for axes in (left, middle, right):
        axes.set_axis_off()
    with atomic_write(Path(out)) as partial:
        figure.savefig(partial, dpi=100, metadata={"Software": None}, format="png")
    description = (
        f"{field.codec}{', interlaced' if field.interlaced else ''}{', re-encoded' if field.reencoded else ''}"
    )
    return f"{out}: frame {frame} of {len(field.kind)}, {description}"


def overlay(path: str, limits: Limits = DEFAULT_LIMITS, span: Span = WHOLE_FILE) -> np.ndarray:
    """Return the middle frame with vectors, drawn as arrows on the picture: uint8 [height, width, 3], RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    field = _field(path, span, limits)
    frame = _middle_frame(field)
    figure = Figure(figsize=(3.2, 3.2 * field.height / field.width))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    _arrows(axes, _picture(path, span, frame, limits), field, frame)
    axes.set_axis_off()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _field(path: str, span: Span, limits: Limits) -> Field:
    (field,) = extraction.motion_fields(path, [span], SETTINGS, limits)
    if isinstance(field, Failure):
        raise UserError(field.reason)
    return field


def _picture(path: str, span: Span, frame: int, limits: Limits) -> np.ndarray:
    """Return a frame by its index in the span: uint8 [height, width, 3], RGB."""

    def index_in_file(frame_types: str, times: list[float]) -> list[int]:
        # Empty for a frame beyond the end: select_frames first asks for fewer frames than there may be.
        return list(frame_range(path, span, times)[frame : frame + 1])

    (found,) = select_frames(path, index_in_file, limits).pictures.values()
    return found.image


def _middle_frame(field: Field) -> int:
    """Return the index of the frame with vectors nearest to the middle of the clip."""
    with_vectors = np.flatnonzero((field.vectors[..., 0] != MISSING).any(axis=(1, 2)))
    return int(with_vectors[np.abs(with_vectors - len(field.kind) // 2).argmin()])


def _arrows(axes: "Axes", image: np.ndarray, field: Field, frame: int) -> float:
    """Draw the vector of every second cell on the picture, and return the largest speed in pixels per frame."""
    vectors = field.vectors[frame].astype(float)
    rows, cols = (part.ravel() for part in np.mgrid[: len(vectors) : 2, : vectors.shape[1] : 2])
    x, y = vectors[rows, cols].T
    moving = (x != MISSING) & ((x != 0) | (y != 0))
    speed = np.hypot(x, y)[moving] / 4
    fastest = float(speed.max(initial=0))
    axes.imshow(image)
    if fastest:
        scale = _LONGEST_ARROW / (4 * fastest)
        positions = (BASE_CELL_SIZE * (cols[moving] + 0.5), BASE_CELL_SIZE * (rows[moving] + 0.5))
        along, down = x[moving] * scale, y[moving] * scale
        axes.quiver(*positions, along, down, angles="xy", scale_units="xy", scale=1, color="lime", width=0.003)
    axes.set_xlim(-0.5, field.width - 0.5)
    axes.set_ylim(field.height - 0.5, -0.5)
    return fastest


def _colours(vectors: np.ndarray, fastest: float) -> np.ndarray:
    """Return vectors in quarter pixels as colours: float [rows, cols, 3], RGB. Red is to the right, white is rest."""
    from matplotlib.colors import hsv_to_rgb

    x, y = np.moveaxis(vectors.astype(float), -1, 0)
    hue = np.arctan2(y, x) / (2 * np.pi) % 1
    saturation = np.clip(np.hypot(x, y) / 4 / max(fastest, 0.25), 0, 1)
    colours = hsv_to_rgb(np.stack([hue, saturation, np.ones_like(hue)], axis=-1))
    return np.where((x == MISSING)[..., None], 0.6, colours)


def _colour_wheel() -> np.ndarray:
    """Return vectors in all directions, the longest at the edge, MISSING outside of the circle."""
    y, x = np.mgrid[-40:41, -40:41] / 10
    return np.where(np.hypot(x, y)[..., None] <= 4, np.stack([x, y], axis=-1), MISSING)
