"""Probes, heads, calibration and learning curve where a clip may have several classes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import sentence_of
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from test_heads import HEAD
from torch.nn.functional import binary_cross_entropy_with_logits

from mocliplite.evaluation.multi_label import mean_average_precision, sigmoid
from mocliplite.fusion import learning_curve, methods, pairs, ridge, suspicious_labels
from mocliplite.fusion.draws import draw_groups
from mocliplite.fusion.head_training import _loss, fit_head
from mocliplite.fusion.probes import fit_probes, probe_logits

CLASSES = np.array(["Ball", "Box", "Falling", "Rolling"])


def pairs_of(clips=120, seed=0, noise=0.5):
    """Arrays of pairs.h5: the keyframe shows the first two classes, the motion the others; any may be absent."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((clips, 4)) < 0.4).astype(np.uint8)
    shown = labels + rng.normal(scale=noise, size=labels.shape)
    return {
        "ids": np.array([f"c{row:03d}" for row in range(clips)]),
        "label": labels,
        "group": np.array([f"g{row // 3}" for row in range(clips)]),
        "split": np.full(clips, "train"),
        "keyframe": shown[:, None, :2].astype(np.float32),
        "motion": shown[:, None, 2:].astype(np.float32),
        "motion_logits": (shown * [0, 0, 5, 5]).astype(np.float32),
        "prompts": np.eye(4, 2, dtype=np.float32),
        "logit_scale": np.array(10.0),
        "classes": CLASSES,
    }


def test_scores_equal_scikit_learns_ridge_of_several_targets():
    data = pairs_of()
    x = pairs.features(data, ("keyframe", "motion"))
    scaler = StandardScaler().fit(x.astype(np.float64))
    wanted = Ridge(2.0).fit(scaler.transform(x.astype(np.float64)), data["label"]).predict(scaler.transform(x))
    np.testing.assert_allclose(ridge.scores_of((x, data["label"]), 4, 2.0, x), wanted, atol=1e-6)


def test_scores_of_a_left_out_group_equal_those_of_a_fit_without_it():
    data = pairs_of(clips=30)
    x, others = data["motion"][:, 0], data["group"] != "g3"
    found = ridge.left_out_scores(x, data["label"], data["group"], 4, 1.0)
    assert found.shape == (30, 4)
    # The features are standardised with all clips, as the left-out scores are.
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    reference = Ridge(1.0).fit(scaled[others], data["label"][others]).predict(scaled[~others])
    np.testing.assert_allclose(found[~others], reference, atol=1e-5)


def test_the_loss_of_a_head_is_the_binary_cross_entropy_with_smoothed_labels():
    logits, labels = torch.tensor([[2.0, -1.0], [0.5, 0.0]]), torch.tensor([[1, 0], [1, 1]], dtype=torch.uint8)
    wanted = binary_cross_entropy_with_logits(logits, torch.tensor([[0.95, 0.05], [0.95, 0.95]]))
    assert _loss(logits, labels, None, 0.1) == pytest.approx(wanted.item())


@pytest.fixture(scope="module")
def fitted():
    """Tensors of heads and probes, and the arrays of validation and test clips."""
    train, val, test = (pairs_of(seed=seed) for seed in range(3))
    probes, alphas = fit_probes(train, val)
    heads, curves = {}, {}
    for name in methods.STREAMS:
        settings = replace(HEAD, start="scores" if name == "fusion" else "ridge", epochs=20)
        head, curves[name], _ = fit_head(name, train, val, settings, torch.device("cpu"), alphas)
        heads |= head
    return heads, probes, val, test, curves


def test_a_mixture_finds_the_classes_of_both_streams(fitted):
    heads, probes, val, test, curves = fitted
    calibration = methods.fit_calibration(methods.all_logits(heads, probes, val), val["label"])
    logits = methods.calibrate(methods.all_logits(heads, probes, test), calibration)

    figures = {name: mean_average_precision(values, test["label"]) for name, values in logits.items()}

    assert methods.is_multi_label(calibration)
    assert min(figures["fusion"], figures["ridge"], figures["score_fusion"], figures["blend"]) > 0.85
    assert max(figures["keyframe"], figures["motion"], figures["zero_shot"]) < 0.75
    assert 0.7 < curves["fusion"][-1]["val_top1"] <= val["label"].any(axis=1).mean()  # of clips that have a class


def test_calibrated_probabilities_are_on_average_the_share_of_clips_with_a_class(fitted):
    heads, probes, val, _, _ = fitted
    calibration = methods.fit_calibration(methods.all_logits(heads, probes, val), val["label"])
    logits = methods.calibrate(methods.all_logits(heads, probes, val), calibration)
    share = val["label"].mean()
    assert len(logits) == 9
    assert all(sigmoid(values).mean() == pytest.approx(share, abs=0.01) for values in logits.values())
    assert methods.mean_probabilities(logits["fusion"], multi_label=True).shape == (120, 4)


def test_a_class_without_a_train_clip_is_refused():
    data = pairs_of()
    data["split"] = np.repeat(["train", "val", "test"], [39, 42, 39])
    pairs.check(data)
    data["label"][:39, 2] = 0
    assert "class Falling has no usable train clip" in sentence_of(pairs.check, data)


def test_a_split_without_a_class_is_refused():
    data = pairs_of()
    data["split"] = np.repeat(["train", "val", "test"], [39, 42, 39])
    data["label"][39:81] = 0
    assert sentence_of(pairs.check, data) == "no usable val clip has a class; add clips that have one."


def test_a_wrong_label_is_the_first_suspicious_one():
    train, val = pairs_of(noise=0.1), pairs_of(seed=1, noise=0.1)
    val["ids"] = np.char.add("v", val["ids"])
    train["label"][7] = 1 - train["label"][7]
    _, alphas = fit_probes(train, val)
    first = suspicious_labels.suspicious_labels(train, val, alphas)[0]
    assert first["id"] == "c007"
    assert set(first["label"].split("|")) ^ set(first["guess"].split("|")) == set(CLASSES)


def test_the_learning_curve_ends_with_all_clips():
    train, val = pairs_of(), pairs_of(seed=1)
    probes, alphas = fit_probes(train, val)
    rows = [row for row in learning_curve.learning_curve(train, val, alphas) if row["curve"] == "ridge"]
    guess = probe_logits(probes, val)["ridge"].argmax(axis=1)
    assert rows[-1]["top1"] == val["label"][np.arange(120), guess].mean()
    assert rows[-1]["clips_per_class"] == round(train["label"].sum() / 4)
    assert len(rows) == 4


def test_draws_of_groups_are_whole_and_nested():
    groups = pairs_of()["group"]
    few, many = (set(draw_groups(groups, share, draw=1).tolist()) for share in (0.25, 0.5))
    assert few < many
    assert len(few) == 30
    assert all({row for row in range(120) if groups[row] == groups[one]} <= few for one in few)
