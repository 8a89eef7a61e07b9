"""What the evaluation shows: the table of all ways of recognising, and rows by class."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mocliplite.evaluation import intervals
from mocliplite.evaluation.calibration import ece, reliability
from mocliplite.evaluation.metrics import macro_f1, mean_class, softmax, within_top

METHODS = (  # as tables list them
    "zero_shot",
    "keyframe_probe",
    "keyframe",
    "motion",
    "motion_probe",
    "score_fusion",
    "ridge",
    "fusion",
    "blend",
)


def top1(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of answers that are right, over clips and seeds."""
    return float(within_top(logits, labels, 1).mean())


def all_metrics(
    logits: Mapping[str, np.ndarray], labels: np.ndarray, groups: np.ndarray, chosen: Mapping[str, Any]
) -> dict[str, Any]:
    """All figures of the ways of recognising, from their settled logits [N, C] or [S, N, C] (see head.settle)."""
    first = {name: within_top(values, labels, 1) for name, values in logits.items()}
    single = chosen["best_single"]
    return {
        "clips": len(labels),
        "top1": {name: intervals.summary(correct, groups) for name, correct in first.items()},
        "top5": {name: intervals.summary(within_top(out, labels, 5), groups) for name, out in logits.items()},
        "mean_class": {name: mean_class(correct, labels, groups) for name, correct in first.items()},
        "macro_f1": {name: macro_f1(values, labels, groups) for name, values in logits.items()},
        "calibration": {
            name: {"ece": ece(softmax(values), labels), "temperature": chosen["temperature"][name]}
            for name, values in logits.items()
        },
        "best_single": single,
        "fusion_minus_keyframe": intervals.difference(first["fusion"], first["keyframe"], groups),
        "fusion_minus_best_single": intervals.difference(first["fusion"], first[single], groups),
    }


def table(metrics: dict[str, Any]) -> str:
    """The figures of metrics/eval.json as lines of text."""
    lines = [f"{metrics['clips']} test clips        top-1   95 % interval    top-5   mean class   F1      ECE"]
    for name in METHODS:
        row = metrics["top1"][name]
        spread = f"{row['mean']:.3f}   {row['low']:.3f}-{row['high']:.3f}"
        top5, by_class, f1 = (metrics[key][name]["mean"] for key in ("top5", "mean_class", "macro_f1"))
        others = f"{top5:.3f}   {by_class:.3f}        {f1:.3f}   {metrics['calibration'][name]['ece']:.3f}"
        lines.append(f"{name:<24}{spread}      {others}")
    for name in ("keyframe", "best_single"):
        gain = metrics[f"fusion_minus_{name}"]
        bounds = f"{gain['low']:+.3f} to {gain['high']:+.3f}"
        p = "p < 0.0001" if gain["p"] < 0.0001 else f"p = {gain['p']:.4f}"
        other = name if name == "keyframe" else metrics["best_single"]
        if name == "keyframe" or other != "keyframe":
            lines.append(f"fusion minus {other:<15}{gain['mean']:+.3f} ({bounds}), {p}")
    twins = metrics.get("near_duplicates", {"clips": 0})
    if twins["clips"]:
        lines.append(
            f"warning: {twins['clips']} test clips are nearly a train clip (features/near_duplicates.csv); "
            f"without them fusion has {twins['fusion_without']:.3f}"
        )
    return "\n".join(lines)


def by_class(logits: Mapping[str, np.ndarray], labels: np.ndarray, classes: np.ndarray) -> list[dict[str, object]]:
    """A row a class: clips, accuracy of each way of recognising, and what fusion gains over the keyframe."""
    first = {name: within_top(values, labels, 1) for name, values in logits.items()}
    rows: list[dict[str, object]] = []
    for label in np.unique(labels):
        chosen = labels == label
        accuracy = {name: float(correct[..., chosen].mean()) for name, correct in first.items()}
        gain = accuracy["fusion"] - accuracy["keyframe"]
        rows.append({"class": str(classes[label]), "clips": int(chosen.sum()), **accuracy, "gain": gain})
    return rows


def reliability_by_method(probabilities: Mapping[str, np.ndarray], labels: np.ndarray) -> list[dict[str, object]]:
    """A row a span of confidence: its middle, and the accuracy of each way's answers in it; empty where it has none."""
    rows = {
        name: {row["bin"]: row["accuracy"] for row in reliability(values, labels)}
        for name, values in probabilities.items()
    }
    bins = sorted(set().union(*rows.values()))
    return [{"confidence": one, **{name: own.get(one, "") for name, own in rows.items()}} for one in bins]


def by_clip(
    data: dict[str, np.ndarray], guess: np.ndarray, probabilities: np.ndarray, share: dict[str, np.ndarray]
) -> list[dict[str, object]]:
    """A row a clip: its label, the fusion's guess [N] and how sure it is, and what each stream adds to its logit."""
    sure = probabilities.mean(axis=0)[np.arange(len(guess)), guess]
    return [
        {
            "id": data["ids"][row],
            "label": data["classes"][data["label"][row]],
            "guess": data["classes"][guess[row]],
            "probability": float(sure[row]),
            **{f"{stream}_share": float(values[row]) for stream, values in share.items()},
        }
        for row in range(len(guess))
    ]
