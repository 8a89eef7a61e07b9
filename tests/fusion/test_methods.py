import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from toy_heads import heads_of, standardised, toy_models

from mocliplite.fusion import methods
from mocliplite.fusion.probes import PROBES

LABELS = np.arange(60) % 4


def correct_logits(labels, classes, strength):
    """Logits of a method with 100 % accuracy; the confidence rises with the strength."""
    return np.eye(classes)[labels] * strength


def noise(labels, classes):
    return np.random.default_rng(1).normal(scale=4, size=(len(labels), classes))


# Logits


def test_head_logits_equal_those_of_the_torch_module():
    heads, tensors = heads_of(seeds=3)
    features = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    with torch.inference_mode():
        expected = heads(standardised(heads, torch.from_numpy(features)).expand(3, -1, -1)).numpy()
    data = {"keyframe": features[:, None, :2], "motion": features[:, None, 2:]}
    logits = methods.head_logits(tensors, "fusion", data)
    assert logits.shape == (3, 7, 2)
    assert logits.dtype == np.float32
    assert logits == pytest.approx(expected, abs=1e-5)


def test_head_logits_equal_a_computation_by_hand():
    head = {"mean": [1.0, 2.0], "std": [2.0, 1.0], "weight1": [[[1.0, -1.0], [1.0, 0.0]]]}
    head |= {"bias1": [[[0.5, 0.5]]], "weight2": [[[2.0], [10.0]]], "bias2": [[[0.25]]]}
    tensors = {f"keyframe.{key}": np.array(value) for key, value in head.items()} | {"fusion.mean": np.array([9.0])}
    # Standardised: (5 - 1) / 2 = 2 and (3 - 2) / 1 = 1. Hidden: 2 + 1 + 0.5 = 3.5, and ReLU(-2 + 0.5) = 0.
    # Logit: 3.5 x 2 + 0.25.
    logits = methods.head_logits(tensors, "keyframe", {"keyframe": np.array([[[5.0, 3.0]]])})
    assert logits.tolist() == [[[7.25]]]


def test_zero_shot_logits_are_scaled_cosines():
    prompts = np.array([[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]])
    logits = methods.zero_shot_logits(np.array([[3.0, 4.0], [0.0, 0.5]]), prompts, scale=10.0)
    assert logits == pytest.approx(np.array([[6.0, 8.0, 2.8], [0.0, 10.0, 8.0]]))


def test_zero_shot_logits_of_a_zero_embedding_are_0():
    assert methods.zero_shot_logits(np.zeros((1, 2)), np.eye(2), scale=100.0).tolist() == [[0.0, 0.0]]


def test_all_logits_use_only_the_plain_view():
    tensors, probes, data = toy_models()
    logits = methods.all_logits(tensors, probes, data)
    other_views = {name: data[name] + [[[0], [5]]] for name in ("keyframe", "motion")}
    same = methods.all_logits(tensors, probes, data | other_views)
    assert set(logits) == {"zero_shot", "keyframe", "motion", "fusion", *PROBES}
    assert logits["fusion"].shape == (2, 8, 2)
    assert {name for name in logits if np.array_equal(logits[name], same[name])} == set(logits)


# Calibration and mixtures


def two_noisy_streams():
    """Logits of keyframe and motion that are wrong on different clips."""
    correct = correct_logits(LABELS, 4, 6.0)
    return correct + noise(LABELS, 4), correct + noise(LABELS, 4)[::-1]


def fit(keyframe, motion):
    """Logits of all methods, and their calibration, where fusion and the probes are uninformative."""
    logits = {"keyframe": keyframe[None], "motion": motion, "fusion": np.zeros((1, 60, 4))}
    logits |= {name: np.zeros((60, 4)) for name in PROBES}
    return logits, methods.fit_calibration(logits, LABELS)


@pytest.mark.parametrize("informative", ["keyframe", "motion"])
def test_score_fusion_ignores_a_stream_of_noise(informative):
    streams = {"keyframe": noise(LABELS, 4), "motion": noise(LABELS, 4)[::-1]}
    streams[informative] = correct_logits(LABELS, 4, strength=3.0)
    logits, calibration = fit(**streams)
    probabilities = {name: softmax(values, axis=-1) for name, values in methods.calibrate(logits, calibration).items()}
    assert calibration["best_single"] == informative
    assert probabilities["score_fusion"][0] == pytest.approx(probabilities[informative].reshape(60, 4), abs=0.02)


def test_score_fusion_of_streams_with_different_errors_is_better_than_each():
    logits, calibration = fit(*two_noisy_streams())
    calibrated = methods.calibrate(logits, calibration)
    top1 = {name: (values.argmax(axis=-1) == LABELS).mean() for name, values in calibrated.items()}
    assert 0.2 < calibration["weights"]["score_fusion"][0] < 0.8
    assert top1["score_fusion"] > max(top1["keyframe"], top1["motion"])


def test_mixing_weights_sum_to_1():
    _, calibration = fit(*two_noisy_streams())
    assert sum(calibration["weights"]["score_fusion"]) == pytest.approx(1)
    assert sum(calibration["weights"]["blend"]) == pytest.approx(1)
    assert len(calibration["weights"]["blend"]) == 3


def test_a_mixture_is_the_weighted_sum_of_log_probabilities():
    keyframe, motion = two_noisy_streams()
    expected = 0.3 * log_softmax(keyframe, axis=1) + 0.7 * log_softmax(motion, axis=1)
    assert methods.mix([keyframe[None], motion], [0.3, 0.7])[0] == pytest.approx(expected, rel=1e-3)


def test_the_mean_confidence_after_calibration_is_the_accuracy():
    # 80 % accuracy with nearly full confidence.
    keyframe = correct_logits(np.where(np.arange(60) % 5 == 0, (LABELS + 1) % 4, LABELS), 4, strength=30.0)
    logits, calibration = fit(keyframe, noise(LABELS, 4))
    confidence = softmax(methods.calibrate(logits, calibration)["keyframe"][0], axis=1).max(axis=1).mean()
    assert confidence == pytest.approx(0.8, abs=0.02)
