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
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

# Placeholder for the text colour of the page until the SVG is written; no chart uses it otherwise.
_INK = "#010203"
# Distinct for colour-blind readers, on light and on dark pages (after Okabe and Ito).
COLOURS = ("#3a8fd0", "#e08a1e", "#2a9d78", "#cc6fa5", "#8a8f98")
NUMBERED = 20  # classes, up to which the cells of a confusion matrix have room for the numbers of clips
_MOST_OPAQUE = 0.7  # opacity of a cell with all clips of a class
_LONGEST_NAME = 32  # letters
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
    axes.barh(range(len(values)), list(values.values()), color=COLOURS[0], height=0.7)
    axes.set_yticks(range(len(values)), [shortened(name) for name in values])
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.invert_yaxis()
    axes.set(xlabel=x_label)
    return _svg(figure)


@mpl.rc_context(_STYLE)
def heatmap(counts: np.ndarray, names: Sequence[str]) -> str:
    """Return a confusion matrix as a chart.

    counts: int [C, C], number of clips; a row per true class, a column per predicted class. The colour of a cell is the
    share of its row. More than 30 names are left out, and the numbers of more than NUMBERED classes.
    """
    figure, axes = _new(width=6.8, height=5.6)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The share is the opacity of one colour. With the page behind it, a number in the text colour has a contrast of at
    # least 4.5 to 1 on light and on dark pages.
    colour = to_rgb(COLOURS[0])
    scale = LinearSegmentedColormap.from_list("share", [(*colour, 0), (*colour, _MOST_OPAQUE)])
    image = axes.imshow(shares, cmap=scale, vmin=0, vmax=1, interpolation="nearest")
    bar = figure.colorbar(image, ax=axes, label="share of the clips of the true class", shrink=0.7)
    bar.ax.patch.set_alpha(0)
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(names) <= 30:
        labels = [shortened(name) for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=90)
        axes.set_yticks(range(len(names)), labels)
    if len(names) <= NUMBERED:
        for row, column in np.argwhere(counts):
            axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8)
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


def shortened(name: str) -> str:
    """Return a name of a class so that it leaves room for the chart: of a long one, the beginning and the end."""
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 11]}…{name[-10:]}"


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
