"""Accuracy, mean-class accuracy and macro F1, in numpy.

Correctness is bool [N], or [S, N] for S seeds. Clips that share a source form a group; they are not independent, and
intervals allow for it.
"""

import numpy as np

from mocliplite.evaluation.intervals import mean_over_seeds, weighted_share


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
    shares, counts = mean_over_seeds(correct), np.bincount(labels)
    accuracies = np.bincount(labels, shares)[counts > 0] / counts[counts > 0]
    return weighted_share(float(accuracies.mean()), shares, _class_weights(labels), groups)


def macro_f1(guesses: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Mean of F1 over the classes that occur as a label or as an answer, and over seeds, with its 95 % interval.

    guesses: the predicted class of each clip, int64 [N] or [S, N]. The interval uses the variance of the mean-class
    accuracy at the same value. That of macro F1 is about the same, or smaller where a class is rare.
    """
    guesses = guesses.reshape(-1, len(labels))
    classes = int(max(guesses.max(), labels.max())) + 1
    mean = float(np.mean([_f1(guess, labels, classes) for guess in guesses]))
    return weighted_share(mean, (guesses == labels).mean(axis=0), _class_weights(labels), groups)


def _f1(guess: np.ndarray, labels: np.ndarray, classes: int) -> float:
    both = np.bincount(labels, minlength=classes) + np.bincount(guess, minlength=classes)
    return float((2 * np.bincount(labels, guess == labels, classes)[both > 0] / both[both > 0]).mean())


def _class_weights(labels: np.ndarray) -> np.ndarray:
    """Weight of each clip in the mean over the classes that occur, float64 [N], sum 1."""
    counts = np.bincount(labels)
    return 1 / (counts[labels] * np.count_nonzero(counts))
