"""The report: one self-contained page on the accuracy of the recogniser and on its errors."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mocliplite import params
from mocliplite.csv_files import read_csv
from mocliplite.data.clips import Clip, read_clips
from mocliplite.errors import UserError
from mocliplite.evaluation.calibration import reliability
from mocliplite.evaluation.rows import METHODS
from mocliplite.files import read_json
from mocliplite.predict.metrics_file import check_test_clips, read_metrics
from mocliplite.remote.copies import local_copy
from mocliplite.report import charts, html, overlay
from mocliplite.report.predictions import (
    Predictions,
    confusion_matrix,
    frame_size_accuracy,
    frequent_errors,
    predict_test_clips,
)
from mocliplite.runtime.crash_safe import call_crash_safe
from mocliplite.store import stores
from mocliplite.video.streams import Limits

GALLERY = 6  # clips in each part of the gallery
ROWS = 12  # of the short tables and lists
BARS = 40  # of a chart by class; of more classes, those with the highest and the lowest values
MOST_CLASSES = 400  # in a table by class and in the confusion matrix, which has about as many pixels to a side

Row = TypeVar("Row")


def write(out: str | Path) -> list[str]:
    """Write the page from the results of the last `dvc repro`; return a sentence for each clip without a picture.

    Raises UserError where metrics, plots or features are missing, or the metrics are of other test clips.
    """
    metrics = {name: read_json(f"metrics/{name}.json") for name in ("cost", "data", "motion")} | {
        "eval": read_metrics()
    }
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    predictions = predict_test_clips()
    check_test_clips(metrics["eval"], predictions.ids, predictions.labels, predictions.classes)
    settings = params.load()
    answer = metrics["eval"]["answer"]
    parts, missing = gallery(predictions, clips, answer, settings.dataset.root, settings.compute)
    failures, by_class = _failures(), read_csv("plots/classes.csv")
    html.write(
        out,
        "report.html",
        metrics=metrics,
        methods=_method_rows(metrics["eval"]),
        gains=_gains(metrics["eval"]),
        classes=predictions.classes,
        bars=BARS,
        tested=len(by_class),
        by_class=_shortened(by_class, lambda row: float(row["gain"])),
        reliability=_reliability_chart(predictions),
        learning=_learning_curve(),
        motion_curve=_motion_curve(),
        head_curve=_head_curve(),
        failures=failures[:ROWS],
        failed=len(failures),
        suspicious=read_csv("features/suspicious_labels.csv")[:ROWS],
        near_duplicates=read_csv("features/near_duplicates.csv")[:ROWS],
        gallery=parts,
        **_one_class(predictions, clips) if predictions.thresholds is None else _several_classes(metrics["eval"]),
    )
    return missing


def _one_class(predictions: Predictions, clips: Mapping[str, Clip]) -> dict[str, Any]:
    """Return the parts of the page that are of clips with one class each."""
    few = len(predictions.classes) <= MOST_CLASSES
    frame_size = frame_size_accuracy(predictions, clips)
    by_class = _shortened(list(frame_size.get("classes", {}).items()), lambda item: item[1])
    return {
        "multi_label": False,
        "confusion": charts.heatmap(confusion_matrix(predictions), predictions.classes) if few else None,
        "numbered": len(predictions.classes) <= charts.NUMBERED,
        "errors": frequent_errors(predictions, ROWS),
        "class_chart": None,
        "gain_chart": _gain_chart("top-1"),
        "frame_size": frame_size | {"classes": by_class},
    }


def _several_classes(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same parts for clips that may have several classes."""
    return {
        "multi_label": True,
        "confusion": None,
        "numbered": False,
        "errors": [],
        "class_chart": charts.bars(_by_class(metrics["answer"]), "average precision"),
        "gain_chart": _gain_chart("average precision"),
        "frame_size": None,
    }


def _gain_chart(figure: str) -> str:
    return charts.bars(_by_class("gain"), f"{figure} of fusion minus {figure} of keyframe")


