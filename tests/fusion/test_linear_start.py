from dataclasses import replace

import numpy as np
import pytest
import torch
from test_heads import HEAD
from toy import pairs_of, split_of
from toy_heads import standardised

from mocliplite import large_arrays
from mocliplite.evaluation.calibration import fit_temperature, log_loss
from mocliplite.evaluation.metrics import softmax, within_top
from mocliplite.fusion import methods, ridge
from mocliplite.fusion.head_training import fit_head, fit_heads
from mocliplite.fusion.heads import Heads
from mocliplite.fusion.linear_start import PENALTY_FACTOR, LinearStart, motion_classifier, ridge_start, scores_start
from mocliplite.fusion.pairs import features
from mocliplite.fusion.probes import fit_probes
from mocliplite.fusion.shares import logits_by_streams

torch.set_num_threads(1)
STREAMS = ("keyframe", "motion")
SETTINGS = replace(HEAD, start="ridge", hidden=32, epochs=20, lr=0.01)


def splits_of(groups=10, noise=0.6):
    arrays = pairs_of(groups=groups, noise=noise)
    return split_of(arrays, "train"), split_of(arrays, "val")


def fit(train, val, **changes):
    _, alphas = fit_probes(train, val)
    return fit_head("fusion", train, val, replace(SETTINGS, **changes), torch.device("cpu"), alphas)


def test_the_start_has_the_calibrated_scores_of_a_ridge_with_a_larger_penalty():
    train, val = splits_of()
    start = ridge_start(train, val, STREAMS, {"ridge": 2.0})
    x, x_val = features(train, STREAMS), features(val, STREAMS)
    data = ridge.standardised(x, train["label"], 6)
    weight = ridge.solve(ridge.equations(data), 2.0 * PENALTY_FACTOR)
    scores = (x_val - data.mean) / data.std @ weight + data.prior
    assert x_val @ start.weight + start.bias == pytest.approx(scores / fit_temperature(scores, val["label"]), abs=1e-6)


def scores_and_parts(train, val):
    """The logits of scores_start on the validation clips, and those of the keyframe's ridge and the motion network."""
    alphas = fit_probes(train, val)[1]
    keyframe = ridge_start(train, val, ("keyframe",), alphas).logits(features(val, ("keyframe",)))
    motion = motion_classifier(train).logits(features(val, ("motion",)))
    return scores_start(train, val, alphas).logits(features(val, STREAMS)), keyframe, motion


def test_no_other_weights_of_the_streams_have_a_lower_validation_loss():
    train, val = splits_of(groups=40, noise=1.2)
    logits, keyframe, motion = scores_and_parts(train, val)
    for change in (keyframe, -keyframe, motion, -motion):
        assert log_loss(logits + 0.3 * change, val["label"]) > log_loss(logits, val["label"])


def test_a_stream_without_information_has_no_influence_on_the_start():
    train, val = splits_of(groups=40)
    rng = np.random.default_rng(0)
    for data in (train, val):
        data["motion"] = rng.normal(size=data["motion"].shape)
        data["motion_logits"] = data["motion"].mean(axis=1) @ np.ones((5, 6)) * np.arange(6)
    logits, keyframe, _ = scores_and_parts(train, val)
    assert softmax(logits) == pytest.approx(softmax(keyframe), abs=0.1)


def test_the_classifier_of_the_motion_network_is_found_from_its_logits():
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(5, 3)), rng.normal(size=3)
    embedding = rng.normal(size=(20, 2, 5)).astype(np.float32)
    embedding[:, :, 4] = 1.0  # does not vary
    logits = (embedding @ weight + bias).mean(axis=1).astype(np.float32)
    data = {"motion": embedding, "motion_logits": logits, "label": np.arange(20) % 3}
    found = motion_classifier(data)
    assert found.logits(embedding[:, 0]) == pytest.approx(embedding[:, 0] @ weight + bias, abs=1e-4)
    assert found.weight[4] == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_head_starts_as_the_linear_classifier():
    rng = np.random.default_rng(0)
    start = LinearStart(rng.normal(size=(5, 3)), rng.normal(size=3))
    mean, std = torch.linspace(-1, 1, 5), torch.linspace(0.5, 2, 5)
    heads = Heads(mean, std, hidden=4, classes=3, dropout=0.5, seeds=2, start=start)
    x = rng.normal(size=(7, 5)).astype(np.float32)
    with torch.inference_mode():
        logits = heads(standardised(heads, torch.from_numpy(x)).expand(2, -1, -1)).numpy()
    assert logits == pytest.approx(np.stack([x @ start.weight + start.bias] * 2), abs=1e-5)


