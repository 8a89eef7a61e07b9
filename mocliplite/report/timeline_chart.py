"""A picture of the segments of a video: a row per class that occurs, a bar per segment, as opaque as it is probable."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from mocliplite.files import atomic_write
from mocliplite.predict.timeline import NOTHING, Segment
from mocliplite.report.charts import COLOURS, shortened

_SHADES = (0, 0.5, 1)  # probabilities in the legend
_ROWS = 20  # classes; those with the longest segments, if there are more


def write_png(path: str | Path, segments: Sequence[Segment], duration: float) -> None:
    """Write the picture of a video of `duration` seconds. Raises UserError if the file cannot be written."""
    with atomic_write(Path(path)) as partial, mpl.rc_context({"text.parse_math": False}):
        _figure(segments, duration).savefig(partial, format="png", dpi=100, metadata={"Software": None})


def picture(segments: Sequence[Segment], duration: float) -> np.ndarray:
    """Return the picture: uint8 [height, width, 3], RGB."""
    with mpl.rc_context({"text.parse_math": False}):
        canvas = FigureCanvasAgg(_figure(segments, duration))
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _figure(segments: Sequence[Segment], duration: float) -> Figure:
    seconds: dict[str, float] = {}
    for segment in segments:
        if segment.name not in (None, NOTHING):
            seconds[str(segment.name)] = seconds.get(str(segment.name), 0.0) + segment.end - segment.start
    longest = sorted(seconds, key=lambda name: (-seconds[name], name))[:_ROWS]
    names = [name for name in seconds if name in longest]  # in the order in which they first occur
    layout = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.08)  # inches
    figure = Figure(figsize=(12, 1.5 + 0.3 * max(1, len(names))), layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    unit, unit_name = (1, "seconds") if duration < 120 else (60, "minutes")
    for segment in segments:
        if segment.name in names and segment.probability is not None:
            row = names.index(str(segment.name))
            span = [(segment.start / unit, (segment.end - segment.start) / unit)]
            alpha = _opacity(segment.probability)
            axes.broken_barh(span, (row - 0.4, 0.8), color=COLOURS[row % len(COLOURS)], alpha=alpha, linewidth=0)
    axes.set(xlim=(0, duration / unit), xlabel=unit_name, ylim=(max(1, len(names)) - 0.5, -0.5))
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.grid(axis="x", linewidth=0.4)
    shades = [Patch(color=COLOURS[-1], alpha=_opacity(p), linewidth=0, label=f"probability {p:g}") for p in _SHADES]
    figure.legend(handles=shades, loc="outside upper right", ncols=len(shades), frameon=False)
    return figure


def _opacity(probability: float) -> float:
    return 0.25 + 0.75 * probability
