"""Charts as SVG text for HTML pages."""

import re
from importlib.resources import files

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from mocliplite.report import charts
from mocliplite.report.charts import bars, curves, heatmap, reliability

ALL = {
    "curves": lambda: curves({"train": [3, 2, 1], "val": [3, 2.5, 2]}, [0, 1, 2], "epoch", "loss"),
    "bars": lambda: bars({"run": 0.5, "jump": -0.25}, "gain"),
    "heatmap": lambda: heatmap(np.array([[4, 0], [1, 3]]), ["run", "jump"]),
    "reliability": lambda: reliability([0.5, 0.9], [0.4, 1.0], [3, 17]),
}


@pytest.mark.parametrize("name", ALL)
def test_a_chart_is_one_element_in_the_text_colour_of_the_page(name):
    svg = ALL[name]()
    assert svg.startswith('<svg aria-hidden="true" ')
    assert svg.rstrip().endswith("</svg>")
    assert "currentColor" in svg
    # Nothing is black, neither set nor by default: it would be invisible on a dark page.
    assert not re.search(r"#000000|#010203", svg)
    texts = re.findall(r"<text [^>]*>", svg)
    assert texts
    assert all("fill:" in text for text in texts)


@pytest.mark.parametrize("name", ALL)
def test_equal_data_give_equal_text(name):
    assert ALL[name]() == ALL[name]()


@pytest.mark.parametrize(
    ("name", "labels"), [("curves", ["epoch", "loss", "train", "val"]), ("bars", ["run", "jump", "gain"])]
)
def test_labels_are_text_and_not_outlines(name, labels):
    texts = re.findall(r">([^<>]+)</text>", ALL[name]())
    assert set(labels) <= set(texts)


def test_a_confusion_matrix_of_many_classes_has_no_class_names():
    names = [f"class{number}" for number in range(40)]
    assert "class1" not in heatmap(np.eye(40, dtype=int), names)
    assert "class1" in heatmap(np.eye(20, dtype=int), names[:20])


def texts_of(svg):
    return re.findall(r">([^<>]+)</text>", svg)


def test_a_confusion_matrix_has_the_number_of_clips_in_each_cell_that_has_any_and_a_scale():
    texts = texts_of(heatmap(np.array([[17, 0], [29, 38]]), ["run", "jump"]))
    assert {"17", "29", "38", "share of the clips of the true class"} <= set(texts)
    assert "0" not in texts


def test_a_confusion_matrix_of_many_classes_has_no_numbers():
    few, many = charts.NUMBERED, charts.NUMBERED + 1
    counts = [texts_of(heatmap(77 * np.eye(size, dtype=int), ["a"] * size)).count("77") for size in (few, many)]
    assert counts == [few, 0]


def test_numbers_in_a_confusion_matrix_are_legible_on_light_and_on_dark_pages():
    def brightness(colour):  # relative luminance of WCAG
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    style = (files("mocliplite.report") / "templates" / "style.css").read_text()
    pages = [
        np.array([to_rgb(found) for found in pair]) for pair in re.findall(r"--text: (#\w+);.*--page: (#\w+);", style)
    ]
    assert len(pages) == 2
    for text, page in pages:
        for opacity in (0, charts._MOST_OPAQUE):
            cell = opacity * np.array(to_rgb(charts.COLOURS[0])) + (1 - opacity) * page
            low, high = sorted((brightness(cell), brightness(text)))
            assert (high + 0.05) / (low + 0.05) >= 4.5


def test_long_names_leave_room_for_the_chart_and_names_that_differ_in_the_middle_stay_apart():
    names = [
        "slides along the floor of the hall to the left side",
        "slides along the floor of the room to the left side",
    ]
    for svg in (heatmap(np.eye(2, dtype=int), names), bars(dict.fromkeys(names, 0.5), "share")):
        shown = [text for text in texts_of(svg) if text.startswith("slides")]
        assert shown
        assert {len(text) for text in shown} == {32}
    assert texts_of(bars(dict.fromkeys(names, 0.5), "share")).count(shown[0]) == 2


def test_a_class_name_with_dollar_signs_is_text_and_not_mathematics():
    names = ["win_$5_or_$10", "lose_$_{x", "a"]
    for chart in (heatmap(np.eye(3, dtype=int), names), bars(dict.fromkeys(names, 0.5), "share")):
        assert "win_$5_or_$10" in chart
        assert "lose_$_{x" in chart


@pytest.mark.parametrize("chart", [bars, heatmap])
def test_a_name_with_markup_is_text(chart):
    name = "</text><script>alert('x')</script>&amp;"
    svg = bars({name: 0.5, "b": 1}, name) if chart is bars else heatmap(np.eye(2, dtype=int), [name, "b"])
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
    assert "&amp;amp;" in svg
