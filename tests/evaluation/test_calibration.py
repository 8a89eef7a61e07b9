import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from mocliplite.evaluation import calibration
from mocliplite.evaluation.metrics import softmax


def test_ece_equals_a_computation_by_hand():
    # Bins of 1/15. Two answers at 0.95, one correct: |0.95 - 0.5|. Three at 0.7, all correct: |0.7 - 1|.
    confidence, correct = np.array([0.95, 0.95, 0.7, 0.7, 0.7]), np.array([True, False, True, True, True])
    assert calibration.ece(confidence, correct) == pytest.approx((2 * 0.45 + 3 * 0.3) / 5)
    assert calibration.reliability(confidence, correct) == [
        {"bin": 10.5 / 15, "answers": 3, "confidence": pytest.approx(0.7), "accuracy": 1.0},
        {"bin": 14.5 / 15, "answers": 2, "confidence": pytest.approx(0.95), "accuracy": 0.5},
    ]


def test_a_confidence_of_1_is_in_the_last_bin():
    assert calibration.ece(np.array([1.0]), np.array([False])) == 1.0


def test_ece_pools_the_answers_of_all_seeds():
    assert calibration.ece(np.array([[0.9], [0.6]]), np.ones((2, 1), bool)) == pytest.approx((0.1 + 0.4) / 2)


def calibrated(clips=4000, scale=1.0, classes=5):
    """Labels drawn from known class probabilities; their logits, times scale."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(clips, classes))
    labels = (softmax(logits).cumsum(axis=1) > rng.random((clips, 1))).argmax(axis=1)
    return logits * scale, labels


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_temperature_equals_the_scale_of_calibrated_logits(scale):
    assert calibration.fit_temperature(*calibrated(scale=scale)) == pytest.approx(scale, rel=0.06)


def test_temperature_minimises_the_smoothed_log_loss():
    logits, labels = calibrated(clips=300, scale=3.0)
    target = (1 - 1 / 302) * np.eye(5)[labels] + 1 / 302 / 5

    def loss(log_t):
        return -(target * log_softmax(logits / np.exp(log_t), axis=1)).sum(axis=1).mean()

    best = np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-8}).x)
    assert calibration.fit_temperature(logits, labels) == pytest.approx(best, rel=1e-4)


def test_log_weights_minimise_the_smoothed_log_loss():
    (first, labels), rng = calibrated(400), np.random.default_rng(1)
    noise, other_noise = rng.normal(size=first.shape), rng.normal(size=first.shape)
    log_probabilities = log_softmax(np.stack([first + noise, other_noise, first / 3]), axis=2)
    smoothing = 1 / (400 + 2)
    targets = (1 - smoothing) * np.eye(5)[labels] + smoothing / 5

    def loss(weights):
        return -(targets * log_softmax(np.tensordot(weights, log_probabilities, axes=1), axis=1)).sum() / 400

    # Nelder-Mead uses neither gradients nor convexity.
    expected = minimize(lambda weights: loss(np.maximum(weights, 0)), [0.3, 0.3, 0.3], method="Nelder-Mead").fun
    weights = calibration.fit_log_weights(log_probabilities, labels)
    assert loss(weights) == pytest.approx(expected, abs=1e-5)
    assert (weights >= 0).all()


def test_log_weights_pool_the_seeds():
    first, labels = calibrated(200)
    second = np.random.default_rng(1).normal(size=first.shape)
    log_probabilities = log_softmax(np.stack([first, second]), axis=2)
    two_equal_seeds = np.stack([log_probabilities, log_probabilities], axis=1)
    expected = calibration.fit_log_weights(log_probabilities, labels)
    assert calibration.fit_log_weights(two_equal_seeds, labels) == pytest.approx(expected, rel=1e-3)


def test_smoothing_limits_the_confidence_where_all_answers_are_correct():
    labels = np.arange(20) % 4
    logits = np.eye(4)[labels] * 5
    temperature = calibration.fit_temperature(logits, labels)
    # Smoothing spreads 1 / 22 evenly over four classes, a quarter of it to the label itself.
    assert softmax(logits / temperature).max(axis=1) == pytest.approx(np.full(20, 1 - 0.75 / 22), abs=1e-4)


def test_temperature_of_constant_logits_is_finite():
    assert np.isfinite(calibration.fit_temperature(np.zeros((3, 2)), np.array([0, 1, 1])))


def test_log_loss_of_a_probability_of_0_is_finite():
    assert calibration.log_losses(np.array([[1e4, 0.0]]), np.array([1])).tolist() == [pytest.approx(-np.log(1e-12))]


def test_the_threshold_keeps_95_percent_of_the_right_answers():
    confidence = np.linspace(0.5, 1, 40)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = np.zeros(40, dtype=int)
    labels[:20:2] = 1  # ten wrong answers among the less confident half
    found = calibration.fit_threshold(probabilities, labels)
    right = confidence[labels == 0]
    assert (right >= found["threshold"]).sum() == 29  # of 30
    assert found["coverage"] == (confidence >= found["threshold"]).mean()
    assert found["precision"] == 29 / (confidence >= found["threshold"]).sum()
    assert calibration.fit_threshold(probabilities, np.ones(40, dtype=int))["threshold"] == 0


def test_fits_by_parts_are_those_of_all_rows(monkeypatch):
    first, labels = calibrated(50)
    scores = np.stack([log_softmax(np.stack([first, first / 2]), axis=2), np.zeros((2, 50, 5))])  # two seeds
    temperature, weights = calibration.fit_temperature(scores[0], labels), calibration.fit_log_weights(scores, labels)
    monkeypatch.setattr(calibration, "_PART", 7)
    assert calibration.fit_temperature(scores[0], labels) == pytest.approx(temperature)
    assert calibration.fit_log_weights(scores, labels) == pytest.approx(weights)
