"""Metrics of clips that may have several classes: average precision and F1 by class, in numpy.

Labels are uint8 or bool [N, C]; scores and probabilities are [N, C], or [S, N, C] for S seeds. A mean over classes is
one over the classes that have a positive clip: without one, neither figure says anything.
"""

from collections.abc import Callable

import numpy as np

from mocliplite.params import CLASS_SEPARATOR

Figure = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # class_average_precision or class_f1
DRAWS = 1000  # of groups, for an interval
THRESHOLDS = np.arange(1, 100) / 100


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probability of each class."""
    return 0.5 + 0.5 * np.tanh(logits / 2)


def class_average_precision(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the average precision of each class [B, C], for B weightings of the clips; NaN without a positive clip.

    scores: [N, C]; weights: float [B, N]. As scikit-learn's `average_precision_score` with `sample_weight`: the mean
    over the positive clips of the precision of the answers that score at least as high as the clip.
    """
    columns = zip(scores.T, labels.T != 0, strict=True)
    return np.stack([_average_precision(column, positive, weights) for column, positive in columns], axis=1)


def _average_precision(scores: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    own = weights[:, positive]
    found = _weight_above(scores, scores[positive], weights)
    found = np.maximum(found, np.finfo(weights.dtype).tiny)  # 0 only where the clip itself weighs nothing
    precision = _weight_above(scores[positive], scores[positive], own) / found
    return _ratio((own * precision).sum(axis=1), own.sum(axis=1))


def _weight_above(scores: np.ndarray, bounds: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weight [B, P] of the scores [N] that are at least as high as each bound [P]; weights: [B, N]."""
    from scipy.sparse import csr_array  # takes 0.1 s

    levels, level_of = np.unique(bounds, return_inverse=True)
    reached = np.searchsorted(levels, scores, side="right") - 1  # the highest level that a score reaches
    rows = np.flatnonzero(reached >= 0)
    ones = np.ones(len(rows), dtype=weights.dtype)
    by_level = csr_array((ones, (reached[rows], rows)), shape=(len(levels), len(scores))) @ weights.T
    return np.ascontiguousarray(np.cumsum(by_level[::-1], axis=0)[::-1][level_of].T)


def class_f1(answers: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the F1 of each class [B, C], for B weightings [B, N] of the clips; NaN without a positive clip.

    answers: bool [N, C], whether a class is predicted.
    """
    positive = labels != 0
    counted, both, either = (weights @ part for part in (positive, positive & answers, positive * 1 + answers))
    return np.where(counted > 0, _ratio(2 * both, either), np.nan)


def mean_average_precision(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of the average precision, and over seeds."""
    return float(over_seeds(class_average_precision, scores, labels, _equal(labels)).mean())


def macro_f1(probabilities: np.ndarray, labels: np.ndarray, threshold: float) -> float:
    """Mean over classes of F1, and over seeds, where probabilities of at least `threshold` are answers."""
    return float(over_seeds(class_f1, probabilities >= threshold, labels, _equal(labels)).mean())


def best_threshold(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Return the one of THRESHOLDS, the same for all classes, with the highest macro F1; of several, the middle one."""
    seeds = probabilities.reshape(-1, *labels.shape)
    figures = np.mean([np.nanmean(_f1_by_threshold(seed, labels != 0), axis=0) for seed in seeds], axis=0)
    best = THRESHOLDS[figures == figures.max()]
    return float(best[len(best) // 2])


def _f1_by_threshold(probabilities: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """F1 float64 [C, T] of each class at each of THRESHOLDS, NaN without a positive clip."""
    shape = positive.shape[1], len(THRESHOLDS) + 1
    reached = np.searchsorted(THRESHOLDS, probabilities, side="right")  # number of thresholds that are not higher
    cell = (reached + shape[1] * np.arange(shape[0])).ravel()
    answers, correct = (
        np.bincount(cell, part, shape[0] * shape[1]).reshape(shape) for part in (None, positive.ravel())
    )
    answers, correct = (np.cumsum(part[:, ::-1], axis=1)[:, -2::-1] for part in (answers, correct))
    counted = positive.sum(axis=0)[:, None]
    return np.where(counted > 0, 2 * correct / np.maximum(answers + counted, 1), np.nan)


def resampled(groups: np.ndarray) -> np.ndarray:
    """Return the weights of the clips in DRAWS resampled data sets, float32 [1 + DRAWS, N]; the first has them as is.

    They are whole numbers, so that their sums are exact. The weights of a clip are next to each other in memory.

    A draw takes as many groups as there are, with replacement (bootstrap): the clips of a group are not independent.
    The draws have a fixed seed, so that all methods are compared on the same ones.
    """
    _, group = np.unique(groups, return_inverse=True)
    count = group.max() + 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    weights = np.ones((len(groups), 1 + DRAWS), dtype=np.float32)
    weights[:, 1:] = drawn.T.astype(np.float32)[group]
    return weights.T


def over_seeds(figure: Figure, values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of a figure over classes, [S, B], for each seed of values [N, C] or [S, N, C]."""
    seeds = values.reshape(-1, *labels.shape)
    return np.stack([_mean_over_classes(figure(seed, labels, weights)) for seed in seeds])


def _mean_over_classes(figures: np.ndarray) -> np.ndarray:
    """Mean [B] of figures [B, C] that are not NaN; NaN where all are."""
    counted = np.isfinite(figures)
    return _ratio(np.where(counted, figures, 0).sum(axis=1), counted.sum(axis=1))


def summary(figures: np.ndarray, groups: np.ndarray, lowest: float = 0.0) -> dict[str, float]:
    """Return mean and 95 % interval of [S, 1 + DRAWS] figures, from over_seeds with the weights of `resampled`.

    The interval is 1.96 standard deviations of the draws to both sides of the mean; a draw without a positive clip of
    any class is left out. Their quantiles would be too high: a draw has clips twice, which raises the average
    precision. With several seeds also `std`, the standard deviation over seeds. From a single group nothing is known
    about others, so the interval is then `lowest` to 1.
    """
    mean, low, high = float(figures[:, 0].mean()), lowest, 1.0
    if len(np.unique(groups)) > 1:
        error = 1.96 * float(np.nanstd(figures[:, 1:].mean(axis=0), ddof=1))
        low, high = max(mean - error, lowest), min(mean + error, 1.0)
    row = {"mean": mean, "low": low, "high": high}
    return row | {"std": float(figures[:, 0].std(ddof=1))} if len(figures) > 1 else row


def joined_names(labels: np.ndarray, classes: np.ndarray) -> list[str]:
    """Return the names of the classes of each clip, separated as in the list of the clips."""
    return [CLASS_SEPARATOR.join(classes[row != 0].tolist()) for row in labels]


def _equal(labels: np.ndarray) -> np.ndarray:
    return np.ones((1, len(labels)), dtype=np.float32)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
