"""Training the motion network, ending and going on, and embedding."""

import itertools
import os
import signal
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import CHECKOUT, NET, weights, write_motion
from safetensors import safe_open
from torch.nn.functional import cross_entropy

from mocliplite.encoders import efficientnet
from mocliplite.motion_net import augmentation, loader, networks, sampling, training
from mocliplite.motion_net.embedding import embed_clips, embed_motion
from mocliplite.store import stores

torch.set_num_threads(1)  # the machine is shared, and so small a network gains nothing from more

CPU = torch.device("cpu")
IDS = [f"clip{row:02d}" for row in range(32)]
# Of 32 clips the last eight are in neither part, as test clips are.
TRAIN, VAL = range(16), range(16, 24)
LABELS = torch.arange(32) % 2


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    """Clips in which class 1 moves down and class 0 up."""
    folder = tmp_path_factory.mktemp("motion")
    rng = np.random.default_rng(0)
    clips = {
        key: rng.integers(-20, 21, (6, 6, 8, 2)) + np.array([0, 40 * (row % 2) - 20]) for row, key in enumerate(IDS)
    }
    write_motion(folder, {key: vectors.astype(np.int8) for key, vectors in clips.items()})
    return stores.open_store(folder)


@pytest.fixture
def train(motion, tmp_path):
    """fit_motion on the clips above; a file to go on from that is new each time, unless one is given."""
    numbers = itertools.count()

    def call(labels=LABELS, resume=None, workers=0, key="key", watch=lambda curve: None, **changes):
        settings = replace(NET, **changes)
        task = training.Task(loader.MotionClips(motion, IDS, settings), labels, TRAIN, VAL, 2)
        return training.fit_motion(task, settings, CPU, workers, resume or tmp_path / f"{next(numbers)}", key, watch)

    return call


# Same input, same bytes


def test_training_twice_gives_the_same_bytes_whatever_the_workers(train):
    (first, *figures), (second, *same) = train(), train(workers=2)
    assert weights(first) == weights(second)
    assert figures == same


def test_another_seed_gives_other_weights(train):
    assert weights(train(seed=1)[0]) != weights(train(seed=0)[0])


def test_seed_decides_on_order_and_augmentation_as_well(train, monkeypatch):
    start = networks.motion_net(replace(NET, dropout=0.0), 2)
    monkeypatch.setattr(networks, "motion_net", lambda *_: deepcopy(start))
    first, second = (train(seed=seed, epochs=1)[0] for seed in (0, 1))
    assert weights(first) != weights(second)


def test_state_of_the_random_numbers_does_not_matter(train):
    torch.manual_seed(5)
    first = weights(train()[0])
    torch.manual_seed(6)
    assert weights(train()[0]) == first


# What is learned, from whom


def test_motion_that_differs_is_learned(train):
    _, curve, epoch = train(epochs=20, patience=20, dropout=0.2)
    assert curve[epoch]["val_top1"] == 1.0
    assert curve[-1]["train_loss"] < curve[0]["train_loss"]


class MeanNet(networks.Network):
    """A network as somebody may add one: the mean motion, and a linear layer."""

    def __init__(self, settings, classes):
        super().__init__()
        self.dropout, self.classify = torch.nn.Dropout(0.0), torch.nn.Linear(3, classes)

    def embed(self, fields):
        return fields.mean(dim=(1, 3, 4))


def test_another_network_is_trained_as_grid_is(train, monkeypatch):
    monkeypatch.setitem(networks.NETWORKS, "mine", MeanNet)
    net, curve, epoch = train(arch="mine", epochs=20, patience=20, lr=0.1)
    assert isinstance(net, MeanNet)
    assert curve[epoch]["val_top1"] == 1.0


def test_labels_of_test_clips_leave_no_trace(train):
    shuffled = LABELS.clone()
    shuffled[24:] = 1 - shuffled[24:]
    (net, *figures), (other, *same) = train(), train(shuffled)
    assert weights(other) == weights(net)
    assert same == figures


def test_clips_of_neither_part_are_not_read(train, monkeypatch):
    read = set()
    whole = stores.Store.read_frames
    monkeypatch.setattr(stores.Store, "read_frames", lambda self, *given: read.add(given[0]) or whole(self, *given))
    train(epochs=1)
    assert read == set(IDS[:24])


