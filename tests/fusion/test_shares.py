import numpy as np
import pytest
from toy_heads import toy_models

from mocliplite.fusion import methods
from mocliplite.fusion.shares import logits_by_streams, stream_shares


def test_a_missing_stream_is_set_to_the_mean_of_the_train_clips():
    tensors, probes, data = toy_models()
    at_mean = data | {"motion": np.broadcast_to(tensors["fusion.mean"][2:], (8, 1, 3))}
    expected = methods.all_logits(tensors, probes, at_mean)["fusion"]
    logits = logits_by_streams(tensors, data)
    assert logits["keyframe",] == pytest.approx(expected, abs=1e-5)
    assert logits["keyframe", "motion"] == pytest.approx(methods.all_logits(tensors, probes, data)["fusion"], abs=1e-5)


def test_shares_sum_to_the_logit_minus_that_of_the_mean_clip():
    tensors, probes, data = toy_models()
    guess = np.arange(8) % 2
    share = stream_shares(logits_by_streams(tensors, data), guess)
    logit = methods.all_logits(tensors, probes, data)["fusion"].mean(axis=0)[np.arange(8), guess]
    at_mean = {"keyframe": tensors["fusion.mean"][None, None, :2], "motion": tensors["fusion.mean"][None, None, 2:]}
    mean_clip = methods.head_logits(tensors, "fusion", at_mean).mean(axis=0)[0, guess]
    assert share["keyframe"] + share["motion"] == pytest.approx(logit - mean_clip, abs=1e-5)


def test_a_stream_without_weight_has_no_share():
    tensors, _, data = toy_models()
    tensors["fusion.weight1"] = tensors["fusion.weight1"].copy()
    tensors["fusion.weight1"][:, 2:] = 0
    share = stream_shares(logits_by_streams(tensors, data), np.zeros(8, dtype=int))
    assert share["motion"] == pytest.approx(np.zeros(8), abs=1e-6)
    assert np.abs(share["keyframe"]).max() > 0.01
