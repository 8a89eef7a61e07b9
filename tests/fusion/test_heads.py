from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import weights
from torch import nn
from torch.nn.functional import cross_entropy

from mocliplite import params
from mocliplite.fusion import heads
from mocliplite.fusion.heads import Heads, _buffers, _rows, _step_input, fit_heads

torch.set_num_threads(1)  # the machine is shared, and so small a network gains nothing from more

HEAD = params.Head(
    hidden=8,
    dropout=0.5,
    lr=0.01,
    weight_decay=0.01,
    epochs=6,
    patience=6,
    batch=16,
    views="all",
    stream_dropout=0.0,
    seeds=2,
)


def features_of(labels, classes, views=2, distance=4.0, seed=0):
    """Features [N, views, 6] around a place a class; view 1 is view 0 with other noise."""
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
            for logits in heads(heads.standardise(val[:, 0]).expand(len(heads.weight1), -1, -1))
        ]


def test_seeds_fitted_together_are_what_each_is_alone():
    together, alone = fit_toy(seeds=3)[0], fit_toy(seeds=1)[0]
    for name, value in seed_of(alone, 0).items():
        assert torch.allclose(seed_of(together, 0)[name], value, atol=1e-5)


def test_second_seed_is_what_plain_torch_fits_from_it():
    labels, val_labels = torch.arange(60) % 3, torch.arange(30) % 3
    features, val = features_of(labels, 3, views=1), features_of(val_labels, 3, seed=1)
    settings = {"dropout": 0.0, "batch": 60, "epochs": 15}  # neither order nor dropout: all is in the start
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


def test_seeds_differ():
    heads, _, _ = fit_toy()
    assert not torch.allclose(heads.weight1[0], heads.weight1[1], atol=1e-2)


def test_what_lies_apart_is_told_apart():
    labels, val_labels = torch.arange(60) % 3, torch.arange(30) % 3
    features, val = (features_of(of, 3, distance=20.0, seed=seed) for seed, of in enumerate((labels, val_labels)))
    _, _, kept = fit_toy(labels, val_labels, features, val, hidden=32, epochs=30)
    assert kept["val_top1"] == 1.0


def test_shuffled_labels_leave_chance():
    generator = torch.Generator().manual_seed(0)
    labels, val_labels = (torch.randint(3, (count,), generator=generator) for count in (60, 600))
    features, val = (torch.randn(count, 1, 6, generator=generator) for count in (60, 600))
    _, _, kept = fit_toy(labels, val_labels, features, val)
    # Two deviations of a share of 600 clips.
    assert abs(kept["val_top1"] - 1 / 3) < 2 * (2 / 9 / 600) ** 0.5


def test_head_keeps_its_best_epoch():
    # The more is learned, the worse for clips with the wrong label: an early epoch is the best.
    wrong, val = (torch.arange(30) + 1) % 3, features_of(torch.arange(30) % 3, 3, seed=1)
    heads, curve, kept = fit_toy(val_labels=wrong, val=val, seeds=1)
    assert kept["val_loss"] == pytest.approx(min(row["val_loss"] for row in curve), abs=1e-6)
    assert kept["val_loss"] < curve[-1]["val_loss"]
    assert losses_of(heads, val, wrong) == pytest.approx([kept["val_loss"]], abs=1e-6)


def test_each_seed_keeps_an_epoch_of_its_own():
    labels = torch.randint(3, (30,), generator=torch.Generator().manual_seed(0))
    val = features_of(torch.arange(30) % 3, 3, seed=1)
    heads, curve, judged = fit_toy(val_labels=labels, val=val, seeds=5)
    alone, _, _ = fit_toy(val_labels=labels, val=val, seeds=1)
    kept = losses_of(heads, val, labels)
    assert kept[0] == pytest.approx(losses_of(alone, val, labels)[0], abs=1e-5)
    # The curve is the mean over seeds: were there one best epoch for all, this would be one of its rows.
    assert sum(kept) / 5 < min(row["val_loss"] for row in curve) - 1e-4
    assert judged["val_loss"] == pytest.approx(sum(kept) / 5, abs=1e-6)


def test_validation_is_judged_by_its_plain_view_alone():
    labels = torch.arange(30) % 3
    val = features_of(labels, 3, seed=1)
    other = val.clone()
    other[:, 1] = torch.nan
    (heads, curve, _), (same, same_curve, _) = fit_toy(val=val), fit_toy(val=other)
    assert weights(heads) == weights(same)
    assert curve == same_curve


