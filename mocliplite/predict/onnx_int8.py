"""Image towers in int8, a quarter of the size, and what they cost in accuracy on the validation clips."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import params
from mocliplite.data.clips import read_clips
from mocliplite.evaluation.calibration import log_loss
from mocliplite.evaluation.multi_label import mean_average_precision
from mocliplite.files import atomic_write
from mocliplite.fusion import methods
from mocliplite.fusion.pairs import Arrays, check_fitted_on, keyframe_views, read_split
from mocliplite.predict.models import Models, Networks
from mocliplite.remote.copies import local_copy
from mocliplite.runtime.crash_safe import call_crash_safe
from mocliplite.video.keyframes import read_keyframes
from mocliplite.video.streams import Limits


def quantise(path: Path) -> None:
    """Round the weights of all products in a graph to int8, one scale for each; inputs are rounded when it is run.

    Convolutions, normalisations and biases stay float32.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(path)
    # Before 1.32, onnxruntime transposes weights, and then stops at the shapes that the graph states for them.
    model.graph.ClearField("value_info")
    with atomic_write(path) as partial, _without_advice():
        quantize_dynamic(model, partial, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8)


@contextmanager
def _without_advice() -> Iterator[None]:
    """Context in which warnings are not printed: onnxruntime advises to optimise the graph first."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(level)


def validation_figures(networks: Networks, models: Models) -> dict[str, Any]:
    """Return figures of the method that answers: [with the stored embeddings, with those of the networks].

    `top1`, or `map` where clips may have several classes, `log_loss`, and `clips`, their number. Raises UserError for a
    clip that cannot be read.
    """
    table = read_split("features/pairs.h5", "val")
    check_fitted_on(models.head_config, table, "models/head")
    data = table.arrays
    images = _images(data["ids"].tolist(), models.head_config["features"]["keyframes"])
    rows = np.stack([np.stack(list(networks.embed_images(of_clip))) for of_clip in images])
    both = [_figures(part, models) for part in (data, {**data, "keyframe": keyframe_views(rows)})]
    return {"clips": len(rows)} | {name: [part[name] for part in both] for name in both[0]}


def _images(ids: list[str], keyframes: Mapping[str, Any]) -> Iterator[list[np.ndarray]]:
    """Yield the keyframes of each clip."""
    settings = params.load()
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    limits = Limits.of(settings.compute)
    for clip in (clips[name] for name in ids):
        with local_copy(settings.dataset.root, clip.path) as file:
            more = keyframes["frames"], keyframes["pick"], limits, clip.span
            found = call_crash_safe(read_keyframes, settings.compute, str(file), *more)
        yield [keyframe.image for keyframe in found]


def _figures(data: Arrays, models: Models) -> dict[str, float]:
    calibration = models.head_config["calibration"]
    answered = methods.calibrate(methods.trained_logits(models.head, models.probes, data), calibration)
    logits, labels = answered[calibration["answer"]], data["label"]
    multi_label = methods.is_multi_label(calibration)
    probabilities = methods.mean_probabilities(logits, multi_label)
    if multi_label:
        found = {"map": mean_average_precision(probabilities, labels)}
    else:
        found = {"top1": float((probabilities.argmax(axis=1) == labels).mean())}
    return {name: round(value, 4) for name, value in (found | {"log_loss": log_loss(logits, labels)}).items()}
