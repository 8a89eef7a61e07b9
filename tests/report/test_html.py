"""Pages: one file, everything escaped, nothing fetched."""

import base64
import io

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from mocliplite.report import html

HIT = {"id": "<b>id</b>", "label": 'a"b', "score": 0.5, "path": "x/y.mp4", "image": "data:image/jpeg;base64,AA=="}


def test_values_are_escaped_and_nothing_is_fetched(folder, tmp_path):
    html.write("page.html", "search.html", title="Clips for '<script>'", hits=[HIT])
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text
    assert "&lt;b&gt;id" in text
    assert 'class a&#34;b"' in text
    for outside in ("http:", "https:", "url(", "@import", "<link"):
        assert outside not in text


def test_a_value_that_a_template_lacks_is_our_mistake(folder):
    with pytest.raises(UndefinedError):
        html.write("page.html", "search.html", title="x")


@pytest.mark.parametrize(
    ("size", "shown"), [((480, 640), (320, 240)), ((100, 50), (50, 100)), ((500, 100), (100, 500))]
)
def test_a_picture_is_a_small_jpeg_in_the_page_itself(size, shown):
    head, _, data = html.picture(np.full((*size, 3), 200, np.uint8)).partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == shown
        assert image.getpixel((5, 5)) == (200, 200, 200)
