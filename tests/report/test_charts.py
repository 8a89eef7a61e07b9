"""Charts as SVG text for HTML pages."""

import re

import numpy as np
import pytest

from mocliplite.report.charts import bars, curves, heatmap, reliability

ALL = {
    "curves": lambda: curves({"train": [3, 2, 1], "val": [3, 2.5, 2]}, [0, 1, 2], "epoch", "loss"),
    "bars": lambda: bars({"run": 0.5, "jump": -0.25}, "gain"),
    "heatmap": lambda: heatmap(np.array([[1, 0], [0.25, 0.75]]), ["run", "jump"]),
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
    assert "class1" not in heatmap(np.eye(40), names)
    assert "class1" in heatmap(np.eye(20), names[:20])


def test_a_class_name_with_dollar_signs_is_text_and_not_mathematics():
    names = ["win_$5_or_$10", "lose_$_{x", "a"]
    for chart in (heatmap(np.eye(3), names), bars(dict.fromkeys(names, 0.5), "share")):
        assert "win_$5_or_$10" in chart
        assert "lose_$_{x" in chart


@pytest.mark.parametrize("chart", [bars, heatmap])
def test_a_name_with_markup_is_text(chart):
    name = "</text><script>alert('x')</script>&amp;"
    svg = bars({name: 0.5, "b": 1}, name) if chart is bars else heatmap(np.eye(2), [name, "b"])
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
    assert "&amp;amp;" in svg
