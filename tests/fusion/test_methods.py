import numpy as np
import pytest
import torch
from builders import sentence_of
from scipy.special import log_softmax, softmax

from mocliplite.fusion import methods
from mocliplite.fusion.cost import cost
from mocliplite.fusion.heads import Heads
from mocliplite.fusion.pairs import check_features, features, select_split
from mocliplite.fusion.probes import PROBES
from mocliplite.fusion.shares import logits_by_streams, stream_shares


def heads_of(seeds=2, inputs=5, hidden=3, classes=2):
    """Heads as they start, and their tensors as models/head keeps them under the name "fusion"."""
    mean, std = torch.linspace(-1, 1, inputs), torch.linspace(0.5, 2, inputs)
    heads = Heads(mean, std, hidden, classes, dropout=0.5, seeds=seeds)
    return heads, {f"fusion.{key}": value.numpy() for key, value in heads.state_dict().items()}


def known(labels, classes, strength):
    """Logits of somebody who is always right, and the surer the greater the strength."""
    return np.eye(classes)[labels] * strength


def noise(labels, classes):
    return np.random.default_rng(1).normal(scale=4, size=(len(labels), classes))


LABELS = np.arange(60) % 4


def test_numpy_computes_what_torch_fitted():
    heads, tensors = heads_of(seeds=3)
    features = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    with torch.inference_mode():
        wanted = heads(heads.standardise(torch.from_numpy(features)).expand(3, -1, -1)).numpy()
    out = methods.head_logits(tensors, "fusion", features)
    assert out.shape == (3, 7, 2)
    assert out.dtype == np.float32
    assert out == pytest.approx(wanted, abs=1e-5)


def test_head_standardises_then_multiplies_clips_and_multiplies():
    tensors = {"a.mean": [1.0, 2.0], "a.std": [2.0, 1.0], "a.weight1": [[[1.0, -1.0], [1.0, 0.0]]]}
    tensors |= {"a.bias1": [[[0.5, 0.5]]], "a.weight2": [[[2.0], [10.0]]], "a.bias2": [[[0.25]]], "b.mean": [9.0, 9.0]}
    # (5 - 1) / 2 = 2 and (3 - 2) / 1 = 1; hidden 2 + 1 + 0.5 = 3.5 and -2 + 0.5, cut to 0; 3.5 x 2 + 0.25.
    out = methods.head_logits({key: np.array(value) for key, value in tensors.items()}, "a", np.array([[5.0, 3.0]]))
    assert out.tolist() == [[[7.25]]]


def test_fusion_puts_the_keyframe_before_the_motion():
    data = {"keyframe": np.array([[[1.0, 2.0]]]), "motion": np.array([[[3.0], [9.0]]])}
    assert features(data, methods.STREAMS["fusion"]).tolist() == [[1.0, 2.0, 3.0]]


def test_zero_shot_is_the_scaled_cosine():
    prompts = np.array([[1.0, 0.0], [0.0, 1.0], [-0.6, 0.8]])
    out = methods.zero_shot_logits(np.array([[3.0, 4.0], [0.0, 0.5]]), prompts, scale=10.0)
    assert out == pytest.approx(np.array([[6.0, 8.0, 2.8], [0.0, 10.0, 8.0]]))


def test_zero_shot_of_an_empty_embedding_prefers_no_class():
    assert methods.zero_shot_logits(np.zeros((1, 2)), np.eye(2), scale=100.0).tolist() == [[0.0, 0.0]]


