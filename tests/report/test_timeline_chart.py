"""The picture of the segments of a video."""

from mocliplite.predict.timeline import NOTHING, Segment
from mocliplite.report import timeline_chart

LONG = "slides along the floor of the hall to the left side"
SEGMENTS = [
    Segment(0, 5, LONG, 0.9),
    Segment(5, 9, "walks", 0.2),
    Segment(9, 11, NOTHING, None),
    Segment(11, 20, "walks", 1.0),
]


def test_there_is_a_row_per_class_that_occurs():
    (axes,) = timeline_chart._figure(SEGMENTS, 20).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"{LONG[:21]}…{LONG[-10:]}", "walks"]


def test_the_legend_has_the_shades_of_the_bars():
    figure = timeline_chart._figure(SEGMENTS, 20)
    (legend,), (axes,) = figure.legends, figure.axes
    shades = {
        text.get_text(): patch.get_alpha() for text, patch in zip(legend.texts, legend.get_patches(), strict=True)
    }
    assert list(shades) == ["probability 0", "probability 0.5", "probability 1"]
    assert axes.collections[-1].get_alpha() == shades["probability 1"]
    assert shades["probability 0"] < axes.collections[1].get_alpha() < shades["probability 0.5"]


def test_labels_keep_a_distance_from_the_edge():
    figure = timeline_chart._figure(SEGMENTS, 20)
    figure.canvas.draw()
    (axes,) = figure.axes
    assert min(label.get_window_extent().x0 for label in axes.get_yticklabels()) >= 10
