"""Accuracy, mean-class accuracy and macro F1, in numpy.

Correctness is bool [N], or [S, N] for S seeds. Clips that share a source form a group; they are not independent, so
intervals resample whole groups.
"""

import numpy as np

from mocliplite.evaluation.intervals import bootstrapped, mean_over_seeds


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def within_top(logits: np.ndarray, labels: np.ndarray, top: int) -> np.ndarray:
    """Whether the label is among the `top` highest logits: bool [..., N] for logits [..., N, C]."""
    label_logits = np.take_along_axis(logits, np.broadcast_to(labels, logits.shape[:-1])[..., None], axis=-1)
    # A tie counts as wrong, and so does NaN, since no comparison with NaN holds.
    not_lower = (~(logits < label_logits)).sum(axis=-1) - 1
    return not_lower < top


def mean_class(correct: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Mean of the accuracy of each class, and over seeds, with its 95 % interval."""
    accuracy = mean_over_seeds(correct)
    counts = _by_group(groups, labels, np.stack([accuracy, np.ones(len(labels))]), int(labels.max()) + 1)

    def statistic(count: np.ndarray) -> np.ndarray:
        return _mean_of_ratios(count[0], count[1])

    return bootstrapped(counts, statistic)


def macro_f1(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Mean of F1 over the classes that occur as a label or as an answer, and over seeds, with its 95 % interval."""
    guesses, classes = logits.argmax(axis=-1).reshape(-1, len(labels)), logits.shape[-1]
    ones = np.ones((1, len(labels)))
    actual = _by_group(groups, labels, ones, classes)
    seeds = [
        np.concatenate(
            [
                _by_group(groups, labels, (guess == labels)[None], classes),
                actual,
                _by_group(groups, guess, ones, classes),
            ]
        )
        for guess in guesses
    ]
    counts = np.stack(seeds, axis=1)

    def statistic(count: np.ndarray) -> np.ndarray:
        return _mean_of_ratios(2 * count[0], count[1] + count[2]).mean(axis=0)

    return bootstrapped(counts, statistic)


def _by_group(groups: np.ndarray, labels: np.ndarray, values: np.ndarray, classes: int) -> np.ndarray:
    """Sums of each row of values [V, N] by group and class: float64 [V, G, C]."""
    _, group = np.unique(groups, return_inverse=True)
    shape = (int(group.max()) + 1, classes)
    cell = np.ravel_multi_index((group, labels), shape)
    return np.stack([np.bincount(cell, row, shape[0] * shape[1]).reshape(shape) for row in values])


def _mean_of_ratios(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Mean of numerator / denominator over the last axis, without the entries with a denominator of 0."""
    present = denominator > 0
    ratios = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=present)
    return ratios.sum(axis=-1) / present.sum(axis=-1)
