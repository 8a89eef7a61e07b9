"""The linear classifier from which a head starts: a strongly penalised ridge regression, as logits."""

from typing import NamedTuple

import numpy as np

from mocliplite.evaluation.calibration import fit_temperature
from mocliplite.fusion import ridge
from mocliplite.fusion.pairs import Arrays, class_weights, features

# Times the penalty that is best on validation. With more features than train clips, the best ridge alone may fit the
# train labels exactly, which would leave nothing for the hidden layer to learn.
PENALTY_FACTOR = 10.0


class LinearStart(NamedTuple):
    """Logits x @ weight + bias of features x float32 [N, D]: weight float64 [D, C], bias float64 [C]."""

    weight: np.ndarray
    bias: np.ndarray


def fit_linear_start(
    train: Arrays, val: Arrays, streams: tuple[str, ...], alpha: float, balanced: bool = False
) -> LinearStart:
    """Fit a ridge with PENALTY_FACTOR times the penalty alpha, and scale its scores by a temperature fitted on val.

    train and val: the arrays of pairs.h5; alpha: the penalty of the probe on these streams; balanced: whether classes
    have equal weight.
    """
    x, labels, classes = features(train, streams), train["label"], len(train["classes"])
    weights = class_weights(labels, classes)[labels] if balanced else None
    data = ridge.standardised(x, labels, classes, weights)
    weight = ridge.solve(data, ridge.gram(data), PENALTY_FACTOR * alpha) / data.std[:, None]
    bias = data.prior - data.mean @ weight
    temperature = fit_temperature(features(val, streams) @ weight + bias, val["label"])
    return LinearStart(weight / temperature, bias / temperature)
