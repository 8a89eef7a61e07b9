from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import weights
from torch import nn
from torch.nn.functional import cross_entropy
from toy_heads import standardised

from mocliplite import params
from mocliplite.fusion import head_training
from mocliplite.fusion.batches import Views, allocate, step_input
from mocliplite.fusion.head_training import _loss, _loss_weights, fit_heads
from mocliplite.fusion.heads import Heads

torch.set_num_threads(1)  # the machine is shared, and so small a network gains nothing from more

HEAD = params.Head(
    hidden=8,
    dropout=0.5,
    lr=0.01,
    weight_decay=0.01,
    start="random",
    label_smoothing=0.0,
    epochs=6,
    patience=6,
    batch=16,
    pooling="mean",
    views="all",
    stream_dropout=0.0,
    class_weight=None,
    seeds=2,
)


def features_of(labels, classes, views=2, distance=4.0, seed=0):
    """Features [N, views, 6] around a centre per class; the views have different noise."""
    generator = torch.Generator().manual_seed(seed)
    centres = distance * torch.eye(classes, 6)
    return centres[labels][:, None] + torch.randn(len(labels), views, 6, generator=generator)


def fit_toy(labels=None, val_labels=None, features=None, val=None, **changes):
    labels = torch.arange(60) % 3 if labels is None else labels
    val_labels = torch.arange(30) % 3 if val_labels is None else val_labels
    features = features_of(labels, 3) if features is None else features
    val = features_of(val_labels, 3, seed=1) if val is None else val
    if "patience" not in changes:
        changes["patience"] = changes.get("epochs", HEAD.epochs)
    streams = [features] if torch.is_tensor(features) else features
    val_streams = [val] if torch.is_tensor(val) else val
    return fit_heads((streams, labels), (val_streams, val_labels), 3, replace(HEAD, **changes), "toy")


def seed_of(heads, seed):
    return {name: value[seed] for name, value in heads.named_parameters()}


def losses_of(heads, val, labels):
    with torch.inference_mode():
        return [
            cross_entropy(logits, labels).item()
            for logits in heads(standardised(heads, val[:, 0]).expand(len(heads.weight1), -1, -1))
        ]


def test_a_seed_does_not_depend_on_the_number_of_seeds():
    three, one = fit_toy(seeds=3)[0], fit_toy(seeds=1)[0]
    for name, value in seed_of(one, 0).items():
        assert torch.allclose(seed_of(three, 0)[name], value, atol=1e-5)


def test_the_second_seed_equals_a_fit_with_plain_torch():
    labels, val_labels = torch.arange(60) % 3, torch.arange(30) % 3
    features, val = features_of(labels, 3, views=1), features_of(val_labels, 3, seed=1)
    settings = {"dropout": 0.0, "batch": 60, "epochs": 15}  # one batch, no dropout: only the initial weights are random
    heads, _, _ = fit_toy(labels, val_labels, features, val, **settings)
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Linear(6, HEAD.hidden), nn.ReLU(), nn.Linear(HEAD.hidden, 3))
    optimiser = torch.optim.AdamW(plain.parameters(), lr=HEAD.lr, weight_decay=HEAD.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=HEAD.lr, total_steps=15)
    x = features[:, 0]
    mean, std = x.mean(dim=0), x.std(dim=0, correction=0)
    for _ in range(15):
        optimiser.zero_grad()
        cross_entropy(plain((x - mean) / std), labels).backward()
        optimiser.step()
        schedule.step()
    assert torch.allclose(seed_of(heads, 1)["weight1"], plain[0].weight.T, atol=1e-5)
    assert torch.allclose(seed_of(heads, 1)["bias2"][0], plain[2].bias, atol=1e-5)


def test_fitting_twice_gives_the_same_bytes():
    (first, curve, _), (second, same, _) = fit_toy(), fit_toy()
    assert weights(first) == weights(second)
    assert curve == same


def test_seeds_have_different_weights():
    heads, _, _ = fit_toy()
    assert not torch.allclose(heads.weight1[0], heads.weight1[1], atol=1e-2)


def test_separable_classes_reach_full_accuracy():
    labels, val_labels = torch.arange(60) % 3, torch.arange(30) % 3
    features, val = (features_of(part, 3, distance=20.0, seed=seed) for seed, part in enumerate((labels, val_labels)))
    _, _, figures = fit_toy(labels, val_labels, features, val, hidden=32, epochs=30)
    assert figures["val_top1"] == 1.0


