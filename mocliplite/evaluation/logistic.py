"""Calibration of classes that are independent of each other: logistic regression on the scores of methods."""

import numpy as np

from mocliplite.evaluation.multi_label import sigmoid

_WEIGHTS, _BIAS = (0.001, 1000.0), (-1000.0, 1000.0)  # bounds


def fit_logistic(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the weights of K methods, float64 [K] from 0.001 to 1000, and the bias of the weighted sum of scores.

    scores: [K, N, C], or [K, S, N, C] for S seeds, which are pooled; labels: [N, C]. They minimise the mean binary
    cross-entropy over clips and classes of the sum as logits. The labels are smoothed as in Platt (1999), so that
    scores that separate them perfectly get finite weights. The loss is convex, so every minimum is the global one.
    """
    from scipy.optimize import minimize

    values = scores.reshape(len(scores), -1).astype(np.float64)
    target = np.broadcast_to(_smoothed(labels), scores.shape[1:]).ravel()

    def loss_and_gradient(given: np.ndarray) -> tuple[float, np.ndarray]:
        logits = given[:-1] @ values + given[-1]
        slope = (sigmoid(logits) - target) / len(target)
        loss = float((np.logaddexp(0, logits) - target * logits).mean())
        return loss, np.append(values @ slope, slope.sum())

    start = np.append(np.full(len(values), 1 / len(values)), 0.0)
    bounds = [_WEIGHTS] * len(values) + [_BIAS]
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return np.asarray(found[:-1]), float(found[-1])


def _smoothed(labels: np.ndarray) -> np.ndarray:
    positives = int(np.count_nonzero(labels))
    negatives = labels.size - positives
    return np.where(labels != 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
