"""Charts as SVG text."""

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
def test_a_chart_is_one_element_in_the_pages_own_colour(name):
    svg = ALL[name]()
    assert svg.startswith('<svg aria-hidden="true" ')
    assert svg.rstrip().endswith("</svg>")
    assert "currentColor" in svg
    # Nothing black, or it would vanish on a dark page: neither said nor by default.
    assert not re.search(r"#000000|#010203", svg)
    assert all("fill:" in one for one in re.findall(r"<text [^>]*>", svg))


@pytest.mark.parametrize("name", ALL)
def test_equal_data_give_equal_text(name):
    assert ALL[name]() == ALL[name]()


@pytest.mark.parametrize(
    ("name", "words"), [("curves", ["epoch", "loss", "train", "val"]), ("bars", ["run", "jump", "gain"])]
)
def test_names_are_letters_in_the_text(name, words):
    shown = re.findall(r">([^<>]+)</text>", ALL[name]())
    assert set(words) <= set(shown)


def test_classes_too_many_to_name_are_left_unnamed():
    names = [f"class{number}" for number in range(40)]
    assert "class1" not in heatmap(np.eye(40), names)
    assert "class1" in heatmap(np.eye(20), names[:20])
