import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax

from mocliplite.evaluation import calibration
from mocliplite.evaluation.metrics import softmax


def sure(confidence, classes=2):
    """Probabilities of the first class and, evenly, of the others."""
    rest = (1 - confidence) / (classes - 1)
    return [confidence] + [rest] * (classes - 1)


def test_ece_by_hand():
    # Bins of 1/15. Two answers at 0.95 (the last bin), one right: |0.95 - 0.5|. Three at 0.7, all right: |0.7 - 1|.
    probabilities = np.array([sure(0.95), sure(0.95), sure(0.7), sure(0.7), sure(0.7)])
    labels = np.array([0, 1, 0, 0, 0])
    assert calibration.ece(probabilities, labels) == pytest.approx((2 * 0.45 + 3 * 0.3) / 5)
    assert calibration.reliability(probabilities, labels) == [
        {"bin": 10.5 / 15, "answers": 3, "confidence": pytest.approx(0.7), "accuracy": 1.0},
        {"bin": 14.5 / 15, "answers": 2, "confidence": pytest.approx(0.95), "accuracy": 0.5},
    ]


def test_certainty_has_a_bin_too():
    assert calibration.ece(np.array([[1.0, 0.0]]), np.array([1])) == 1.0


def test_seeds_are_judged_together():
    one, other = [sure(0.9)], [sure(0.6)]
    both = calibration.ece(np.array([one, other]), np.array([0]))
    assert both == pytest.approx((0.1 + 0.4) / 2)


def noisy(clips=4000, scale=1.0, classes=5):
    """Logits whose softmax is the true chance of each class, times scale; and labels drawn by it."""
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=2, size=(clips, classes))
    labels = (softmax(logits).cumsum(axis=1) > rng.random((clips, 1))).argmax(axis=1)
    return logits * scale, labels


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_temperature_undoes_a_scale(scale):
    assert calibration.fit_temperature(*noisy(scale=scale)) == pytest.approx(scale, rel=0.06)


def test_temperature_has_the_best_log_likelihood_but_for_one_clips_doubt():
    logits, labels = noisy(clips=300, scale=3.0)
    target = (1 - 1 / 302) * np.eye(5)[labels] + 1 / 302 / 5

    def loss(log_t):
        return -(target * log_softmax(logits / np.exp(log_t), axis=1)).sum(axis=1).mean()

    best = np.exp(minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-8}).x)
    assert calibration.fit_temperature(logits, labels) == pytest.approx(best, rel=1e-4)


def test_weights_have_the_best_log_likelihood_but_for_one_clips_doubt():
    (first, labels), rng = noisy(400), np.random.default_rng(1)
    logs = log_softmax(
        np.stack([first + rng.normal(size=first.shape), rng.normal(size=first.shape), first / 3]), axis=2
    )
    doubt = 1 / (400 + 2)
    targets = (1 - doubt) * np.eye(5)[labels] + doubt / 5

    def loss(weights):
        return -(targets * log_softmax(np.tensordot(weights, logs, axes=1), axis=1)).sum() / 400

    # Nelder-Mead knows neither slopes nor convexity.
    wanted = minimize(lambda tried: loss(np.maximum(tried, 0)), [0.3, 0.3, 0.3], method="Nelder-Mead").fun
    assert loss(calibration.fit_log_weights(logs, labels)) == pytest.approx(wanted, abs=1e-5)
    assert (calibration.fit_log_weights(logs, labels) >= 0).all()


def test_weights_count_seeds_together():
    first, labels = noisy(200)
    second = np.random.default_rng(1).normal(size=first.shape)
    logs = log_softmax(np.stack([first, second]), axis=2)
    seeds = np.stack([logs, logs], axis=1)
    assert calibration.fit_log_weights(seeds, labels) == pytest.approx(
        calibration.fit_log_weights(logs, labels), rel=1e-3
    )


def test_all_right_is_no_certainty():
    labels = np.arange(20) % 4
    logits = np.eye(4)[labels] * 5
    temperature = calibration.fit_temperature(logits, labels)
    # One clip in 22 in doubt, a quarter of it on the label itself.
    assert softmax(logits / temperature).max(axis=1) == pytest.approx(np.full(20, 1 - 0.75 / 22), abs=1e-4)


def test_logits_that_say_nothing_have_some_temperature():
    assert np.isfinite(calibration.fit_temperature(np.zeros((3, 2)), np.array([0, 1, 1])))


def test_loss_of_certainty_in_the_wrong_is_large_and_finite():
    assert calibration.losses(np.array([[1e4, 0.0]]), np.array([1])).tolist() == [pytest.approx(-np.log(1e-12))]