def test_validation_clips_are_judged_and_never_learned_from(train):
    labels = LABELS.clone()
    labels[16:24] = 1 - labels[16:24]
    (net, curve, _), (other, turned, _) = train(epochs=1), train(labels, epochs=1)
    assert weights(other) == weights(net)
    assert turned[0]["train_loss"] == curve[0]["train_loss"]
    assert turned[0]["val_top1"] == 1 - curve[0]["val_top1"]


def test_validation_chooses_the_epoch(train, motion):
    labels = LABELS.clone()
    labels[16:24] = 1 - labels[16:24]
    # The more is learned, the worse for clips with the wrong label: an early epoch is the best.
    net, curve, epoch = train(labels, epochs=6, patience=6)
    losses = [row["val_loss"] for row in curve]
    clips = loader.MotionClips(motion, IDS[16:24], NET)
    logits = torch.from_numpy(embed_clips(net, clips, NET, "plain", 0)[1])
    assert losses[epoch] == min(losses) < losses[-1]
    assert cross_entropy(logits, labels[16:24]).item() == pytest.approx(losses[epoch], rel=1e-6)


def test_training_ends_where_validation_has_not_improved_for_a_while(train):
    labels = LABELS.clone()
    labels[16:24] = 1 - labels[16:24]
    _, curve, epoch = train(labels, epochs=30, patience=3)
    assert len(curve) == epoch + 1 + 3 < 30


def test_of_equal_epochs_the_first_is_returned(train):
    # Nothing is learned, so all epochs are equal but for BatchNorm's count of batches.
    net, curve, epoch = train(
        lr=1e-30, dropout=0.0, flip=False, zoom=0.0, shift=0.0, speed_jitter=0.0, temporal_crop=0.0, frames=4
    )
    assert len(curve) == 4
    assert epoch == min(range(4), key=lambda row: (curve[row]["val_loss"], row))
    assert next(value for name, value in net.state_dict().items() if "num_batches" in name) == 2 * (epoch + 1)


def test_no_batch_is_of_one_clip(motion):
    settings = replace(NET, batch=8)
    task = training.Task(loader.MotionClips(motion, IDS, settings), LABELS, range(17), VAL, 2)
    batches = training.epoch_batches(task, settings, 0)
    assert [len(batch) for batch in batches] == [9, 8]
    assert sorted(pick.row for batch in batches for pick in batch) == list(range(17))


# The optimisers


def test_biases_and_batchnorm_do_not_decay():
    settings = replace(NET, weight_decay=0.3)
    net = networks.motion_net(settings, 3)
    optimiser = training.optimiser_of(net, settings)
    assert isinstance(optimiser, torch.optim.AdamW)
    decays = {id(value): group["weight_decay"] for group in optimiser.param_groups for value in group["params"]}
    assert {decays[id(value)] for value in net.parameters() if value.ndim == 1} == {0.0}
    assert {decays[id(value)] for value in net.parameters() if value.ndim > 1} == {0.3}


def test_the_papers_optimiser_has_its_shares_of_the_learning_rate():
    settings = replace(NET, arch="efficientnet_b0", weight_decay=1e-4)
    net = networks.motion_net(settings, 3)
    optimiser = training.optimiser_of(net, settings)
    assert type(optimiser) is torch.optim.Adam
    assert {group["eps"] for group in optimiser.param_groups} == {1e-3}
    share = {id(value): group["share"] for group in optimiser.param_groups for value in group["params"]}
    shares = {name: share[id(value)] for name, value in net.named_parameters()}
    stem = {"normalise.weight", "normalise.bias", f"backbone.{efficientnet.STEM}"}
    assert {name for name, value in shares.items() if value == 1.0} == {"classify.weight", "classify.bias"}
    assert {name for name, value in shares.items() if value == 0.1} == stem
    assert set(shares.values()) == {1.0, 0.1, 0.01}


@pytest.mark.parametrize(
    ("arch", "heights"),
    [
        ("motion_histogram", {0.0: 0, 0.05: 0.5, 0.1: 1, 0.55: 0.5, 1.0: 0}),
        # Epochs 79, 80, 159 and 160 of 200.
        ("efficientnet_b0", {0.0: 1, 79 / 200: 1, 80 / 200: 0.1, 159 / 200: 0.1, 160 / 200: 0.01}),
    ],
)
def test_learning_rates_follow_their_schedule(arch, heights):
    settings = replace(NET, arch=arch)
    assert [training._lr_factor(at, settings) for at in heights] == pytest.approx(list(heights.values()))


# Ending and going on

