"""The linear classifier from which a head starts, as logits."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mocliplite.evaluation.calibration import fit_scale, fit_weights
from mocliplite.fusion import ridge
from mocliplite.fusion.pairs import Arrays, class_weights, features
from mocliplite.fusion.probes import PROBES

# Times the penalty that is best on validation. With more features than train clips, the best ridge alone may fit the
# train labels exactly, which would leave nothing for the hidden layer to learn.
PENALTY_FACTOR = 10.0
SMALL_PENALTY = 1e-4  # far below the variance of a feature times the number of clips, far above rounding errors
PROBE_ON = {streams: name for name, streams in PROBES.items()}


class LinearStart(NamedTuple):
    """Logits x @ weight + bias of features x float32 [N, D]: weight float64 [D, C], bias float64 [C]."""

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Logits float64 [N, C] of features x float32 [N, D]."""
        return x @ self.weight + self.bias


def ridge_start(
    train: Arrays, val: Arrays, streams: tuple[str, ...], alphas: Mapping[str, float], balanced: bool = False
) -> LinearStart:
    """Fit a ridge with PENALTY_FACTOR times the penalty of the probe, and divide its scores by a temperature.

    train and val: the arrays of pairs.h5; val chooses the temperature. alphas: the penalty of each probe, the result of
    fit_probes. balanced: whether classes have equal weight.
    """
    x, labels, classes = features(train, streams), train["label"], len(train["classes"])
    weights = class_weights(labels, classes)[labels] if balanced else None
    data = ridge.standardised(x, labels, classes, weights)
    alpha = PENALTY_FACTOR * alphas[PROBE_ON[streams]]
    weight = ridge.solve(ridge.equations(data), alpha) / data.std[:, None]
    start = LinearStart(weight, data.prior - data.mean @ weight)
    temperature, shift = fit_scale(start.logits(features(val, streams)), val["label"])
    return LinearStart(start.weight / temperature, start.bias / temperature + shift)


def scores_start(train: Arrays, val: Arrays, alphas: Mapping[str, float], balanced: bool = False) -> LinearStart:
    """Add the logits of a ridge on the keyframe and those of the motion network, with the best weights on val.

    The parameters are those of `ridge_start`; the features are the keyframe and the motion, concatenated. The weights
    have the lowest log loss, so a stream that says nothing gets a weight near 0. Their scale is that of calibrated
    logits, and the probabilities are those of a weighted sum of log probabilities.
    """
    keyframe, motion = ridge_start(train, val, ("keyframe",), alphas, balanced), motion_classifier(train)
    logits = [keyframe.logits(features(val, ("keyframe",))), motion.logits(features(val, ("motion",)))]
    (first, second), shift = fit_weights(np.stack(logits), val["label"])
    weight = np.concatenate([first * keyframe.weight, second * motion.weight])
    return LinearStart(weight, first * keyframe.bias + second * motion.bias + shift)


def motion_classifier(train: Arrays) -> LinearStart:
    """Return the classifier of the motion network, on its embedding.

    Its logits are the mean over views of a linear function of the embedding, so least squares on the train clips find
    this function. A small penalty leaves out the directions in which the train clips do not vary.
    """
    logits = train["motion_logits"]
    data = ridge.standardised(train["motion"].mean(axis=1), logits, logits.shape[1])
    weight = ridge.solve(ridge.equations(data), SMALL_PENALTY) / data.std[:, None]
    return LinearStart(weight, data.prior - data.mean @ weight)
