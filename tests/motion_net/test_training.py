"""Training of a motion network: reproducible, chosen on validation clips, blind to test clips."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from builders import NET, weights
from motion_training import IDS, LABELS, VAL, MeanNet, training_data, with_wrong_labels
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from mocliplite.motion_net import loader, networks, training
from mocliplite.motion_net.embedding import embed_clips
from mocliplite.store import stores

# Reproducibility


def test_training_twice_gives_the_same_bytes_with_any_number_of_workers(train):
    (first, *results), (second, *same_results) = train(), train(workers=2)
    assert weights(first) == weights(second)
    assert results == same_results


def test_another_seed_gives_other_weights(train):
    assert weights(train(seed=1)[0]) != weights(train(seed=0)[0])


def test_the_seed_decides_on_order_and_augmentation_as_well(train, monkeypatch):
    start = networks.build_network(replace(NET, dropout=0.0), 2)
    monkeypatch.setattr(networks, "build_network", lambda *_: deepcopy(start))
    first, second = (train(seed=seed, epochs=1)[0] for seed in (0, 1))
    assert weights(first) != weights(second)


def test_the_global_random_state_does_not_matter(train):
    torch.manual_seed(5)
    first = weights(train()[0])
    torch.manual_seed(6)
    assert weights(train()[0]) == first


# Train, validation and test clips


def test_classes_that_differ_in_motion_are_learned(train):
    _, curve, epoch = train(epochs=20, patience=20, dropout=0.2)
    assert curve[epoch]["val_top1"] == 1.0
    assert curve[-1]["train_loss"] < curve[0]["train_loss"]


def test_an_added_network_is_trained_as_motion_histogram_is(train, monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "mine", MeanNet)
    net, curve, epoch = train(arch="mine", epochs=20, patience=20, lr=0.1)
    assert isinstance(net, MeanNet)
    assert curve[epoch]["val_top1"] == 1.0


def test_labels_of_test_clips_change_nothing(train):
    (net, *results), (other, *same_results) = train(), train(with_wrong_labels(range(24, 32)))
    assert weights(other) == weights(net)
    assert same_results == results


def test_test_clips_are_not_read(train, monkeypatch):
    read = set()
    read_frames = stores.Store.read_frames
    monkeypatch.setattr(
        stores.Store, "read_frames", lambda self, *arguments: read.add(arguments[0]) or read_frames(self, *arguments)
    )
    train(epochs=1)
    assert read == set(IDS[:24])


def test_labels_of_validation_clips_change_the_validation_figures_alone(train):
    (net, curve, _), (other, wrong_curve, _) = train(epochs=1), train(with_wrong_labels(VAL), epochs=1)
    assert weights(other) == weights(net)
    assert wrong_curve[0]["train_loss"] == curve[0]["train_loss"]
    assert wrong_curve[0]["val_top1"] == 1 - curve[0]["val_top1"]


def test_the_epoch_of_the_lowest_validation_loss_is_returned(train, motion):
    # With wrong validation labels, learning increases the validation loss: an early epoch is the best.
    labels = with_wrong_labels(VAL)
    net, curve, epoch = train(labels, epochs=6, patience=6)
    losses = [row["val_loss"] for row in curve]
    _, logits = embed_clips(net, loader.MotionClips(motion, IDS[16:24], NET), NET, ["plain"], 0)
    assert losses[epoch] == min(losses) < losses[-1]
    assert cross_entropy(torch.from_numpy(logits[:, 0]), labels[16:24]).item() == pytest.approx(losses[epoch], rel=1e-6)


def test_training_stops_after_patience_epochs_without_improvement(train):
    _, curve, epoch = train(with_wrong_labels(VAL), epochs=30, patience=3)
    assert len(curve) == epoch + 1 + 3 < 30


def test_the_first_of_equal_epochs_is_returned(train):
    # With this learning rate nothing is learned: all epochs are equal but for BatchNorm's count of batches.
    net, curve, epoch = train(
        lr=1e-30, dropout=0.0, flip=False, zoom=0.0, shift=0.0, speed_jitter=0.0, temporal_crop=0.0, frames=4
    )
    assert len(curve) == 4
    assert epoch == min(range(4), key=lambda row: (curve[row]["val_loss"], row))
    assert next(value for name, value in net.state_dict().items() if "num_batches" in name) == 2 * (epoch + 1)


def test_train_batches_are_of_nearly_equal_size(motion):
    batches = training.train_batches(training_data(motion, train=range(17)), replace(NET, batch=8), 0)
    assert [len(batch) for batch in batches] == [9, 8]
    assert sorted(sample.row for batch in batches for sample in batch) == list(range(17))


# Several classes per clip


def test_classes_that_a_clip_may_have_together_are_learned(train):
    labels = torch.stack([LABELS, torch.ones_like(LABELS)], dim=1).to(torch.uint8)
    _, curve, epoch = train(labels, epochs=20, patience=20, dropout=0.2)
    assert curve[epoch]["val_loss"] < 0.4  # of a network that knows nothing of the first class: 0.35 + at least 0.05
    assert curve[epoch]["val_top1"] == 1.0


def test_the_loss_of_several_classes_is_the_binary_cross_entropy_with_smoothed_labels():
    logits, labels = torch.tensor([[2.0, -1.0], [0.5, 0.0]]), torch.tensor([[1, 0], [1, 1]], dtype=torch.uint8)
    wanted = binary_cross_entropy_with_logits(logits, torch.tensor([[0.95, 0.05], [0.95, 0.95]]))
    assert training._loss(logits, labels, 0.1).item() == pytest.approx(wanted.item())
    summed = binary_cross_entropy_with_logits(logits, labels.float()) * 2
    assert training._loss(logits, labels, reduction="sum").item() == pytest.approx(summed.item())


def test_without_patience_the_network_of_the_last_epoch_is_kept(train):
    labels = with_wrong_labels(VAL)
    _, curve, best = train(labels, epochs=6, patience=6)
    assert best < 5
    net, _, epoch = train(labels, epochs=6, patience=None)
    assert epoch == len(curve) - 1 == 5
    assert not torch.equal(net.classify.weight, train(labels, epochs=6, patience=6)[0].classify.weight)
