"""The figures and tables of the evaluation where a clip may have several classes; see method_table for one class."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mocliplite.evaluation.calibration import ece
from mocliplite.evaluation.multi_label import (
    class_average_precision,
    class_f1,
    joined_names,
    mean_average_precision,
    over_seeds,
    resampled,
    sigmoid,
    summary,
)
from mocliplite.evaluation.rows import METHODS, are_of_one_group, notes
from mocliplite.params import CLASS_SEPARATOR


def outcomes(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return what all figures need of calibrated logits [N, C] or [S, N, C]: all of them, to rank the clips."""
    return logits


def joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join the logits of a method for several parts of the clips."""
    return np.concatenate(parts, axis=-2)


def select(logits: np.ndarray, clips: np.ndarray) -> np.ndarray:
    """Return the logits of some clips: row numbers or a mask."""
    return logits[..., clips, :]


def confidences(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of each clip and class, and whether the clip has the class, for `reliability`."""
    return sigmoid(logits), np.broadcast_to(labels, logits.shape)


def figure(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the figure by which methods are compared: mAP; 0 where no clip has a class."""
    return mean_average_precision(logits, labels) if labels.any() else 0.0


def all_metrics(
    logits: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray, calibration: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the metrics of all methods, with the keys of metrics/eval.json.

    logits: calibrated logits [N, C] or [S, N, C] by method; labels: [N, C]; calibration: the result of
    `methods.fit_calibration`, of which `f1_threshold`, `best_single` and `answer` are used.
    """
    weights = resampled(groups)
    precision = {name: over_seeds(class_average_precision, values, labels, weights) for name, values in logits.items()}
    f1 = {
        name: over_seeds(class_f1, sigmoid(values) >= calibration["f1_threshold"][name], labels, weights)
        for name, values in logits.items()
    }
    return {
        "clips": len(labels),
        "map": {name: summary(figures, groups) for name, figures in precision.items()},
        "macro_f1": {name: summary(figures, groups) for name, figures in f1.items()},
        "calibration": {
            name: {"ece": ece(*confidences(values, labels)), "f1_threshold": calibration["f1_threshold"][name]}
            for name, values in logits.items()
        },
        "answer": calibration["answer"],
        "best_single": calibration["best_single"],
        **{
            f"fusion_minus_{key}": summary(_difference(precision["fusion"], precision[name]), groups, lowest=-1.0)
            for key, name in (("keyframe", "keyframe"), ("best_single", calibration["best_single"]))
        },
    }


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first.mean(axis=0) - second.mean(axis=0))[None]


def table(metrics: Mapping[str, Any]) -> str:
    """Return the figures of metrics/eval.json as lines of text; an asterisk marks the method that answers."""
    one_group = are_of_one_group(metrics["map"])
    lines = [f"{metrics['clips']} test clips          mAP   95 % interval    macro F1   threshold   ECE"]
    for name in (name for name in METHODS if name in metrics["map"]):
        row, calibration = metrics["map"][name], metrics["calibration"][name]
        precision = f"{row['mean']:.3f}   " + ("none       " if one_group else f"{row['low']:.3f}-{row['high']:.3f}")
        others = f"{metrics['macro_f1'][name]['mean']:.3f}      {calibration['f1_threshold']:.2f}        "
        marked = f"{name} *" if name == metrics["answer"] else name
        lines.append(f"{marked:<24}{precision}      {others}{calibration['ece']:.3f}")
    for other, key in {"keyframe": "keyframe", metrics["best_single"]: "best_single"}.items():
        gain = metrics[f"fusion_minus_{key}"]
        bounds = "no interval" if one_group else f"{gain['low']:+.3f} to {gain['high']:+.3f}"
        lines.append(f"fusion minus {other:<15}{gain['mean']:+.3f} ({bounds})")
    return "\n".join([*lines, *notes(metrics, one_group, "mAP")])


def by_class(logits: Mapping[str, np.ndarray], labels: np.ndarray, classes: np.ndarray) -> list[dict[str, object]]:
    """Return a row per class with a positive clip: their number, the average precision of each method, and the gain.

    The gain is that of fusion over the keyframe. Figures of methods with seeds are means over the seeds.
    """
    equal = np.ones((1, len(labels)))
    seeds = {name: values.reshape(-1, *labels.shape) for name, values in logits.items()}
    precision = {
        name: np.mean([class_average_precision(seed, labels, equal)[0] for seed in values], axis=0)
        for name, values in seeds.items()
    }
    return [
        {
            "class": str(classes[index]),
            "clips": int(np.count_nonzero(labels[:, index])),
            **{name: float(values[index]) for name, values in precision.items()},
            "gain": float(precision["fusion"][index] - precision["keyframe"][index]),
        }
        for index in np.flatnonzero(labels.any(axis=0))
    ]


def by_clip(
    data: Mapping[str, np.ndarray], probabilities: np.ndarray, shares: Mapping[str, np.ndarray], threshold: float
) -> list[dict[str, object]]:
    """Return a row per clip: its classes, the predicted ones with their probabilities, and the shares of the streams.

    data: the arrays of pairs.h5; probabilities: float [N, C] of the method that answers; shares: float [N] by stream,
    of the most probable class; threshold: probability from which on a class is predicted.
    """
    rows, labels = [], joined_names(data["label"], data["classes"])
    for row, found in enumerate(probabilities):
        predicted = np.flatnonzero(found >= threshold)
        rows.append(
            {
                "id": data["ids"][row],
                "label": labels[row],
                "guess": CLASS_SEPARATOR.join(data["classes"][predicted]),
                "probability": CLASS_SEPARATOR.join(f"{found[index]:.6f}" for index in predicted),
                **{f"{stream}_share": float(values[row]) for stream, values in shares.items()},
            }
        )
    return rows