KILLED = """
import os, signal, sys
from pathlib import Path
sys.path[:0] = [{tests!r}]
from test_fit import CPU, IDS, LABELS, NET, TRAIN, VAL, fit, loader, store
keep = fit._keep
def keep_and_die(state, path, key):
    keep(state, path, key)
    if state.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
fit._keep = keep_and_die
clips = loader.MotionClips(store.open_store({folder!r}), IDS, NET)
fit.fit_motion(fit.Task(clips, LABELS, TRAIN, VAL, 2), NET, CPU, 0, Path({resume!r}), "key")
"""


def test_a_killed_training_goes_on_to_the_same_bytes(train, motion, tmp_path):
    resume = tmp_path / "resume"
    code = KILLED.format(tests=str(CHECKOUT / "tests"), folder=str(motion.path), resume=str(resume))
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]

    with safe_open(resume, framework="np") as file:
        assert any(name.startswith("optimiser/") for name in file.keys())  # noqa: SIM118
    (whole, *figures), (gone_on, *same) = train(), train(resume=resume)
    assert weights(gone_on) == weights(whole)
    assert same == figures


def test_going_on_does_only_what_is_left(train, tmp_path, monkeypatch):
    resume = tmp_path / "resume"
    (net, *figures) = train(resume=resume)
    monkeypatch.setattr(training, "train_epoch", None)
    (again, *same) = train(resume=resume)
    assert weights(again) == weights(net)
    assert same == figures


def test_a_training_of_other_data_or_settings_is_not_gone_on_with(train, tmp_path):
    resume = tmp_path / "resume"
    train(resume=resume, key="other", seed=3)
    assert weights(train(resume=resume)[0]) == weights(train()[0])


def test_the_curve_can_be_watched_as_it_grows_also_by_who_goes_on(train, tmp_path):
    resume, seen = tmp_path / "resume", []
    _, curve, _ = train(resume=resume, watch=lambda curve: seen.append(list(curve)))
    assert seen == [curve[:1], curve[:2], curve[:3], curve, curve]
    seen.clear()
    train(resume=resume, watch=lambda curve: seen.append(list(curve)))
    assert seen == [curve]


# Embedding


def test_embedding_leaves_the_network_to_the_byte(train, motion):
    net = train(epochs=1)[0].train()
    before = weights(net)
    embed_clips(net, loader.MotionClips(motion, IDS, NET), NET, "flip", 0)
    assert weights(net) == before
    assert all(value.grad is None or not value.grad.any() for value in deepcopy(net).parameters())


def test_embedding_drops_nothing_out_and_hardly_depends_on_the_batch(train, motion):
    net = train(epochs=1)[0]
    clips = loader.MotionClips(motion, IDS, NET)
    first = embed_clips(net.train(), clips, replace(NET, batch=32), "plain", 0)
    second = embed_clips(net.train(), clips, replace(NET, batch=5), "plain", 2)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(first, second, strict=True))


def test_views_are_the_plain_clip_its_mirror_image_and_its_later_part(train, motion):
    net, clips = train()[0], loader.MotionClips(motion, IDS[:3], NET)
    embeddings = {}
    for view in ("plain", "flip", "shift"):
        embeddings[view], logits = embed_clips(net, clips, NET, view, 0)
        fields = torch.stack(
            [clips[loader.ClipSample(row, sampling.positions(NET, view))][0] for row in range(3)]
        ).float()
        with torch.inference_mode():
            seen = augmentation.flip(fields) if view == "flip" else fields
            assert np.allclose(embeddings[view], net.embed(seen).numpy(), atol=1e-6)
            assert np.allclose(logits, net(seen).numpy(), atol=1e-6)
    assert np.abs(embeddings["plain"] - embeddings["flip"]).max() > 1e-3
    assert np.abs(embeddings["plain"] - embeddings["shift"]).max() > 1e-3


def test_ten_crops_are_the_mean_of_ten_embeddings():
    settings = replace(NET, arch="efficientnet_b0", frames=1, crops=10)
    torch.manual_seed(0)
    net, fields = networks.motion_net(settings, 2).eval(), torch.randn(1, 1, 3, 6, 8)
    embedding, logits = embed_motion(net, fields, settings)
    with torch.inference_mode():
        crops = torch.cat(list(augmentation.view_inputs(fields, settings)))
        assert torch.allclose(embedding, net.embed(crops).mean(dim=0, keepdim=True), atol=1e-5)
        assert torch.allclose(logits, net(crops).mean(dim=0, keepdim=True), atol=1e-5)
