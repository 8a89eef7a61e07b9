"""Self-contained HTML pages: no scripts, no network requests, light or dark as the system of the reader."""

import base64
import io
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined

from mocliplite.errors import visible
from mocliplite.files import write_text


def write(path: str | Path, template: str, **values: object) -> None:
    """Fill a template of report/templates with escaped values and write the page to path.

    Control characters of names are escape sequences, and those that would reverse the letters around them.
    """
    folder = files("mocliplite.report") / "templates"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    body = environment.from_string((folder / template).read_text(encoding="utf-8"))
    style = (folder / "style.css").read_text(encoding="utf-8")
    write_text(path, visible(body.render(style=style, **values)))


def picture(image: np.ndarray, width: int = 320) -> str:
    """Return an image, RGB uint8 [height, width, 3], as a JPEG data URI of at most width pixels in width."""
    from PIL import Image

    thumbnail = Image.fromarray(image)
    thumbnail.thumbnail((width, 4 * width))
    content = io.BytesIO()
    thumbnail.save(content, "jpeg", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