def test_random_labels_give_chance_accuracy():
    generator = torch.Generator().manual_seed(0)
    labels, val_labels = (torch.randint(3, (count,), generator=generator) for count in (60, 600))
    features, val = (torch.randn(count, 1, 6, generator=generator) for count in (60, 600))
    _, _, figures = fit_toy(labels, val_labels, features, val)
    # Two standard deviations of a proportion over 600 clips.
    assert abs(figures["val_top1"] - 1 / 3) < 2 * (2 / 9 / 600) ** 0.5


def test_a_head_keeps_its_best_epoch():
    # Validation labels are wrong, so the loss rises with training: an early epoch is the best.
    wrong, val = (torch.arange(30) + 1) % 3, features_of(torch.arange(30) % 3, 3, seed=1)
    heads, curve, figures = fit_toy(val_labels=wrong, val=val, seeds=1)
    assert figures["val_loss"] == pytest.approx(min(row["val_loss"] for row in curve), abs=1e-6)
    assert figures["val_loss"] < curve[-1]["val_loss"]
    assert losses_of(heads, val, wrong) == pytest.approx([figures["val_loss"]], abs=1e-6)


def test_each_seed_keeps_its_own_best_epoch():
    labels = torch.randint(3, (30,), generator=torch.Generator().manual_seed(0))
    val = features_of(torch.arange(30) % 3, 3, seed=1)
    heads, curve, figures = fit_toy(val_labels=labels, val=val, seeds=5)
    one_head, _, _ = fit_toy(val_labels=labels, val=val, seeds=1)
    losses = losses_of(heads, val, labels)
    assert losses[0] == pytest.approx(losses_of(one_head, val, labels)[0], abs=1e-5)
    # The curve is the mean over seeds. With one epoch for all seeds, the mean loss would be one of its rows.
    assert sum(losses) / 5 < min(row["val_loss"] for row in curve) - 1e-4
    assert figures["val_loss"] == pytest.approx(sum(losses) / 5, abs=1e-6)


def test_validation_uses_only_the_plain_view():
    labels = torch.arange(30) % 3
    val = features_of(labels, 3, seed=1)
    other = val.clone()
    other[:, 1] = torch.nan
    (heads, curve, _), (same, same_curve, _) = fit_toy(val=val), fit_toy(val=other)
    assert weights(heads) == weights(same)
    assert curve == same_curve


def test_training_uses_every_view():
    labels = torch.arange(60) % 3
    features = features_of(labels, 3)
    # View 1 is of another class, so half of the views contradict the other half.
    features[:, 1] = features[:, 0].roll(1, dims=0)
    settings = {"hidden": 32, "dropout": 0.0, "epochs": 30}
    (_, consistent, _), (_, contradictory, _) = (
        fit_toy(features=features[:, :1], **settings),
        fit_toy(features=features, **settings),
    )
    assert consistent[-1]["train_loss"] < 0.1
    assert contradictory[-1]["train_loss"] > 0.5


def test_standardisation_uses_only_the_train_clips():
    features = features_of(torch.arange(60) % 3, 3) * 7 + 100
    heads, _, _ = fit_toy(features=features, val=torch.full((30, 1, 6), -1e6))
    rows = features.numpy().reshape(120, 6)
    assert heads.mean.numpy() == pytest.approx(rows.mean(axis=0), rel=1e-5)
    assert heads.std.numpy() == pytest.approx(rows.std(axis=0), rel=1e-5)


def test_the_scale_of_features_does_not_matter():
    labels = torch.arange(30) % 3
    (_, curve, _), (_, scaled, _) = (
        fit_toy(features=features_of(torch.arange(60) % 3, 3) * scale, val=features_of(labels, 3, seed=1) * scale)
        for scale in (1.0, 1024.0)
    )
    assert [row["val_loss"] for row in scaled] == pytest.approx([row["val_loss"] for row in curve], abs=1e-4)


@pytest.mark.parametrize("constant", [0.0, 0.1, -300.7])
def test_a_constant_feature_is_ignored(constant):
    features, val = features_of(torch.arange(60) % 3, 3), features_of(torch.arange(30) % 3, 3, seed=1)
    features[..., 5] = val[..., 5] = constant
    heads, _, figures = fit_toy(features=features, val=val, epochs=30)
    assert heads.std[5] == 1.0
    assert figures["val_top1"] > 0.9


def test_there_is_a_head_per_seed_and_a_row_of_the_curve_per_epoch():
    heads, curve, _ = fit_toy(seeds=4, epochs=2)
    assert isinstance(heads, Heads)
    assert len(heads.weight1) == 4
    assert [row.keys() for row in curve] == [{"train_loss", "val_loss", "val_top1"}] * 2