def gallery(
    predictions: Predictions,
    clips: Mapping[str, Clip],
    answer: str,
    root: str,
    compute: params.Compute = params.DEFAULT_COMPUTE,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the two parts of the gallery, and a sentence for each clip of it that cannot be drawn.

    The parts are clips that `answer`, the method with which `predict` answers, classifies correctly and the keyframe
    head wrongly, and clips that it classifies wrongly; those with the highest confidence come first.
    """
    order = np.argsort(-predictions.probabilities.max(axis=1), kind="stable")
    selected = {
        f"{answer} is right, keyframe is wrong": predictions.correct & ~predictions.keyframe_correct,
        f"{answer} is wrong": ~predictions.correct,
    }
    parts, missing = [], []
    for title, mask in selected.items():
        items = []
        for row in [row for row in order if mask[row]][:GALLERY]:
            clip = clips[predictions.ids[row]]
            try:
                with local_copy(root, clip.path) as file:
                    drawn = call_crash_safe(overlay.overlay, compute, str(file), Limits.of(compute), clip.span)
                image = html.picture(drawn)
            except UserError as error:
                missing.append(str(error))
                image = None
            items.append(_gallery_item(predictions, int(row), clip, image))
        parts.append({"title": title, "clips": items})
    return parts, missing


def _gallery_item(predictions: Predictions, row: int, clip: Clip, image: str | None) -> dict[str, Any]:
    top = np.argsort(-predictions.probabilities[row], kind="stable")[:3]
    return {
        "id": clip.id,
        "label": clip.label or "no class",
        "image": image,
        "top": [(predictions.classes[index], float(predictions.probabilities[row, index])) for index in top],
        "shares": {stream: float(values[row]) for stream, values in predictions.shares.items()},
    }


def _method_rows(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = [key for key in ("top1", "top5", "mean_class", "map", "macro_f1") if key in metrics]
    return [
        {"name": name, "description": METHODS[name], **metrics["calibration"][name]}
        | {key: metrics[key][name] for key in keys}
        for name in METHODS
        if name in metrics["macro_f1"]
    ]


def _gains(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the gain of fusion over the keyframe head, and over the best single stream where that is another."""
    baselines = {metrics["best_single"]: "best_single", "keyframe": "keyframe"}
    return [{"baseline": method, **metrics[f"fusion_minus_{key}"]} for method, key in baselines.items()]


def _by_class(column: str) -> dict[str, float]:
    """Return a column of plots/classes.csv by class, the highest value first: BARS of them, from both ends."""
    rows = _ends(read_csv("plots/classes.csv"), lambda row: float(row[column]))
    return {row["class"]: float(row[column]) for row in rows}


def _shortened(rows: list[Row], value: Callable[[Row], float]) -> list[Row]:
    """Return the rows of a table by class: all, or of more than MOST_CLASSES, those of `_ends`."""
    return _ends(rows, value) if len(rows) > MOST_CLASSES else rows


def _ends(rows: list[Row], value: Callable[[Row], float]) -> list[Row]:
    """Return the rows with the highest value first: BARS of them, from both ends."""
    rows = sorted(rows, key=lambda row: -value(row))
    return rows if len(rows) <= BARS else rows[: BARS // 2] + rows[-(BARS // 2) :]


def _learning_curve() -> str:
    series, clips = _series("plots/learning_curve.csv", "clips_per_class", "top1")
    return charts.curves(series, clips, "train clips per class", "top-1 on validation")


def _series(path: str, x: str, y: str, prefix: str = "") -> tuple[dict[str, list[float]], list[int]]:
    """Return the values of each curve in a file, of those whose names begin with prefix, and their common x."""
    rows = [row for row in read_csv(path) if row["curve"].startswith(prefix)]
    series: dict[str, list[float]] = {}
    for row in rows:
        series.setdefault(row["curve"].removeprefix(prefix), []).append(float(row[y]))
    return series, sorted({int(row[x]) for row in rows})


def _reliability_chart(predictions: Predictions) -> str:
    rows = reliability(*predictions.confidence)
    confidence, accuracy = ([row[key] for row in rows] for key in ("confidence", "accuracy"))
    return charts.reliability(confidence, accuracy, [int(row["answers"]) for row in rows])


def _head_curve() -> str:
    series, epochs = _series("plots/head_training.csv", "epoch", "loss", "fusion ")
    return charts.curves(series, epochs, "epoch", "loss")


def _motion_curve() -> str:
    rows = read_csv("plots/motion_training.csv")
    series = {name: [float(row[f"{name}_loss"]) for row in rows] for name in ("train", "val")}
    return charts.curves(series, [int(row["epoch"]) for row in rows], "epoch", "loss")


def _failures() -> list[dict[str, str]]:
    found = []
    for name in ("motion", "keyframes"):
        failures = stores.open_store(f"features/{name}").failures
        found += [
            {"store": name, "id": clip_id, "reason": str(failure)} for clip_id, failure in sorted(failures.items())
        ]
    return found
