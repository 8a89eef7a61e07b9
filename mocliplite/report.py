"""The report: one self-contained page that shows how good the recogniser is, where it fails, and why."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import charts, checkpoint, dataset, head, page, params, show, store
from mocliplite.calibration import reliability
from mocliplite.errors import UserError
from mocliplite.files import read_csv, read_json
from mocliplite.results import WAYS
from mocliplite.scores import softmax

SHOWN = 6  # clips of each kind in the gallery, and rows of short tables times two
NEAREST = 5  # clips that vote where the frame's size alone is asked for the class

MEANING = {
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


@dataclass(frozen=True)
class Judged:
    """The test clips as the fusion saw them: rows in the order of ids."""

    ids: list[str]
    labels: np.ndarray  # int64 [N]
    fusion: np.ndarray  # probabilities [N, C], mean over seeds
    keyframe: np.ndarray  # the same of the keyframe's head
    shares: dict[str, np.ndarray]  # [N] by stream
    classes: list[str]

    @property
    def guess(self) -> np.ndarray:
        """What fusion answers: int64 [N]."""
        return self.fusion.argmax(axis=1)


def write(out: str | Path) -> list[str]:
    """Write the page from what the last `dvc repro` left; returns what it could not show, in sentences.

    Raises UserError where metrics, plots or features are missing.
    """
    metrics = {name: read_json(f"metrics/{name}.json") for name in ("eval", "cost", "data", "motion")}
    clips = {clip.id: clip for clip in dataset.read_clips("features/clips.csv")}
    judged = judge()
    pictures, missing = gallery(judged, clips, params.load().dataset.root)
    page.write(
        out,
        "report.html",
        metrics=metrics,
        ways=[_way(metrics["eval"], name) for name in WAYS],
        gains=_gains(metrics["eval"]),
        classes=judged.classes,
        confusion=charts.heatmap(confusion(judged), judged.classes),
        confused=confused(judged),
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


def judge() -> Judged:
    """Look at the test clips again, as `evaluate` did."""
    table = store.read_table("features/pairs.h5", "pairs")
    probes, _ = checkpoint.load("models/probes")
    tensors, config = checkpoint.load("models/head")
    head.check_features(config, table.settings, "models/head")
    data = head.rows_of(table.arrays, "test")
    logits = head.settle(head.all_logits(tensors, probes, data), config["chosen"])
    fusion, keyframe = (softmax(logits[name]).mean(axis=0) for name in ("fusion", "keyframe"))
    shares = head.shares(head.by_players(tensors, data), fusion.argmax(axis=1))
    return Judged(data["ids"].tolist(), data["label"], fusion, keyframe, shares, data["classes"].tolist())


def confusion(judged: Judged) -> np.ndarray:
    """Shares of each class's clips by answer: float64 [C, C], rows of classes without test clips 0."""
    counts = np.zeros((len(judged.classes),) * 2)
    np.add.at(counts, (judged.labels, judged.guess), 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def confused(judged: Judged) -> list[dict[str, Any]]:
    """The most frequent wrong answers."""
    wrong = Counter(
        (judged.classes[label], judged.classes[guess])
        for label, guess in zip(judged.labels, judged.guess, strict=True)
        if label != guess
    )
    order = sorted(wrong, key=lambda pair: (-wrong[pair], pair))
    return [{"was": was, "answered": answered, "clips": wrong[was, answered]} for was, answered in order[: 2 * SHOWN]]


def gallery(judged: Judged, clips: Mapping[str, dataset.Clip], root: str) -> tuple[list[dict[str, Any]], list[str]]:
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
                image = page.picture(show.overlay(f"{root}/{clip.path}"))
            except UserError as error:
                missing.append(str(error))
                image = None
            items.append(_item(judged, int(row), clip, image))
        shown.append({"title": title, "clips": items})
    return shown, missing


def by_frame_size(judged: Judged, clips: Mapping[str, dataset.Clip]) -> dict[str, Any]:
    """How far the frame's size alone tells the class: a test clip gets that of the train clips nearest in size.

    No network here is told the size, but cameras and crops that differ by class betray it in other ways too.
    """
    motion = store.open_store("features/motion")
    splits = {row["id"]: row["split"] for row in read_csv("features/splits.csv")}
    train = [clip_id for clip_id in motion.ids if splits[clip_id] in ("train", "val")]
    known = np.log([motion.sizes[clip_id] for clip_id in train])
    labels = np.array([clips[clip_id].index for clip_id in train])
    asked = np.log([motion.sizes[clip_id] for clip_id in judged.ids])
    if len(np.unique(known, axis=0)) == 1:
        return {"one": f"{motion.sizes[train[0]][1]}x{motion.sizes[train[0]][0]}"}
    guess = np.array([_vote(labels[np.argsort(((known - one) ** 2).sum(axis=1), kind="stable")]) for one in asked])
    right = guess == judged.labels
    found = {name: float(right[judged.labels == index].mean()) for index, name in _present(judged)}
    return {"one": "", "top1": float(right.mean()), "chance": 1 / len(judged.classes), "classes": found}


def _vote(labels: np.ndarray) -> int:
    return int(np.bincount(labels[:NEAREST]).argmax())


def _present(judged: Judged) -> list[tuple[int, str]]:
    return [(int(label), judged.classes[label]) for label in np.unique(judged.labels)]


def _item(judged: Judged, row: int, clip: dataset.Clip, image: str | None) -> dict[str, Any]:
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
    return {"name": name, "meaning": MEANING[name], "ece": metrics["calibration"][name]["ece"], **values}


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


def _reliability(judged: Judged) -> str:
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
        failed = store.open_store(f"features/{name}").failures
        found += [{"store": name, "id": clip_id, "reason": str(why)} for clip_id, why in sorted(failed.items())]
    return found