def two_streams(labels, seed=0):
    """The class in the first stream, noise in the second."""
    generator = torch.Generator().manual_seed(seed)
    return [features_of(labels, 3, seed=seed), torch.randn(len(labels), 3, 4, generator=generator)]


def test_streams_may_differ_in_views_and_lengths():
    labels, val_labels = torch.arange(60) % 3, torch.arange(30) % 3
    heads, _, figures = fit_toy(labels, val_labels, two_streams(labels), two_streams(val_labels, 1), epochs=20)
    assert heads.weight1.shape == (2, 10, 8)
    assert figures["val_top1"] > 0.9


def input_of(streams, settings):
    """Input [N, D] of a step of one seed with all clips of the streams."""
    rows = torch.arange(len(streams[0]))[None]
    settings = replace(settings, seeds=1, batch=rows.shape[1])
    buffers = allocate(settings, sum(stream.shape[2] for stream in streams), rows.device)
    views = [Views.of(stream, stream.shape[1]) for stream in streams]
    return step_input(views, rows, settings, [torch.Generator().manual_seed(0)], buffers)[0][0]


def test_views_of_the_streams_are_drawn_independently():
    view_numbers = torch.arange(2.0).reshape(1, 2, 1).expand(50, 2, 1)
    x = input_of([view_numbers, view_numbers], HEAD)
    assert {tuple(pair) for pair in x.tolist()} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_stream_dropout_sets_one_stream_to_the_mean_and_never_both():
    ones = torch.ones(4000, 1, 2)
    x = input_of([ones, ones], replace(HEAD, stream_dropout=0.5))
    first, second = x[:, :2], x[:, 2:]
    assert torch.equal(first[:, 0], first[:, 1])
    dropped = [(part[:, 0] == 0).double().mean().item() for part in (first, second)]
    assert dropped == pytest.approx([0.25, 0.25], abs=0.03)
    assert not ((first[:, 0] == 0) & (second[:, 0] == 0)).any()


def test_stream_dropout_lowers_the_loss_without_a_stream():
    labels, val_labels = torch.arange(90) % 3, torch.arange(30) % 3
    streams, val = (
        [features_of(part, 3, seed=seed + k) for k in (0, 5)] for seed, part in ((0, labels), (1, val_labels))
    )
    loss = {}
    for share in (0.0, 0.6):
        heads, _, _ = fit_toy(labels, val_labels, streams, val, stream_dropout=share, hidden=32, epochs=20)
        x = standardised(heads, torch.cat([part[:, 0] for part in val], dim=1))
        x[:, 6:] = 0
        with torch.inference_mode():
            logits = heads(x.expand(2, -1, -1)).flatten(0, 1)
        loss[share] = cross_entropy(logits, val_labels.repeat(2)).item()
    assert loss[0.6] < loss[0.0]


def mock_validation(monkeypatch, *losses):
    """Make validation return these losses of the seeds, epoch by epoch, and the last ones once more at the end."""
    values = iter([*losses, losses[-1]])
    monkeypatch.setattr(head_training, "_validate", lambda *_: (torch.tensor(next(values)), {}))


def test_training_ends_when_the_patience_of_every_seed_is_exhausted(monkeypatch):
    mock_validation(monkeypatch, [1.0, 1.0], [2.0, 0.9], [2.0, 0.8], [2.0, 0.9], [2.0, 0.9])
    _, curve, _ = fit_toy(epochs=40, patience=2)
    assert len(curve) == 5


def test_a_stopped_seed_ignores_later_epochs(monkeypatch):
    mock_validation(monkeypatch, [1.0, 1.0], [2.0, 0.9], [2.0, 0.8], [0.1, 0.7], [2.0, 0.8], [2.0, 0.8])
    two_seeds, _, _ = fit_toy(epochs=40, patience=2)
    mock_validation(monkeypatch, [1.0], [2.0], [2.0])
    one_seed, _, _ = fit_toy(epochs=40, patience=2, seeds=1)
    assert torch.allclose(two_seeds.weight1[0], one_seed.weight1[0], atol=1e-5)


def test_few_validation_clips_that_are_right_do_not_favour_confident_epochs():
    labels = torch.arange(3)
    logits = 9 * torch.eye(3)
    module = Heads(torch.zeros(3), torch.ones(3), hidden=6, classes=3, dropout=0.0, seeds=1)
    module.forward = lambda x, **_: x
    losses = [head_training._validate(module, [scale * logits[:, None]], labels, None) for scale in (0.3, 1.0)]
    assert losses[0][0] < losses[1][0]
    assert losses[0][1]["val_loss"] > losses[1][1]["val_loss"]


