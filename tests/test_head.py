import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from mocliplite import head, mlp


def heads_of(seeds=2, inputs=5, hidden=3, classes=2):
    """Heads as they start, and their tensors as models/head keeps them under the name "fusion"."""
    mean, std = torch.linspace(-1, 1, inputs), torch.linspace(0.5, 2, inputs)
    heads = mlp.Heads(mean, std, hidden, classes, dropout=0.5, seeds=seeds)
    return heads, {f"fusion.{key}": value.numpy() for key, value in heads.state_dict().items()}


def known(labels, classes, strength):
    """Logits of somebody who is always right, and the surer the greater the strength."""
    return np.eye(classes)[labels] * strength


def noise(labels, classes):
    return np.random.default_rng(1).normal(scale=4, size=(len(labels), classes))


LABELS = np.arange(60) % 4
VAL = np.arange(60) < 30


def test_numpy_computes_what_torch_fitted():
    heads, tensors = heads_of(seeds=3)
    features = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    with torch.inference_mode():
        wanted = heads(torch.from_numpy(features).expand(3, -1, -1)).numpy()
    out = head.head_logits(tensors, "fusion", features)
    assert out.shape == (3, 7, 2)
    assert out.dtype == np.float32
    assert out == pytest.approx(wanted, abs=1e-5)


def test_head_standardises_then_multiplies_clips_and_multiplies():
    tensors = {"a.mean": [1.0, 2.0], "a.std": [2.0, 1.0], "a.weight1": [[[1.0, -1.0], [1.0, 0.0]]]}
    tensors |= {"a.bias1": [[[0.5, 0.5]]], "a.weight2": [[[2.0], [10.0]]], "a.bias2": [[[0.25]]], "b.mean": [9.0, 9.0]}
    # (5 - 1) / 2 = 2 and (3 - 2) / 1 = 1; hidden 2 + 1 + 0.5 = 3.5 and -2 + 0.5, cut to 0; 3.5 x 2 + 0.25.
    out = head.head_logits({key: np.array(value) for key, value in tensors.items()}, "a", np.array([[5.0, 3.0]]))
    assert out.tolist() == [[[7.25]]]


def test_fusion_puts_the_keyframe_before_the_motion():
    assert head.fuse(np.array([[1.0, 2.0]]), np.array([[3.0]])).tolist() == [[1.0, 2.0, 3.0]]


def test_zero_shot_is_the_scaled_cosine():
    prompts = np.array([[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]])
    out = head.zero_shot_logits(np.array([[3.0, 4.0], [0.0, 0.5]]), prompts, scale=10.0)
    assert out == pytest.approx(np.array([[6.0, 8.0, 2.8], [0.0, 10.0, 8.0]]))


def test_zero_shot_of_an_empty_embedding_prefers_no_class():
    assert head.zero_shot_logits(np.zeros((1, 2)), np.eye(2), scale=100.0).tolist() == [[0.0, 0.0]]


def test_clips_are_judged_by_their_plain_view_alone():
    _, tensors = heads_of()
    tensors |= {key.replace("fusion", "keyframe"): value for key, value in heads_of(inputs=2)[1].items()}
    rng = np.random.default_rng(0)
    data = {"keyframe": rng.normal(size=(4, 2)), "prompts": np.eye(2), "logit_scale": np.array(50.0)}
    data |= {"motion": rng.normal(size=(4, 2, 3)), "motion_logits": rng.normal(size=(4, 2))}
    out = head.all_logits(tensors, data)
    other = head.all_logits(tensors, data | {"motion": data["motion"] + [[[0], [5]]]})
    assert list(out) == ["zero_shot", "keyframe", "motion", "fusion"]
    assert {name: values.shape for name, values in out.items()}["fusion"] == (2, 4, 2)
    assert all(np.array_equal(out[name], other[name]) for name in out)


# Fusion of scores


def test_noisy_motion_gets_no_weight():
    keyframe = known(LABELS, 4, strength=3.0)[None]
    assert head.score_fusion(keyframe, noise(LABELS, 4), LABELS, VAL)[1] == 1.0


def test_noisy_keyframes_get_no_weight():
    motion = known(LABELS, 4, strength=3.0)
    assert head.score_fusion(noise(LABELS, 4)[None], motion, LABELS, VAL)[1] == 0.0


def half_noise():
    """Keyframe and motion that err on different clips."""
    return known(LABELS, 4, 6.0) + noise(LABELS, 4), known(LABELS, 4, 6.0) + noise(LABELS, 4)[::-1]


def test_two_that_err_on_different_clips_are_better_together():
    keyframe, motion = half_noise()
    fused, weight = head.score_fusion(keyframe[None], motion, LABELS, VAL)
    top1 = [(logits.argmax(axis=-1) == LABELS)[VAL].mean() for logits in (keyframe, motion, fused[0])]
    assert 0.2 < weight < 0.8
    assert top1[2] > max(top1[:2])


def test_fused_scores_are_the_weighted_log_probabilities():
    keyframe, motion = half_noise()
    fused, weight = head.score_fusion(keyframe[None], motion, LABELS, VAL)
    wanted = weight * log_softmax(keyframe, axis=1) + (1 - weight) * log_softmax(motion, axis=1)
    assert fused[0] == pytest.approx(wanted, rel=1e-3)


def test_one_weight_serves_all_seeds():
    good, bad = known(LABELS, 4, strength=9.0), -known(LABELS, 4, strength=9.0)
    fused, weight = head.score_fusion(np.stack([good, bad]), known(LABELS, 4, strength=1.0), LABELS, VAL)
    assert fused.shape == (2, 60, 4)
    assert weight == 0.0


def test_weight_is_chosen_without_the_test_clips():
    keyframe, motion = known(LABELS, 4, strength=3.0)[None], noise(LABELS, 4)
    fused, weight = head.score_fusion(keyframe, motion, LABELS, VAL)
    spoilt = np.where(VAL, LABELS, (LABELS + 1) % 4)
    # Of the test clips the keyframe is now always wrong, and motion always right.
    motion = np.where(VAL[:, None], motion, known(spoilt, 4, strength=9.0))
    again, same = head.score_fusion(keyframe, motion, spoilt, VAL)
    assert (weight, same) == (1.0, 1.0)
    assert np.array_equal(again[:, VAL], fused[:, VAL])


# Cost


def test_cost_counts_one_head_and_every_keyframe():
    _, tensors = heads_of(seeds=4, inputs=5, hidden=3, classes=2)
    features = {
        "keyframes": {"cost": {"parameters": 1000, "macs": 7000}, "frames": 3},
        "motion_embeddings": {"cost": {"parameters": 20, "macs": 300}},
    }
    assert head.cost(tensors, features) == {
        "clip": {"parameters": 1000, "macs": 21000},
        "motion": {"parameters": 20, "macs": 300},
        # 5 x 3 weights, 3 biases, 3 x 2 weights, 2 biases.
        "head": {"parameters": 26, "macs": 21},
        "total": {"parameters": 1046, "macs": 21321},
    }