def test_every_view_of_train_clips_is_learned_from():
    labels = torch.arange(60) % 3
    features = features_of(labels, 3)
    # Where view 1 is of another class, half of what is seen contradicts the other half.
    features[:, 1] = features[:, 0].roll(1, dims=0)
    settings = {"hidden": 32, "dropout": 0.0, "epochs": 30}
    (_, clean, _), (_, torn, _) = fit_toy(features=features[:, :1], **settings), fit_toy(features=features, **settings)
    assert clean[-1]["train_loss"] < 0.1
    assert torn[-1]["train_loss"] > 0.5


def test_standardisation_is_that_of_the_train_clips():
    features = features_of(torch.arange(60) % 3, 3) * 7 + 100
    heads, _, _ = fit_toy(features=features, val=torch.full((30, 1, 6), -1e6))
    rows = features.numpy().reshape(120, 6)
    assert heads.mean.numpy() == pytest.approx(rows.mean(axis=0), rel=1e-5)
    assert heads.std.numpy() == pytest.approx(rows.std(axis=0), rel=1e-5)


def test_scale_of_features_does_not_matter():
    labels = torch.arange(30) % 3
    (_, curve, _), (_, scaled, _) = (
        fit_toy(features=features_of(torch.arange(60) % 3, 3) * scale, val=features_of(labels, 3, seed=1) * scale)
        for scale in (1.0, 1024.0)
    )
    assert [row["val_loss"] for row in scaled] == pytest.approx([row["val_loss"] for row in curve], abs=1e-4)


@pytest.mark.parametrize("constant", [0.0, 0.1, -300.7])
def test_feature_that_never_changes_tells_nothing(constant):
    features, val = features_of(torch.arange(60) % 3, 3), features_of(torch.arange(30) % 3, 3, seed=1)
    features[..., 5] = val[..., 5] = constant
    heads, _, kept = fit_toy(features=features, val=val, epochs=30)
    assert heads.std[5] == 1.0
    assert kept["val_top1"] > 0.9


def test_heads_are_as_many_as_asked_for():
    heads, curve, _ = fit_toy(seeds=4, epochs=2)
    assert isinstance(heads, Heads)
    assert len(heads.weight1) == 4
    assert [row.keys() for row in curve] == [{"train_loss", "val_loss", "val_top1"}] * 2


def two_streams(labels, seed=0):
    """The thing of three in the first stream, noise in the second."""
    generator = torch.Generator().manual_seed(seed)
    return [features_of(labels, 3, seed=seed), torch.randn(len(labels), 3, 4, generator=generator)]


def test_streams_may_have_views_and_lengths_of_their_own():
    labels, val_labels = torch.arange(60) % 3, torch.arange(30) % 3
    heads, _, kept = fit_toy(labels, val_labels, two_streams(labels), two_streams(val_labels, 1), epochs=20)
    assert heads.weight1.shape == (2, 10, 8)
    assert kept["val_top1"] > 0.9


def drawn_input(views, rows, settings):
    """A step's features of one seed."""
    settings = replace(settings, seeds=1, batch=rows.shape[1])
    room = _buffers(settings, sum(stream.shape[1] for stream, _ in views), rows.device)
    return _step_input(views, rows, settings, [torch.Generator().manual_seed(0)], room)[0]


def test_views_of_the_streams_are_drawn_apart():
    stream = torch.arange(2.0).reshape(1, 2, 1).expand(50, 2, 1)
    rows = torch.arange(50)[None]
    views = [_rows(stream), _rows(stream)]
    x = drawn_input(views, rows, HEAD)
    assert {tuple(pair) for pair in x[0].tolist()} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_dropped_streams_are_at_the_mean_and_never_both_at_once():
    ones = torch.ones(4000, 1, 2)
    settings = replace(HEAD, stream_dropout=0.5)
    views = [_rows(ones), _rows(ones)]
    x = drawn_input(views, torch.arange(4000)[None], settings)
    first, second = x[0, :, :2], x[0, :, 2:]
    assert torch.equal(first[:, 0], first[:, 1])
    lost = [(part[:, 0] == 0).double().mean().item() for part in (first, second)]
    assert lost == pytest.approx([0.25, 0.25], abs=0.03)
    assert not ((first[:, 0] == 0) & (second[:, 0] == 0)).any()


