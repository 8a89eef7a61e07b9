"""The report: one self-contained page that shows how good the recogniser is, where it fails, and why."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import params
from mocliplite.data.clips import Clip, read_clips
from mocliplite.errors import UserError
from mocliplite.evaluation.calibration import reliability
from mocliplite.evaluation.method_table import METHODS
from mocliplite.files import read_csv, read_json
from mocliplite.report import charts, html, overlay
from mocliplite.report.test_results import TestResults, by_frame_size, confusion, confusions, test_results
from mocliplite.store import stores

SHOWN = 6  # clips of each kind in the gallery, and rows of short tables times two
DESCRIPTIONS = {
    "zero_shot": "CLIP as it comes, by the class names",
    "keyframe_probe": "keyframe, linear",
    "keyframe": "keyframe, MLP",
    "motion": "motion network",
    "motion_probe": "motion embedding, linear",
    "score_fusion": "mixed scores of keyframe and motion",
    "ridge": "both, linear",
    "fusion": "both, MLP (the paper's)",
    "blend": "mixed scores of keyframe, motion, ridge and fusion",
}


def write(out: str | Path) -> list[str]:
    """Write the page from what the last `dvc repro` left; returns what it could not show, in sentences.

    Raises UserError where metrics, plots or features are missing.
    """
    metrics = {name: read_json(f"metrics/{name}.json") for name in ("eval", "cost", "data", "motion")}
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    judged = test_results()
    pictures, missing = gallery(judged, clips, params.load().dataset.root)
    html.write(
        out,
        "report.html",
        metrics=metrics,
        ways=[_way(metrics["eval"], name) for name in METHODS],
        gains=_gains(metrics["eval"]),
        classes=judged.classes,
        confusion=charts.heatmap(confusion(judged), judged.classes),
        confused=confusions(judged),
        gain_chart=charts.bars(_gain_by_class(), "top-1 of fusion minus top-1 of keyframe"),
        by_class=read_csv("plots/classes.csv"),
        learning=_learning(),
        reliability=_reliability(judged),
        motion_curve=_curve("plots/motion_training.csv"),
        head_curve=_curve("plots/head_training.csv", "fusion_"),
        failures=_failures(),
        suspicious=read_csv("features/suspicious_labels.csv")[: 2 * SHOWN],
        twins=read_csv("features/near_duplicates.csv")[: 2 * SHOWN],
        sizes=by_frame_size(judged, clips),
        gallery=pictures,
    )
    return missing


def gallery(judged: TestResults, clips: Mapping[str, Clip], root: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Clips that only fusion got right, and clips that it got wrong, the surest first; and what could not be shown."""
    sure = judged.fusion.max(axis=1)
    right, before = judged.guess == judged.labels, judged.keyframe.argmax(axis=1) == judged.labels
    order = np.argsort(-sure, kind="stable")
    parts = {
        "Right, where the keyframe alone was wrong": [row for row in order if right[row] and not before[row]][:SHOWN],
        "Wrong": [row for row in order if not right[row]][:SHOWN],
    }
    shown, missing = [], []
    for title, rows in parts.items():
        items = []
        for row in rows:
            clip = clips[judged.ids[row]]
            try:
                image = html.picture(overlay.overlay(f"{root}/{clip.path}"))
            except UserError as error:
                missing.append(str(error))
                image = None
            items.append(_item(judged, int(row), clip, image))
        shown.append({"title": title, "clips": items})
    return shown, missing


def _item(judged: TestResults, row: int, clip: Clip, image: str | None) -> dict[str, Any]:
    top = np.argsort(-judged.fusion[row], kind="stable")[:3]
    return {
        "id": clip.id,
        "label": clip.label,
        "image": image,
        "top": [(judged.classes[index], float(judged.fusion[row, index])) for index in top],
        "shares": {stream: float(values[row]) for stream, values in judged.shares.items()},
    }


def _way(metrics: Mapping[str, Any], name: str) -> dict[str, Any]:
    values = {key: metrics[key][name] for key in ("top1", "top5", "mean_class", "macro_f1")}
    return {"name": name, "meaning": DESCRIPTIONS[name], "ece": metrics["calibration"][name]["ece"], **values}


def _gains(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What fusion gains over the keyframe's head, and over the best single stream where that is another."""
    over = {metrics["best_single"]: "best_single", "keyframe": "keyframe"}
    return [{"over": other, **metrics[f"fusion_minus_{name}"]} for other, name in over.items()]


def _gain_by_class() -> dict[str, float]:
    rows = sorted(read_csv("plots/classes.csv"), key=lambda row: -float(row["gain"]))
    return {row["class"]: float(row["gain"]) for row in rows}


def _learning() -> str:
    rows = read_csv("plots/learning_curve.csv")
    probes = [name for name in rows[0] if f"{name}_std" in rows[0]]
    series = {name: [float(row[name]) for row in rows] for name in probes}
    return charts.curves(
        series, [int(row["clips_per_class"]) for row in rows], "train clips a class", "top-1 on validation"
    )


def _reliability(judged: TestResults) -> str:
    rows = reliability(judged.fusion, judged.labels)
    confidence, accuracy = ([row[key] for row in rows] for key in ("confidence", "accuracy"))
    return charts.reliability(confidence, accuracy, [int(row["answers"]) for row in rows])


def _curve(path: str, prefix: str = "") -> str:
    rows = [row for row in read_csv(path) if row[f"{prefix}val_loss"]]
    series = {name: [float(row[f"{prefix}{name}_loss"]) for row in rows] for name in ("train", "val")}
    return charts.curves(series, [int(row["epoch"]) for row in rows], "epoch", "loss")


def _failures() -> list[dict[str, str]]:
    found = []
    for name in ("motion", "keyframes"):
        failed = stores.open_store(f"features/{name}").failures
        found += [{"store": name, "id": clip_id, "reason": str(why)} for clip_id, why in sorted(failed.items())]
    return found
