"""The linear classifier from which a head starts: strongly penalised ridge regressions, as logits."""

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
    weight = ridge.solve(data, ridge.gram(data), alpha) / data.std[:, None]
    start = LinearStart(weight, data.prior - data.mean @ weight)
    temperature, shift = fit_scale(start.logits(features(val, streams)), val["label"])
    return LinearStart(start.weight / temperature, start.bias / temperature + shift)


def scores_start(
    train: Arrays, val: Arrays, streams: tuple[str, ...], alphas: Mapping[str, float], balanced: bool = False
) -> LinearStart:
    """Fit a ridge_start on each stream alone, and add their logits times the weights with the lowest log loss on val.

    The parameters are those of `ridge_start`. The sum is linear in the concatenated features, and gives the same
    probabilities as a sum of log probabilities. A stream that says nothing gets a weight near 0.
    """
    parts = [ridge_start(train, val, (stream,), alphas, balanced) for stream in streams]
    logits = [part.logits(features(val, (stream,))) for part, stream in zip(parts, streams, strict=True)]
    weights, shift = fit_weights(np.stack(logits), val["label"])
    weight = np.concatenate([factor * part.weight for factor, part in zip(weights, parts, strict=True)])
    bias = sum(factor * part.bias for factor, part in zip(weights, parts, strict=True))
    return LinearStart(weight, bias + shift)
