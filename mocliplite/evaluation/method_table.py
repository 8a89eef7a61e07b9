"""The figures and tables of the evaluation: metrics of all methods, by class, by confidence and by clip."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mocliplite.evaluation import intervals, multi_label_table
from mocliplite.evaluation.calibration import ece, reliability
from mocliplite.evaluation.metrics import macro_f1, mean_class, softmax, within_top
from mocliplite.evaluation.rows import METHODS, are_of_one_group, notes


class Outcomes(NamedTuple):
    """What all figures need of the answers of a method to N clips: arrays [N], or [S, N] for S seeds.

    The logits of all methods, seeds and classes need gigabytes where clips and classes are many.
    """

    top1: np.ndarray  # bool, whether the label has the highest logit; a tie counts as wrong
    top5: np.ndarray  # bool, whether it is among the five highest
    guess: np.ndarray  # int64, the class of the highest logit
    confidence: np.ndarray  # float, probability of this class


def outcomes(logits: np.ndarray, labels: np.ndarray) -> Outcomes:
    """Return the outcomes of calibrated logits [N, C] or [S, N, C]; labels: int64 [N]."""
    top1, top5 = (within_top(logits, labels, top) for top in (1, 5))
    return Outcomes(top1, top5, logits.argmax(axis=-1), softmax(logits).max(axis=-1))


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Join the outcomes of a method for several parts of the clips."""
    return Outcomes(*(np.concatenate(arrays, axis=-1) for arrays in zip(*parts, strict=True)))


def figure(found: Outcomes, labels: np.ndarray) -> float:
    """Top-1 accuracy: the share of correct answers over clips and seeds."""
    return float(found.top1.mean())


def select(found: Outcomes, clips: np.ndarray) -> Outcomes:
    """Return the outcomes of some clips: row numbers or a mask."""
    return Outcomes(*(array[..., clips] for array in found))


def all_metrics(
    by_method: Mapping[str, Outcomes], labels: np.ndarray, groups: np.ndarray, calibration: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metrics of all methods, with the keys of metrics/eval.json.

    calibration: the result of `methods.fit_calibration`, of which `best_single` and `answer` are used.
    """
    correct_by_method = {name: found.top1 for name, found in by_method.items()}
    _, groups = np.unique(groups, return_inverse=True)  # sorting numbers is faster than sorting text
    fusion, best_single = correct_by_method["fusion"], calibration["best_single"]
    return {
        "clips": len(labels),
        "top1": {name: intervals.summary(correct, groups) for name, correct in correct_by_method.items()},
        "top5": {name: intervals.summary(found.top5, groups) for name, found in by_method.items()},
        "mean_class": {name: mean_class(correct, labels, groups) for name, correct in correct_by_method.items()},
        "macro_f1": {name: macro_f1(found.guess, labels, groups) for name, found in by_method.items()},
        "calibration": {name: {"ece": ece(*confidences(found, labels))} for name, found in by_method.items()},
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


def by_class(by_method: Mapping[str, Outcomes], labels: np.ndarray, classes: np.ndarray) -> list[dict[str, object]]:
    """Return a row per class: clips, accuracy of each method, and the gain of fusion over the keyframe."""
    rows: list[dict[str, object]] = []
    for label in np.unique(labels):
        in_class = labels == label
        accuracy = {name: float(found.top1[..., in_class].mean()) for name, found in by_method.items()}
        gain = accuracy["fusion"] - accuracy["keyframe"]
        rows.append({"class": str(classes[label]), "clips": int(in_class.sum()), **accuracy, "gain": gain})
    return rows


def confidences(found: Outcomes, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence of each answer, and whether it is right, for `reliability`."""
    return found.confidence, found.guess == labels


def reliability_by_method(confidence: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[dict[str, object]]:
    """Return a row per method, called `curve`, and bin of confidence with answers: its centre, and the accuracy.

    confidence: the results of `confidences` by method. The curve `calibrated` is that of equal confidence and accuracy.
    """
    rows: list[dict[str, object]] = [{"confidence": x, "curve": "calibrated", "accuracy": x} for x in (0.0, 1.0)]
    for name, (values, correct) in confidence.items():
        rows += [
            {"confidence": found["bin"], "curve": name, "accuracy": found["accuracy"]}
            for found in reliability(values, correct)
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