@pytest.mark.parametrize("labels", [torch.arange(30) % 3, torch.eye(3, dtype=torch.uint8)[torch.arange(30) % 3]])
def test_validation_by_parts_gives_the_figures_of_all_clips(monkeypatch, labels):
    heads = Heads(torch.zeros(6), torch.ones(6), hidden=4, classes=3, dropout=0.0, seeds=2)
    val = [features_of(torch.arange(30) % 3, 3)]
    losses, figures = head_training._validate(heads, val, labels, None)
    monkeypatch.setattr(head_training, "_PART", 7)
    by_parts, figures_by_parts = head_training._validate(heads, val, labels, None)
    assert torch.allclose(by_parts, losses)
    assert figures_by_parts == pytest.approx(figures)


# The module Heads


def test_the_initial_weights_of_a_seed_are_those_of_a_single_head():
    heads = Heads(torch.zeros(4), torch.ones(4), hidden=6, classes=3, dropout=0.0, seeds=3)
    torch.manual_seed(2)
    single, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(5, 4)
    with torch.inference_mode():
        assert torch.allclose(heads(x.expand(3, -1, -1))[2], single(x), atol=1e-6)


def test_dropout_preserves_the_mean_of_the_logits():
    heads = Heads(torch.zeros(4), torch.ones(4), hidden=6, classes=3, dropout=0.75, seeds=1)
    x = torch.randn(1, 1, 4, generator=torch.Generator().manual_seed(0)).expand(1, 20000, 4)
    dropout_mask = torch.rand(1, 20000, 6, generator=torch.Generator().manual_seed(1)) >= 0.75
    with torch.inference_mode():
        assert torch.allclose(heads(x, dropout_mask).mean(dim=1), heads(x)[:, 0], atol=0.02)


def test_standardisation_is_part_of_the_model():
    heads = Heads(torch.tensor([3.0, -1.0]), torch.tensor([2.0, 0.5]), hidden=4, classes=2, dropout=0.0, seeds=1)
    plain = Heads(torch.zeros(2), torch.ones(2), hidden=4, classes=2, dropout=0.0, seeds=1)
    assert heads.state_dict()["mean"].tolist() == [3.0, -1.0]
    with torch.inference_mode():
        # (7 - 3) / 2 = 2 and (0 + 1) / 0.5 = 2.
        x = standardised(heads, torch.tensor([[[7.0, 0.0]]]))
        assert torch.equal(heads(x), plain(torch.tensor([[[2.0, 2.0]]])))


def test_the_state_has_the_names_and_shapes_that_head_logits_reads():
    state = Heads(torch.zeros(4), torch.ones(4), hidden=6, classes=3, dropout=0.5, seeds=2).state_dict()
    shapes = {"mean": (4,), "std": (4,), "weight1": (2, 4, 6), "bias1": (2, 1, 6), "weight2": (2, 6, 3)}
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes | {"bias2": (2, 1, 3)}
    assert {np.dtype(value.numpy().dtype) for value in state.values()} == {np.dtype(np.float32)}


def test_the_balanced_loss_is_the_mean_of_the_losses_of_the_classes():
    labels = torch.tensor([0] * 12 + [1] * 6 + [2] * 2)
    logits = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    weights = _loss_weights(labels, 3, replace(HEAD, class_weight="balanced"))
    by_class = [cross_entropy(logits[labels == label], labels[labels == label]) for label in range(3)]
    assert _loss(logits, labels, weights).item() == pytest.approx(torch.stack(by_class).mean().item(), abs=1e-6)


def test_balanced_classes_raise_the_accuracy_of_a_rare_class():
    labels, val_labels = torch.tensor([0] * 100 + [1] * 100 + [2] * 6), torch.arange(300) % 3
    settings = {
        "features": features_of(labels, 3, distance=1.5),
        "val": features_of(val_labels, 3, distance=1.5, seed=1),
    }

    def rare_accuracy(class_weight):
        fitted, _, _ = fit_toy(labels, val_labels, **settings, class_weight=class_weight)
        with torch.inference_mode():
            logits = fitted(standardised(fitted, settings["val"][:, 0]).expand(2, -1, -1))
        return (logits.argmax(dim=2) == val_labels)[:, val_labels == 2].double().mean().item()

    assert rare_accuracy("balanced") > rare_accuracy(None) + 0.2
