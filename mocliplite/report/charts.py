"""Charts as SVG text for HTML pages.

The same data give the same text. Lines and letters have the text colour of the page.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

# Placeholder for the text colour of the page until the SVG is written; no chart uses it otherwise.
_INK = "#010203"
# Distinct for colour-blind readers, on light and on dark pages (after Okabe and Ito).
COLOURS = ("#3a8fd0", "#e08a1e", "#2a9d78", "#cc6fa5", "#8a8f98")
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mocliplite",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,  # a class may be called a_$5
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@mpl.rc_context(_STYLE)
def curves(series: Mapping[str, Sequence[float]], x: Sequence[float], x_label: str, y_label: str) -> str:
    """Return a line chart of several series over the same x."""
    figure, axes = _new()
    for (name, values), colour in zip(series.items(), COLOURS, strict=False):
        axes.plot(x, values, label=name, color=colour, linewidth=2)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.legend(frameon=False)
    return _svg(figure)


@mpl.rc_context(_STYLE)
def bars(values: Mapping[str, float], x_label: str) -> str:
    """Return a horizontal bar chart with a bar per name, from top to bottom in the order of values."""
    figure, axes = _new(height=max(1.6, 0.28 * len(values) + 0.8))
    names = list(values)
    axes.barh(names, [values[name] for name in names], color=COLOURS[0], height=0.7)
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.invert_yaxis()
    axes.set(xlabel=x_label)
    return _svg(figure)


@mpl.rc_context(_STYLE)
def heatmap(shares: np.ndarray, names: Sequence[str]) -> str:
    """Return a confusion matrix as a chart.

    shares: float [C, C], 0 to 1; a row per true class, a column per predicted class. More than 30 names are left out.
    """
    figure, axes = _new(width=6.4, height=5.6)
    # The share is the opacity of one colour, which is legible on light and on dark pages.
    colour = np.broadcast_to(to_rgb(COLOURS[0]), (*shares.shape, 3))
    axes.imshow(np.dstack([colour, shares]), interpolation="nearest")
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(names) <= 30:
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    return _svg(figure)


@mpl.rc_context(_STYLE)
def reliability(confidence: Sequence[float], accuracy: Sequence[float], answers: Sequence[int]) -> str:
    """Return a reliability diagram: accuracy over confidence, with the diagonal of perfect calibration.

    answers: number of predictions in each bin; the area of a dot is its share of all predictions.
    """
    figure, axes = _new(width=4.6, height=4.2)
    axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=":")
    axes.scatter(confidence, accuracy, s=[20 + 400 * count / sum(answers) for count in answers], color=COLOURS[0])
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.05))
    return _svg(figure)


def _new(width: float = 6.4, height: float = 3.2) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="tight")
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    return figure, axes


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    # An SVG element inside HTML has no XML declaration and no document type.
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    # matplotlib gives groups the same ids in every chart, but an id may occur only once per page.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    return svg.replace(_INK, "currentColor").replace("<svg ", '<svg aria-hidden="true" ', 1)
