"""Accuracy, intervals and paired tests, in numpy.

Correctness is passed around as bool [N] or [S, N] (S seeds); groups are the clips that share a source, resampled
together, since they are not independent.
"""

from math import comb
from typing import Any

import numpy as np

DRAWS = 2000  # bootstrap resamples
WAYS = ("zero_shot", "keyframe", "motion", "score_fusion", "fusion")  # of recognising, as tables list them


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def within_top(logits: np.ndarray, labels: np.ndarray, top: int) -> np.ndarray:
    """Whether the label is among the `top` highest logits: bool [..., N] for logits [..., N, C]."""
    own = np.take_along_axis(logits, np.broadcast_to(labels, logits.shape[:-1])[..., None], axis=-1)
    # Ties count against the label.
    # Ties count against the label, and so does what is no number: NaN is not below anything.
    rivals = (~(logits < own)).sum(axis=-1) - 1
    return rivals < top


def mean_class(correct: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of the accuracy within each, and over seeds."""
    return float(np.mean([correct[..., labels == label].mean() for label in np.unique(labels)]))


def interval(values: np.ndarray, groups: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of values [N], drawing whole groups [N]."""
    _, member = np.unique(groups, return_inverse=True)
    totals, sizes = np.bincount(member, weights=values), np.bincount(member)
    draws = np.random.default_rng(seed).integers(len(sizes), size=(DRAWS, len(sizes)))
    low, high = np.quantile(totals[draws].sum(axis=1) / sizes[draws].sum(axis=1), [0.025, 0.975])
    return float(low), float(high)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share seen in `count` independent draws; sound near 0 and 1 too."""
    z2 = 1.959964**2
    middle = share + z2 / (2 * count)
    half = (z2 * share * (1 - share) / count + z2**2 / (4 * count**2)) ** 0.5
    return float((middle - half) / (1 + z2 / count)), float((middle + half) / (1 + z2 / count))


def summary(correct: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Mean and 95 % interval of correctness [N], or [S, N] with the deviation over seeds as well.

    Where fewer than 5 groups hold an error, or a right answer, drawing groups again shows too little spread, none at
    all at 100 %: the interval is then Wilson's, each group counted as one draw.
    """
    values = correct.mean(axis=0) if correct.ndim == 2 else correct.astype(float)
    low, high = interval(values, groups) if _varied(values, groups) else wilson(values.mean(), len(np.unique(groups)))
    row = {"mean": float(values.mean()), "low": low, "high": high}
    if correct.ndim == 2:
        row["std"] = float(correct.mean(axis=1).std(ddof=1)) if len(correct) > 1 else 0.0
    return row


def _varied(values: np.ndarray, groups: np.ndarray) -> bool:
    wrong, right = (len(np.unique(groups[chosen])) for chosen in (values < 1, values > 0))
    return min(wrong, right) >= 5


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact p of McNemar's test on paired correctness, bool [N] each."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    trials = only_first + only_second
    tail = sum(comb(trials, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**trials)


def difference(first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Paired difference of two correctness arrays [S, N]: mean and interval over groups.

    p is McNemar's, on whether most seeds are right about a clip.
    """
    values = first.mean(axis=0) - second.mean(axis=0)
    low, high = interval(values, groups)
    p = mcnemar(first.mean(axis=0) > 0.5, second.mean(axis=0) > 0.5)
    return {"mean": float(values.mean()), "low": low, "high": high, "p": p}


def by_class(first: dict[str, np.ndarray], labels: np.ndarray, classes: np.ndarray) -> list[dict[str, object]]:
    """A row a class: clips, accuracy of each way of recognising, and what fusion gains over the keyframe."""
    rows = []
    for label in np.unique(labels):
        chosen = labels == label
        accuracy = {name: float(correct[..., chosen].mean()) for name, correct in first.items()}
        gain = accuracy["fusion"] - accuracy["keyframe"]
        rows.append({"class": str(classes[label]), "clips": int(chosen.sum()), **accuracy, "gain": gain})
    return rows


def table(metrics: dict[str, Any]) -> str:
    """The figures of metrics/eval.json as lines of text."""
    lines = [f"{metrics['clips']} test clips        top-1   95 % interval    top-5   mean class"]
    for name in WAYS:
        row = metrics["top1"][name]
        spread = f"{row['mean']:.3f}   {row['low']:.3f}-{row['high']:.3f}"
        others = f"{metrics['top5'][name]['mean']:.3f}   {metrics['mean_class'][name]['mean']:.3f}"
        lines.append(f"{name:<24}{spread}      {others}")
    gain = metrics["fusion_minus_keyframe"]
    bounds = f"{gain['low']:+.3f} to {gain['high']:+.3f}"
    p = "p < 0.0001" if gain["p"] < 0.0001 else f"p = {gain['p']:.4f}"
    lines.append(f"fusion minus keyframe   {gain['mean']:+.3f} ({bounds}), {p}")
    return "\n".join(lines)
