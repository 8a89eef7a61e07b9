"""The part of an exported folder's card that describes its ONNX graphs, for those who run them without this package."""

from collections.abc import Mapping
from typing import Any

from PIL import Image

from mocliplite.encoders.preprocessing import input_size
from mocliplite.predict.models import Models

SECTION = """
## Graphs

Any runtime of ONNX can run the graphs in `onnx/`. All values are float32; N, the number of rows, is free.

- `image.onnx`: `pixels` [N, 3, {height}, {width}] to `image_embedding` [N, {keyframe}].
- `motion.onnx`: `fields` [N, {frames}, 3, {rows}, {cols}] to `motion_embedding` [N, {motion}] and
  `motion_logits` [N, {classes}].
- `heads.onnx`: `keyframe` [N, {keyframes}, {keyframe}], `motion` [N, {motion}] and `motion_logits` [N, {classes}] to
  `probabilities` [N, {classes}].

The inputs:

- `pixels`: a keyframe in RGB, {resized};
  then multiplied by {scale:.6g}, less the mean {mean}, divided by {std}.
- `fields`: {frames} frames of a clip, each a grid of {rows} x {cols} cells with three channels: the motion to the right
  and down, in cells per frame interval, and the share of the cell whose motion is known.
- `keyframe`: {views}. `motion`: the embedding of the view `plain`.
  `motion_logits`: the mean over the views {motion_views}; for `flip`, columns are reversed and the motion to
  the right is negated, for `shift` the frames are those of the last nine tenths of the clip.

Probabilities are calibrated, in the order of `classes` in `head/config.json`.
"""

INT8 = """
The weights of the products in `image.onnx` are int8. On {clips} validation clips, {figures}.
"""


def graphs_section(models: Models, graphs: Mapping[str, Any]) -> str:
    """Return the section. graphs: the content of config.json of the graphs."""
    preprocessing = graphs["preprocessing"]
    net, features = models.motion_config["net"], models.head_config["features"]
    shapes = models.feature_shapes()
    keyframes, keyframe = shapes["keyframe"]
    width, height = input_size(preprocessing)
    section = SECTION.format(
        width=width,
        height=height,
        keyframe=keyframe,
        motion=shapes["motion"][0],
        classes=shapes["motion_logits"][0],
        keyframes=keyframes,
        views="the embedding of the keyframe" if keyframes == 1 else "the mean of the keyframes' embeddings, then each",
        resized=_resized(preprocessing),
        motion_views=", ".join(f"`{view}`" for view in features["motion_embeddings"]["views"]),
        **{name: preprocessing[name] for name in ("scale", "mean", "std")},
        **{name: net[name] for name in ("frames", "rows", "cols")},
    )
    if "int8" not in graphs:
        return section
    return section + INT8.format(clips=graphs["int8"]["clips"], figures=int8_figures(graphs))


def int8_figures(graphs: Mapping[str, Any]) -> str:
    """Return the figures of an image tower in int8 as text. graphs: the content of config.json of the graphs."""
    names = {"top1": "top-1", "map": "mean average precision", "log_loss": "log loss"}
    figures = graphs["int8"]
    return ", ".join(
        f"the {text} of the answer is {figures[name][1]:.4f}, and {figures[name][0]:.4f} in float32"
        for name, text in names.items()
        if name in figures
    )


def _resized(preprocessing: Mapping[str, Any]) -> str:
    size, crop = preprocessing["size"], preprocessing["crop"]
    wanted = f"{size[0]} x {size[1]} pixels" if len(size) == 2 else f"a shortest edge of {size[0]} pixels"
    name = Image.Resampling(preprocessing["resample"]).name.lower()
    cut = f", then the {crop[0]} x {crop[1]} pixels in the centre" if crop else ""
    return f"resized by Pillow's {name} filter to {wanted}{cut}"
