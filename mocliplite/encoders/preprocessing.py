"""The preprocessing of an image encoder without transformers: resize, crop in the centre, scale and normalise.

Settings are a JSON object: `size` is [width, height], or [shortest edge]; `resample` Pillow's number of the filter;
`crop` [width, height] or null; `scale` a factor of the pixels; `mean` and `std` are those of the three channels.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite.encoders.embedding import preprocess
from mocliplite.encoders.loading import Encoder
from mocliplite.errors import UserError

_MAX_EDGE = 8192  # pixels
# Sizes (height, width) of the images on which both ways are compared: wide, high, small, and with odd sides.
_COMPARED = ((480, 640), (640, 480), (20, 30), (245, 333))


def checked(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings. Raises ValueError for those that give no input, or inputs of different sizes."""
    edges = [*settings["size"], *(settings["crop"] or ())]
    if not all(type(edge) is int and 1 <= edge <= _MAX_EDGE for edge in edges):
        raise ValueError(f"the size of the input is {settings['size']}, cropped to {settings['crop']}")
    # With one number, an image may become a square of it. ValueError for other counts than two.
    width, height = settings["size"] * 2 if len(settings["size"]) == 1 else settings["size"]
    cropped_width, cropped_height = input_size(settings)
    if cropped_width > width or cropped_height > height:
        raise ValueError(f"{settings['size']} cannot be cropped to {settings['crop']}")
    return settings


def pixels(image: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Return the encoder's input, float32 [3, height, width], for an RGB uint8 [H, W, 3] image of any size."""
    from PIL import Image

    picture = Image.fromarray(image)
    resized = np.asarray(picture.resize(_new_size(picture.size, settings["size"]), settings["resample"]))
    if settings["crop"]:
        width, height = settings["crop"]
        top, left = (resized.shape[0] - height) // 2, (resized.shape[1] - width) // 2
        resized = resized[top : top + height, left : left + width]
    # In float64, as transformers does.
    scaled = (resized.astype(np.float64) * settings["scale"]).astype(np.float32)
    mean, std = (np.array(settings[name], dtype=np.float32) for name in ("mean", "std"))
    return ((scaled - mean) / std).transpose(2, 0, 1)


def input_size(settings: Mapping[str, Any]) -> tuple[int, int]:
    """Return the (width, height) of what `pixels` returns, where it is the same for all images."""
    width, height = settings["crop"] or settings["size"]
    return width, height


def _new_size(size: tuple[int, int], wanted: list[int]) -> tuple[int, int]:
    """Return (width, height) after resizing: as wanted, or with the shortest edge as wanted and the same shape."""
    if len(wanted) == 2:
        return wanted[0], wanted[1]
    shortest = min(size)
    width, height = (int(wanted[0] * side / shortest) for side in size)
    return width, height


def settings_of(folder: Path, encoder: Encoder) -> dict[str, Any]:
    """Return the settings with which `pixels` gives the same as the encoder's own preprocessing.

    Raises UserError for an encoder whose preprocessing is of another kind.
    """
    try:
        settings = _settings(encoder.processor)
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in _COMPARED]
        same = all(_is_same(image, encoder, settings) for image in images)
    except (AttributeError, TypeError, ValueError):
        same = False
    if not same:
        raise UserError(
            f"{folder} is of the family {encoder.family!r}, whose preprocessing is more than resize, crop and "
            "normalise; export it without --format onnx."
        )
    return settings


def _settings(processor: Any) -> dict[str, Any]:
    size, crop = processor.size, processor.crop_size if processor.do_center_crop else None
    return {
        "size": [size.shortest_edge] if size.shortest_edge else [size.width, size.height],
        "resample": int(processor.resample),
        "crop": [crop.width, crop.height] if crop else None,
        "scale": processor.rescale_factor,
        "mean": list(processor.image_mean),
        "std": list(processor.image_std),
    }


def _is_same(image: np.ndarray, encoder: Encoder, settings: Mapping[str, Any]) -> bool:
    wanted = preprocess(encoder, image)
    return wanted.keys() == {"pixel_values"} and np.array_equal(pixels(image, settings), wanted["pixel_values"])
