"""Calibration of independent classes: weights and bias of the lowest binary cross-entropy."""

import numpy as np
import pytest

from mocliplite.evaluation.calibration import ece, fit_scale, fit_weights, log_losses
from mocliplite.evaluation.logistic import fit_logistic
from mocliplite.evaluation.multi_label import sigmoid


def drawn(logits, seed=0):
    """Labels of which each is 1 with the probability of its logit."""
    return (np.random.default_rng(seed).random(logits.shape) < sigmoid(logits)).astype(np.uint8)


def test_scale_and_bias_undo_another_scale_and_bias():
    logits = np.random.default_rng(1).normal(scale=2, size=(20_000, 2))
    temperature, bias = fit_scale((logits + 1) / 10, drawn(logits))
    assert (temperature, bias) == pytest.approx((0.1, -1), rel=0.1)


def test_calibrated_probabilities_have_a_small_calibration_error():
    logits = np.random.default_rng(1).normal(scale=2, size=(5_000, 3))
    labels = drawn(logits)
    temperature, bias = fit_scale(5 * logits - 3, labels)
    assert ece(sigmoid((5 * logits - 3) / temperature + bias), labels) < 0.02 < ece(sigmoid(5 * logits - 3), labels)


def test_a_method_that_says_nothing_gets_hardly_any_weight():
    rng = np.random.default_rng(2)
    logits = rng.normal(scale=2, size=(3_000, 2))
    weights, bias = fit_weights(np.stack([logits, rng.normal(size=logits.shape)]), drawn(logits))
    assert weights[0] == pytest.approx(1, abs=0.1)
    assert weights[1] < 0.1
    assert bias == pytest.approx(0, abs=0.1)


def test_perfect_scores_get_a_finite_scale():
    labels = np.array([[1, 0], [0, 1], [1, 1], [0, 0]])
    weights, bias = fit_logistic(labels[None].astype(float), labels)
    assert sigmoid(weights[0] + bias) == pytest.approx(5 / 6, abs=1e-3)
    assert sigmoid(bias) == pytest.approx(1 / 6, abs=1e-3)


def test_the_loss_of_a_clip_is_the_sum_over_its_classes():
    found = log_losses(np.array([[0.0, 0.0, 2.0]]), np.array([[1, 0, 1]]))
    np.testing.assert_allclose(found, 2 * np.log(2) + np.log1p(np.exp(-2)))
