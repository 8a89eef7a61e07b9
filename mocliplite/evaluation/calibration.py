"""How far probabilities can be believed, in numpy. Logits are [N, C], or [S, N, C] for S seeds, judged together."""

import numpy as np

from mocliplite.evaluation.metrics import softmax

BINS = 15


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The number that logits are divided by for the best log likelihood on these clips.

    As in Platt's scaling, one clip's worth of doubt is shared out among all classes: else clips that are all answered
    rightly would ask for certainty. Found by bisection, since the loss is convex in 1 / T; between 0.001 and 1000.
    """
    values = logits.reshape(-1, logits.shape[-1]).astype(np.float64)
    target = _targets(labels, *values.shape)
    low, high = -3.0, 3.0  # of log10(1 / T)
    for _ in range(32):  # each halves six decades: a billionth of one is left
        middle = (low + high) / 2
        slope = ((softmax(values * 10**middle) - target) * values).sum(axis=1).mean()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return float(10 ** -((low + high) / 2))


def fit_log_weights(logs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What each of K ways is multiplied by, float64 [K] from 0 to 1000, before they are added as logits.

    logs: log probabilities [K, N, C] or [K, S, N, C]. The best log likelihood on these clips, with the doubt of
    `fit_temperature`; the loss is convex, so the minimum found is the only one.
    """
    from scipy.optimize import minimize

    values = logs.reshape(len(logs), -1, logs.shape[-1]).astype(np.float64)
    target = _targets(labels, *values.shape[1:])

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = np.tensordot(weights, values, axes=1)
        mixed -= mixed.max(axis=1, keepdims=True)
        mixed -= np.log(np.exp(mixed).sum(axis=1, keepdims=True))
        slope = np.tensordot(values, np.exp(mixed) - target, axes=([1, 2], [0, 1])) / len(target)
        return float(-(target * mixed).sum() / len(target)), slope

    start = np.full(len(values), 1 / len(values))
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, 1000)] * len(values)).x)


def _targets(labels: np.ndarray, rows: int, classes: int) -> np.ndarray:
    """float64 [rows, classes]: the labels, once for each seed, with one clip's worth of doubt shared out."""
    doubt = 1 / (len(labels) + 2)
    return (1 - doubt) * np.eye(classes)[np.tile(labels, rows // len(labels))] + doubt / classes


def log_loss(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log probability of the labels."""
    return float(losses(logits, labels).mean())


def losses(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Negative log probability of each clip's label: [N] or [S, N]."""
    own = np.take_along_axis(softmax(logits), np.broadcast_to(labels, logits.shape[:-1])[..., None], axis=-1)
    return -np.log(np.maximum(own[..., 0], 1e-12))


def reliability(probabilities: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """A row for each of BINS equal spans of confidence that holds an answer: answers, mean confidence, accuracy.

    `bin` is the span's middle, where the accuracy should be.
    """
    sure, right = probabilities.max(axis=-1).ravel(), (probabilities.argmax(axis=-1) == labels).ravel()
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return [
        {
            "bin": (number + 0.5) / BINS,
            "answers": int(own.sum()),
            "confidence": float(sure[own].mean()),
            "accuracy": float(right[own].mean()),
        }
        for number, own in ((number, bins == number) for number in range(BINS))
        if own.any()
    ]


def ece(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error: mean distance of confidence from accuracy, over the answers of each bin."""
    rows = reliability(probabilities, labels)
    gaps = sum(row["answers"] * abs(row["confidence"] - row["accuracy"]) for row in rows)
    return gaps / sum(row["answers"] for row in rows)
