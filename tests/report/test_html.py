"""HTML pages: one file, all values escaped, no network requests."""

import base64
import io

import numpy as np
import pytest
from jinja2 import UndefinedError
from pages import Page
from PIL import Image

from mocliplite.report import html

HIT = {"id": "<b>id</b>", "label": 'a"b', "score": 0.5, "path": "x/y.mp4", "image": "data:image/jpeg;base64,AA=="}


def test_values_are_escaped_and_nothing_is_requested(folder, tmp_path):
    html.write("page.html", "search.html", title="Clips for '<script>'", hits=[HIT])
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text
    assert "&lt;b&gt;id" in text
    assert 'class a&#34;b"' in text
    assert [part for part in ("http:", "https:", "url(", "@import", "<link") if part in text] == []


@pytest.mark.parametrize("control", ["\x00", "\x1b[31m", "\x9b", "\u202e", "\u2066"])
def test_controls_in_names_are_visible_and_do_nothing(control, folder, tmp_path):
    html.write("page.html", "search.html", title=f"a{control}b", hits=[HIT | {"label": f"c{control}d"}])
    page = Page.of(tmp_path / "page.html")
    shown = f"\\u{ord(control[0]):04x}{control[1:]}"
    assert control[0] not in page.text
    assert f"a{shown}b" in page.text
    assert f"c{shown}d" in page.text


def test_a_missing_value_of_a_template_is_a_bug_and_raises(folder):
    with pytest.raises(UndefinedError):
        html.write("page.html", "search.html", title="x")


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 640), (320, 240)), ((100, 50), (50, 100)), ((500, 100), (100, 500))]
)
def test_a_picture_is_a_small_jpeg_within_the_page(size, expected):
    head, _, data = html.picture(np.full((*size, 3), 200, np.uint8)).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == expected
        assert image.getpixel((5, 5)) == (200, 200, 200)
