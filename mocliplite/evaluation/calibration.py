"""Calibration of probabilities, in numpy. Logits are [N, C], or [S, N, C] for S seeds, which are pooled.

Labels are int64 [N], or [N, C] where a clip may have several classes, which are then independent of each other.
"""

from collections.abc import Iterator

import numpy as np

from mocliplite.evaluation.logistic import fit_logistic
from mocliplite.evaluation.metrics import softmax
from mocliplite.large_arrays import slices

BINS = 15
KEPT = 0.95  # share of the right answers that fit_threshold keeps
_PART = 8192  # rows of float64 at a time, to limit memory


def fit_scale(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return the temperature and the bias with which logits / temperature + bias have the lowest log loss.

    One temperature and one bias serve all classes. With one class per clip a bias would change nothing; it is 0.
    """
    if labels.ndim == 1:
        return fit_temperature(logits, labels), 0.0
    (weight,), bias = fit_logistic(logits[None], labels)
    return 1 / float(weight), bias


def fit_weights(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the weights [K] and the bias of the weighted sum of K methods with the lowest log loss.

    scores: [K, N, C] or [K, S, N, C], log probabilities, or logits where a clip may have several classes.
    """
    return (fit_log_weights(scores, labels), 0.0) if labels.ndim == 1 else fit_logistic(scores, labels)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature, from 0.001 to 1000, that minimises the log loss of logits / temperature.

    The labels are smoothed by one clip's worth of probability, spread evenly over the classes, as in Platt scaling.
    Without smoothing, clips that are all classified correctly would drive the temperature to 0. The loss is convex in
    1 / T, so bisection finds its minimum.
    """
    rows = logits.reshape(1, -1, logits.shape[-1])
    wanted = sum(float((target * _below_highest(values)).sum()) for (values,), target in _parts(rows, labels))
    low, high = -3.0, 3.0  # of log10(1 / T)
    for _ in range(32):  # leaves 6 / 2**32 decades
        middle = (low + high) / 2
        slope = _sum_of_expected(rows[0], 10**middle) - wanted
        low, high = (middle, high) if slope < 0 else (low, middle)
    return float(10 ** -((low + high) / 2))


def _sum_of_expected(logits: np.ndarray, factor: float) -> float:
    """Sum over the rows of logits [R, C] of their mean, minus the highest, with the probabilities softmax(factor x)."""
    total = 0.0
    for part in slices(len(logits), _PART, logits.shape[1]):
        values = _below_highest(logits[part])
        powers = np.exp(factor * values)
        total += float((np.einsum("rc,rc->r", powers, values) / powers.sum(axis=1)).sum())
    return total


def _below_highest(logits: np.ndarray) -> np.ndarray:
    """Logits [R, C] minus the highest of each row, float64."""
    return np.subtract(logits, logits.max(axis=1, keepdims=True), dtype=np.float64)


def fit_log_weights(log_probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the weights of K methods, float64 [K] from 0 to 1000, for the weighted sum of their log probabilities.

    log_probabilities: [K, N, C] or [K, S, N, C]. The weights minimise the log loss of the sum, with the labels smoothed
    as in `fit_temperature`. The loss is convex, so every minimum is the global one.
    """
    from scipy.optimize import minimize

    rows = log_probabilities.reshape(len(log_probabilities), -1, log_probabilities.shape[-1])

    def loss_and_gradient(weights: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = 0.0, np.zeros(len(rows))
        for values, target in _parts(rows, labels):
            mixed = np.tensordot(weights, values, axes=1)
            mixed -= mixed.max(axis=1, keepdims=True)
            mixed -= np.log(np.exp(mixed).sum(axis=1, keepdims=True))
            gradient += np.tensordot(values, np.exp(mixed) - target, axes=([1, 2], [0, 1]))
            loss -= float((target * mixed).sum())
        return loss / rows.shape[1], gradient / rows.shape[1]

    start = np.full(len(rows), 1 / len(rows))
    bounds = [(0, 1000)] * len(rows)
    return np.asarray(minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds).x)


def _parts(scores: np.ndarray, labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield parts of scores [K, R, C], float64, and their target probabilities, float64 [P, C].

    R is a multiple of the number of clips: the labels are repeated for each seed, and smoothed by one clip.
    """
    _, rows, classes = scores.shape
    smoothing, label = 1 / (len(labels) + 2), np.tile(labels, rows // len(labels))
    for part in slices(rows, _PART, classes):
        target = np.full((len(label[part]), classes), smoothing / classes)
        target[np.arange(len(target)), label[part]] += 1 - smoothing
        yield scores[:, part].astype(np.float64), target


def fit_threshold(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the highest threshold of confidence that keeps the share KEPT of the right answers, and what it does.

    probabilities: [N, C]. `coverage` is the share of all answers that reach `threshold`, `precision` the share of right
    answers among these. Without a right answer the threshold is 0.
    """
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    right = np.sort(confidence[correct])
    threshold = float(right[int((1 - KEPT) * len(right))]) if len(right) else 0.0
    reached = confidence >= threshold
    return {
        "threshold": threshold,
        "coverage": float(reached.mean()),
        "precision": float(correct[reached].mean()),
        "clips": len(labels),
    }


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log probability of the labels."""
    return float(log_losses(logits, labels).mean())


def log_losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log probability of each clip's label, at most -log(1e-12), or of all its classes: [N] or [S, N]."""
    if labels.ndim == 2:
        return (np.logaddexp(0, logits) - labels * logits).sum(axis=-1)
    index = np.broadcast_to(labels, logits.shape[:-1])[..., None]
    probability = np.take_along_axis(softmax(logits), index, axis=-1)[..., 0]
    return -np.log(np.maximum(probability, 1e-12))


def reliability(confidence: np.ndarray, correct: np.ndarray) -> list[dict[str, float]]:
    """Return a row for each nonempty one of BINS equal bins of confidence: answers, mean confidence and accuracy.

    confidence: probability of each answer, of any shape; correct: whether it is right, of the same shape. `bin` is the
    centre of the bin. Of calibrated probabilities, the accuracy equals the mean confidence.
    """
    confidence, correct = confidence.ravel(), correct.ravel()
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "bin": (number + 0.5) / BINS,
            "answers": int(in_bin.sum()),
            "confidence": float(confidence[in_bin].mean()),
            "accuracy": float(correct[in_bin].mean()),
        }
        for number, in_bin in ((number, bins == number) for number in range(BINS))
        if in_bin.any()
    ]


def ece(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over the bins, weighted by answers."""
    rows = reliability(confidence, correct)
    gaps = sum(row["answers"] * abs(row["confidence"] - row["accuracy"]) for row in rows)
    return gaps / sum(row["answers"] for row in rows)