def test_a_head_that_lost_streams_in_training_can_do_without_one():
    labels, val_labels = torch.arange(90) % 3, torch.arange(30) % 3
    streams, val = (
        [features_of(of, 3, distance=8.0, seed=seed + k) for k in (0, 5)] for seed, of in ((0, labels), (1, val_labels))
    )
    top1 = {}
    for share in (0.0, 0.6):
        heads, _, _ = fit_toy(labels, val_labels, streams, val, stream_dropout=share, hidden=32, epochs=20)
        x = heads.standardise(torch.cat([part[:, 0] for part in val], dim=1))
        x[:, 6:] = 0
        with torch.inference_mode():
            loss = cross_entropy(heads(x.expand(2, -1, -1)).flatten(0, 1), val_labels.repeat(2))
        top1[share] = loss.item()
    assert top1[0.6] < top1[0.0]


def scripted(monkeypatch, *losses):
    """Let validation say these losses of the seeds, epoch by epoch, and once more at the end."""
    said = iter([*losses, losses[-1]])
    monkeypatch.setattr(heads, "_judge", lambda *_: (torch.tensor(next(said)), torch.zeros(1)))


def test_fit_ends_when_every_seed_has_waited_long_enough(monkeypatch):
    scripted(monkeypatch, [1.0, 1.0], [2.0, 0.9], [2.0, 0.8], [2.0, 0.9], [2.0, 0.9])
    _, curve, _ = fit_toy(epochs=40, patience=2)
    assert len(curve) == 5


def test_a_seed_that_has_stopped_takes_no_later_epoch(monkeypatch):
    scripted(monkeypatch, [1.0, 1.0], [2.0, 0.9], [2.0, 0.8], [0.1, 0.7], [2.0, 0.8], [2.0, 0.8])
    together, _, _ = fit_toy(epochs=40, patience=2)
    scripted(monkeypatch, [1.0], [2.0], [2.0])
    alone, _, _ = fit_toy(epochs=40, patience=2, seeds=1)
    assert torch.allclose(together.weight1[0], alone.weight1[0], atol=1e-5)


# The network


def test_each_head_starts_as_it_would_alone():
    heads = Heads(torch.zeros(4), torch.ones(4), hidden=6, classes=3, dropout=0.0, seeds=3)
    torch.manual_seed(2)
    alone, x = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(5, 4)
    with torch.inference_mode():
        assert torch.allclose(heads(x.expand(3, -1, -1))[2], alone(x), atol=1e-6)


def test_dropout_keeps_the_mean_of_the_logits():
    heads = Heads(torch.zeros(4), torch.ones(4), hidden=6, classes=3, dropout=0.75, seeds=1)
    x = torch.randn(1, 1, 4, generator=torch.Generator().manual_seed(0)).expand(1, 20000, 4)
    kept = torch.rand(1, 20000, 6, generator=torch.Generator().manual_seed(1)) >= 0.75
    with torch.inference_mode():
        assert torch.allclose(heads(x, kept).mean(dim=1), heads(x)[:, 0], atol=0.02)


def test_standardisation_travels_with_the_model():
    heads = Heads(torch.tensor([3.0, -1.0]), torch.tensor([2.0, 0.5]), hidden=4, classes=2, dropout=0.0, seeds=1)
    plain = Heads(torch.zeros(2), torch.ones(2), hidden=4, classes=2, dropout=0.0, seeds=1)
    assert heads.state_dict()["mean"].tolist() == [3.0, -1.0]
    with torch.inference_mode():
        # (7 - 3) / 2 = 2 and (0 + 1) / 0.5 = 2.
        assert torch.equal(heads(heads.standardise(torch.tensor([[[7.0, 0.0]]]))), plain(torch.tensor([[[2.0, 2.0]]])))


def test_state_of_heads_is_what_the_head_module_reads():
    state = Heads(torch.zeros(4), torch.ones(4), hidden=6, classes=3, dropout=0.5, seeds=2).state_dict()
    shapes = {"mean": (4,), "std": (4,), "weight1": (2, 4, 6), "bias1": (2, 1, 6), "weight2": (2, 6, 3)}
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes | {"bias2": (2, 1, 3)}
    assert {np.dtype(value.numpy().dtype) for value in state.values()} == {np.dtype(np.float32)}
