"""The figures and tables of the evaluation: metrics of all methods, by class, by confidence and by clip."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mocliplite.evaluation import intervals, multi_label_table
from mocliplite.evaluation.calibration import ece, reliability
from mocliplite.evaluation.metrics import macro_f1, mean_class, softmax, within_top
from mocliplite.evaluation.rows import METHODS, are_of_one_group, notes


def figure(logits: np.ndarray, labels: np.ndarray) -> float:
    """Top-1 accuracy: the share of correct answers over clips and seeds."""
    return float(within_top(logits, labels, 1).mean())


def all_metrics(
    logits: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray, calibration: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metrics of all methods, with the keys of metrics/eval.json.

    logits: calibrated logits [N, C] or [S, N, C] by method; calibration: the result of `methods.fit_calibration`, of
    which `best_single` and `answer` are used.
    """
    correct_by_method = {name: within_top(values, labels, 1) for name, values in logits.items()}
    fusion, best_single = correct_by_method["fusion"], calibration["best_single"]
    return {
        "clips": len(labels),
        "top1": {name: intervals.summary(correct, groups) for name, correct in correct_by_method.items()},
        "top5": {name: intervals.summary(within_top(values, labels, 5), groups) for name, values in logits.items()},
        "mean_class": {name: mean_class(correct, labels, groups) for name, correct in correct_by_method.items()},
        "macro_f1": {name: macro_f1(values, labels, groups) for name, values in logits.items()},
        "calibration": {name: {"ece": ece(softmax(values), labels)} for name, values in logits.items()},
        "answer": calibration["answer"],
        "best_single": best_single,
        "fusion_minus_keyframe": intervals.difference(fusion, correct_by_method["keyframe"], groups),
        "fusion_minus_best_single": intervals.difference(fusion, correct_by_method[best_single], groups),
    }


def summary(metrics: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the few figures of metrics/summary.json, with names so short that `dvc exp show` has room for them.

    metrics: those of metrics/eval.json. `top1` is that of the method that answers, and `ece` its calibration
    error; `gain` is the top-1 of fusion minus that of the keyframe, with the 95 % interval `gain_low` to `gain_high`.
    Where a clip may have several classes, `map` takes the place of `top1`. Figures with another `test_set` are of other
    clips.
    """
    key = "map" if "map" in metrics else "top1"
    figures, gain, answer = metrics[key], metrics["fusion_minus_keyframe"], metrics["answer"]
    return {
        key: figures[answer]["mean"],
        **{name: figures[name]["mean"] for name in ("fusion", "keyframe", "motion")},
        "gain": gain["mean"],
        "gain_low": gain["low"],
        "gain_high": gain["high"],
        "ece": metrics["calibration"][answer]["ece"],
        "test_clips": metrics["clips"],
        "test_set": metrics["test_set"],
    }


def table(metrics: dict[str, Any]) -> str:
    """Return the figures of metrics/eval.json as lines of text; an asterisk marks the method that answers."""
    if "map" in metrics:
        return multi_label_table.table(metrics)
    one_group = are_of_one_group(metrics["top1"])
    lines = [f"{metrics['clips']} test clips        top-1   95 % interval    top-5   mean class   F1      ECE"]
    for name in (name for name in METHODS if name in metrics["top1"]):
        row = metrics["top1"][name]
        accuracy = f"{row['mean']:.3f}   " + ("none       " if one_group else f"{row['low']:.3f}-{row['high']:.3f}")
        top5, by_class, f1 = (metrics[key][name]["mean"] for key in ("top5", "mean_class", "macro_f1"))
        others = f"{top5:.3f}   {by_class:.3f}        {f1:.3f}   {metrics['calibration'][name]['ece']:.3f}"
        marked = f"{name} *" if name == metrics["answer"] else name
        lines.append(f"{marked:<24}{accuracy}      {others}")
    for name in ("keyframe", "best_single"):
        gain = metrics[f"fusion_minus_{name}"]
        bounds = "no interval" if one_group else f"{gain['low']:+.3f} to {gain['high']:+.3f}"
        p = "p < 0.0001" if gain["p"] < 0.0001 else f"p = {gain['p']:.4f}"
        other = name if name == "keyframe" else metrics["best_single"]
        if name == "keyframe" or other != "keyframe":
            lines.append(f"fusion minus {other:<15}{gain['mean']:+.3f} ({bounds}), {p}")
    return "\n".join([*lines, *notes(metrics, one_group, "top-1")])


def by_class(logits: Mapping[str, np.ndarray], labels: np.ndarray, classes: np.ndarray) -> list[dict[str, object]]:
    """Return a row per class: clips, accuracy of each method, and the gain of fusion over the keyframe."""
    correct_by_method = {name: within_top(values, labels, 1) for name, values in logits.items()}
    rows: list[dict[str, object]] = []
    for label in np.unique(labels):
        in_class = labels == label
        accuracy = {name: float(correct[..., in_class].mean()) for name, correct in correct_by_method.items()}
        gain = accuracy["fusion"] - accuracy["keyframe"]
        rows.append({"class": str(classes[label]), "clips": int(in_class.sum()), **accuracy, "gain": gain})
    return rows


def reliability_by_method(probabilities: Mapping[str, np.ndarray], labels: np.ndarray) -> list[dict[str, object]]:
    """Return a row per method, called `curve`, and bin of confidence with answers: its centre, and the accuracy.

    The curve `calibrated` is that of equal confidence and accuracy.
    """
    rows: list[dict[str, object]] = [{"confidence": x, "curve": "calibrated", "accuracy": x} for x in (0.0, 1.0)]
    for name, values in probabilities.items():
        rows += [
            {"confidence": found["bin"], "curve": name, "accuracy": found["accuracy"]}
            for found in reliability(values, labels)
        ]
    return rows


def by_clip(
    data: Mapping[str, np.ndarray], probabilities: np.ndarray, shares: Mapping[str, np.ndarray]
) -> list[dict[str, object]]:
    """Return a row per clip: label, predicted class with its probability, and the contribution of each stream.

    data: the arrays of pairs.h5; probabilities: float [N, C] of the method that answers; shares: float [N] by stream.
    """
    predicted = probabilities.argmax(axis=1)
    return [
        {
            "id": data["ids"][row],
            "label": data["classes"][data["label"][row]],
            "guess": data["classes"][predicted[row]],
            "probability": float(probabilities[row, predicted[row]]),
            **{f"{stream}_share": float(values[row]) for stream, values in shares.items()},
        }
        for row in range(len(predicted))
    ]
