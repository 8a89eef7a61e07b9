"""Accuracy, intervals and paired tests, in numpy.

Correctness is passed around as bool [N] or [S, N] (S seeds); groups are the clips that share a source, resampled
together, since they are not independent.
"""

import numpy as np

from mocliplite.evaluation.intervals import bootstrapped, mean_over_seeds


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def within_top(logits: np.ndarray, labels: np.ndarray, top: int) -> np.ndarray:
    """Whether the label is among the `top` highest logits: bool [..., N] for logits [..., N, C]."""
    own = np.take_along_axis(logits, np.broadcast_to(labels, logits.shape[:-1])[..., None], axis=-1)
    # Ties count against the label, and so does what is no number: NaN is not below anything.
    rivals = (~(logits < own)).sum(axis=-1) - 1
    return rivals < top


def mean_class(correct: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Mean over classes of the accuracy within each, and over seeds; with its interval."""
    right = mean_over_seeds(correct)
    counts = _by_group(groups, labels, np.stack([right, np.ones(len(labels))]), int(labels.max()) + 1)

    def statistic(count: np.ndarray) -> np.ndarray:
        return _mean_over_present(count[0], count[1], count[1])

    return bootstrapped(counts, statistic)


def macro_f1(logits: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Mean of the classes' F1, over the classes that occur or are answered, and over seeds; with its interval."""
    guesses, classes = logits.argmax(axis=-1).reshape(-1, len(labels)), logits.shape[-1]
    ones = np.ones((1, len(labels)))
    known = _by_group(groups, labels, ones, classes)
    seeds = [
        np.concatenate(
            [
                _by_group(groups, labels, (guess == labels)[None], classes),
                known,
                _by_group(groups, guess, ones, classes),
            ]
        )
        for guess in guesses
    ]
    counts = np.stack(seeds, axis=1)

    def statistic(count: np.ndarray) -> np.ndarray:
        both = count[1] + count[2]
        return _mean_over_present(2 * count[0], both, both).mean(axis=0)

    return bootstrapped(counts, statistic)


def _by_group(groups: np.ndarray, labels: np.ndarray, values: np.ndarray, classes: int) -> np.ndarray:
    """Sums of each row of values [V, N] by group and class: float64 [V, G, C]."""
    _, member = np.unique(groups, return_inverse=True)
    shape = (int(member.max()) + 1, classes)
    place = np.ravel_multi_index((member, labels), shape)
    return np.stack([np.bincount(place, row, shape[0] * shape[1]).reshape(shape) for row in values])


def _mean_over_present(above: np.ndarray, below: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Mean over the last axis of above / below, where present is not 0."""
    shares = np.divide(above, below, out=np.zeros_like(above), where=present > 0)
    return shares.sum(axis=-1) / (present > 0).sum(axis=-1)
