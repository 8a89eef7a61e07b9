"""Self-contained HTML pages: no script, no request to anywhere, light or dark as the reader's system is."""

import base64
import io
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined

from mocliplite.files import write_text


def write(path: str | Path, template: str, **values: object) -> None:
    """Fill a template of report/templates and replace path by the page; every value is escaped."""
    folder = files("mocliplite.report") / "templates"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    body = environment.from_string((folder / template).read_text(encoding="utf-8"))
    style = (folder / "style.css").read_text(encoding="utf-8")
    write_text(path, body.render(style=style, **values))


def picture(image: np.ndarray, width: int = 320) -> str:
    """An image, uint8 RGB [height, width, 3], as a data URI, at most so many pixels wide."""
    from PIL import Image

    shown = Image.fromarray(image)
    shown.thumbnail((width, 4 * width))
    packed = io.BytesIO()
    shown.save(packed, "jpeg", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(packed.getvalue()).decode()}"