@pytest.mark.parametrize("start", ["ridge", "scores"])
def test_a_head_with_a_linear_start_has_the_same_logits_without_torch_and_by_stream(start):
    train, val = splits_of()
    tensors, _, figures = fit(train, val, start=start)
    logits = methods.head_logits(tensors, "fusion", val)
    assert tensors["fusion.linear"].shape == (13, 6)
    assert within_top(logits, val["label"], 1).mean() == pytest.approx(figures["val_top1"])
    assert logits_by_streams(tensors, val)[STREAMS] == pytest.approx(logits, abs=1e-4)


def test_a_head_is_not_worse_on_validation_than_its_start():
    train, val = splits_of()
    start = ridge_start(train, val, STREAMS, fit_probes(train, val)[1])
    # Wrong labels in training: every epoch makes the head worse.
    parts = [
        ([torch.from_numpy(data[stream]) for stream in STREAMS], torch.from_numpy(labels))
        for data, labels in ((train, (train["label"] + 1) % 6), (val, val["label"]))
    ]
    _, curve, figures = fit_heads(*parts, 6, SETTINGS, "toy", start)
    scores = features(val, STREAMS) @ start.weight + start.bias
    assert figures["val_loss"] == pytest.approx(log_loss(scores, val["label"]), abs=1e-5)
    assert figures["val_loss"] < min(row["val_loss"] for row in curve)


def test_a_head_that_starts_at_random_stores_no_linear_classifier():
    train, val = splits_of()
    assert "fusion.linear" not in fit(train, val, start="random", epochs=1)[0]


def test_stored_logits_of_the_linear_classifier_are_those_of_its_product(monkeypatch):
    train, val = splits_of(groups=20)
    stored, _, _ = fit(train, val, views="plain")
    monkeypatch.setattr(Heads, "linear_logits", lambda *_: None)
    computed, _, _ = fit(train, val, views="plain")
    assert np.abs(stored["fusion.weight2"]).max() > 0
    for name, values in computed.items():
        np.testing.assert_allclose(stored[name], values, atol=1e-4)


@pytest.mark.parametrize("changes", [{"views": "all"}, {"views": "plain", "stream_dropout": 0.5}])
def test_steps_that_do_not_have_the_plain_view_compute_the_logits_of_the_linear_classifier(monkeypatch, changes):
    given = []
    forward = Heads.forward

    def spy(self, x, dropout_mask=None, linear_logits=None):
        given.append((dropout_mask is not None, linear_logits is not None))
        return forward(self, x, dropout_mask, linear_logits)

    monkeypatch.setattr(Heads, "forward", spy)
    fit(*splits_of(), epochs=1, **changes)
    assert set(given) == {(True, False), (False, True)}  # training, validation


def test_a_fit_on_arrays_in_files_is_that_on_arrays_in_memory(monkeypatch, folder):
    train, val = splits_of()
    in_memory, curve, _ = fit(train, val, views="plain")
    monkeypatch.setattr(large_arrays, "_MAPPED", 0)
    mapped = {name: large_arrays.new_array(values.shape, values.dtype) for name, values in train.items()}
    for name, values in train.items():
        mapped[name][...] = values
    in_files, curve_of_files, _ = fit(mapped, val, views="plain")
    assert isinstance(mapped["keyframe"], np.memmap)
    assert curve_of_files == curve
    for name, values in in_memory.items():
        assert np.array_equal(in_files[name], values)