def toy_pairs(clips=8, classes=2):
    """Arrays as pairs.h5 has them, and heads for them."""
    rng = np.random.default_rng(0)
    _, tensors = heads_of(inputs=5, classes=classes)
    tensors |= {
        key.replace("fusion", "keyframe"): value for key, value in heads_of(inputs=2, classes=classes)[1].items()
    }
    probes = {
        f"{name}.{key}": np.full(shape, 0.5)
        for name, inputs in (("ridge", 5), ("keyframe_probe", 2), ("motion_probe", 3))
        for key, shape in (("mean", inputs), ("std", inputs), ("weight", (inputs, classes)), ("bias", classes))
    }
    data = {"keyframe": rng.normal(size=(clips, 2, 2)), "motion": rng.normal(size=(clips, 2, 3))}
    data |= {"motion_logits": rng.normal(size=(clips, classes)), "prompts": np.eye(2), "logit_scale": np.array(50.0)}
    data |= {"label": np.arange(clips) % classes, "split": np.array(["train", "val"] * (clips // 2))}
    return tensors, probes, data | {"classes": np.array(["Run", "Hop"])}


def test_clips_are_judged_by_their_plain_view_alone():
    tensors, probes, data = toy_pairs()
    out = methods.all_logits(tensors, probes, data)
    moved = {name: data[name] + [[[0], [5]]] for name in ("keyframe", "motion")}
    other = methods.all_logits(tensors, probes, data | moved)
    assert set(out) == {"zero_shot", "keyframe", "motion", "fusion", *PROBES}
    assert out["fusion"].shape == (2, 8, 2)
    assert all(np.array_equal(out[name], other[name]) for name in out)


def test_rows_of_a_split_leave_what_is_no_clips_whole():
    _, _, data = toy_pairs()
    val = select_split(data, "val")
    assert val["label"].tolist() == data["label"][1::2].tolist()
    assert len(val["keyframe"]) == 4
    assert val["prompts"].shape == (2, 2)
    assert val["classes"].tolist() == ["Run", "Hop"]


# What validation chooses


def half_noise():
    """Keyframe and motion that err on different clips."""
    return known(LABELS, 4, 6.0) + noise(LABELS, 4), known(LABELS, 4, 6.0) + noise(LABELS, 4)[::-1]


def chosen(keyframe, motion):
    """All choices where the fusion head knows nothing."""
    logits = {"keyframe": keyframe[None], "motion": motion, "fusion": np.zeros((1, 60, 4))}
    logits |= {name: np.zeros((60, 4)) for name in PROBES}
    return logits, methods.fit_calibration(logits, LABELS)


@pytest.mark.parametrize("known_one", ["keyframe", "motion"])
def test_what_is_noise_changes_nothing_beside_what_is_right(known_one):
    streams = {
        "keyframe": noise(LABELS, 4),
        "motion": noise(LABELS, 4)[::-1],
        known_one: known(LABELS, 4, strength=3.0),
    }
    logits, choice = chosen(**streams)
    settled = {name: softmax(values, axis=-1) for name, values in methods.calibrate(logits, choice).items()}
    assert choice["best_single"] == known_one
    assert settled["score_fusion"][0] == pytest.approx(settled[known_one].reshape(60, 4), abs=0.02)


def test_two_that_err_on_different_clips_are_better_together():
    logits, choice = chosen(*half_noise())
    settled = methods.calibrate(logits, choice)
    top1 = {name: (values.argmax(axis=-1) == LABELS).mean() for name, values in settled.items()}
    assert 0.2 < choice["weights"]["score_fusion"][0] < 0.8
    assert top1["score_fusion"] > max(top1["keyframe"], top1["motion"])


def test_weights_add_up_to_one():
    _, choice = chosen(*half_noise())
    assert sum(choice["weights"]["score_fusion"]) == pytest.approx(1)
    assert sum(choice["weights"]["blend"]) == pytest.approx(1)
    assert len(choice["weights"]["blend"]) == 4


def test_mixed_scores_are_the_weighted_log_probabilities():
    keyframe, motion = half_noise()
    wanted = 0.3 * log_softmax(keyframe, axis=1) + 0.7 * log_softmax(motion, axis=1)
    assert methods.mix([keyframe[None], motion], [0.3, 0.7])[0] == pytest.approx(wanted, rel=1e-3)


def test_settled_logits_are_probabilities_that_can_be_believed():
    # Right in three of four, and far too sure of it.
    keyframe = known(np.where(np.arange(60) % 5 == 0, (LABELS + 1) % 4, LABELS), 4, strength=30.0)
    logits, choice = chosen(keyframe, noise(LABELS, 4))
    sure = softmax(methods.calibrate(logits, choice)["keyframe"][0], axis=1).max(axis=1).mean()
    assert sure == pytest.approx(0.8, abs=0.02)


# Without a stream, and what each adds


def test_a_stream_that_is_missing_is_at_the_mean():
    tensors, probes, data = toy_pairs()
    at_mean = data | {"motion": np.broadcast_to(tensors["fusion.mean"][2:], (8, 1, 3))}
    wanted = methods.all_logits(tensors, probes, at_mean)["fusion"]
    played = logits_by_streams(tensors, data)
    assert played["keyframe",] == pytest.approx(wanted, abs=1e-5)
    assert played["keyframe", "motion"] == pytest.approx(methods.all_logits(tensors, probes, data)["fusion"], abs=1e-5)


def test_shares_add_up_to_the_logit_above_that_of_the_mean_clip():
    tensors, probes, data = toy_pairs()
    guess = np.arange(8) % 2
    share = stream_shares(logits_by_streams(tensors, data), guess)
    logit = methods.all_logits(tensors, probes, data)["fusion"].mean(axis=0)[np.arange(8), guess]
    empty = methods.head_logits(tensors, "fusion", tensors["fusion.mean"][None]).mean(axis=0)[0, guess]
    assert share["keyframe"] + share["motion"] == pytest.approx(logit - empty, abs=1e-5)


def test_a_stream_without_weight_has_no_share():
    tensors, _, data = toy_pairs()
    tensors["fusion.weight1"] = tensors["fusion.weight1"].copy()
    tensors["fusion.weight1"][:, 2:] = 0
    share = stream_shares(logits_by_streams(tensors, data), np.zeros(8, dtype=int))
    assert share["motion"] == pytest.approx(np.zeros(8), abs=1e-6)
    assert np.abs(share["keyframe"]).max() > 0.01


# Refusal


@pytest.mark.parametrize(
    ("part", "key", "value"), [("keyframes", "weights", "f00"), ("motion_embeddings", "net", {"width": 9})]
)
def test_a_head_is_refused_on_features_that_it_was_not_made_for(part, key, value):
    settings = {"keyframes": {"weights": "abc"}, "motion_embeddings": {"net": {"width": 8}}}
    check_features({"features": settings}, settings, "models/head")
    other = {**settings, part: {**settings[part], key: value}}
    wanted = f"models/head was fitted on other features than features/pairs.h5 holds ({part}: {key} differs)"
    assert sentence_of(check_features, {"features": settings}, other, "models/head").startswith(wanted)


# Cost


def test_cost_counts_one_head_and_every_keyframe():
    _, tensors = heads_of(seeds=4, inputs=5, hidden=3, classes=2)
    features = {
        "keyframes": {"cost": {"parameters": 1000, "macs": 7000}, "frames": 3},
        "motion_embeddings": {"cost": {"parameters": 20, "macs": 300}},
    }
    assert cost(tensors, features) == {
        "clip": {"parameters": 1000, "macs": 21000},
        "motion": {"parameters": 20, "macs": 300},
        # 5 x 3 weights, 3 biases, 3 x 2 weights, 2 biases.
        "head": {"parameters": 26, "macs": 21},
        "total": {"parameters": 1046, "macs": 21321},
    }
