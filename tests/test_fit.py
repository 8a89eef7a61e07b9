from copy import deepcopy
from dataclasses import replace

import torch
from builders import weights
from torch.nn.functional import cross_entropy

from mocliplite import fields as motion_fields
from mocliplite import fit, nets, params

torch.set_num_threads(1)  # the machine is shared, and so small a network gains nothing from more

NET = params.MotionNet(
    arch="grid",
    frames=2,
    rows=3,
    cols=4,
    width=6,
    dropout=0.5,
    lr=0.01,
    weight_decay=0.01,
    label_smoothing=0.1,
    epochs=4,
    batch=8,
    flip=True,
    views=("plain", "flip"),
    seed=0,
)

# Of 32 clips the last eight are in neither part, as test clips are.
TRAIN, VAL = torch.arange(16), torch.arange(16, 24)
LABELS = torch.arange(32) % 2


def fields_of(clips=32, seed=0, shape=(8, 3, 3, 4)):
    """Random fields in which class 1 moves down and class 0 up."""
    out = torch.randn(clips, *shape, generator=torch.Generator().manual_seed(seed)) * 0.5
    out[:, :, 1] += (2 * LABELS[:clips] - 1)[:, None, None, None]
    return out.half()


def train(fields=None, labels=LABELS, val=VAL, **changes):
    return fit.fit_motion(fields_of() if fields is None else fields, labels, TRAIN, val, 2, replace(NET, **changes))


# Training the motion network


def test_training_twice_gives_the_same_bytes():
    (first, *figures), (second, *same) = train(), train()
    assert weights(first) == weights(second)
    assert figures == same


def test_another_seed_gives_other_weights():
    assert weights(train(seed=1)[0]) != weights(train(seed=0)[0])


def test_seed_decides_on_order_and_augmentation_as_well(monkeypatch):
    start = nets.motion_net(replace(NET, dropout=0.0), 2)
    monkeypatch.setattr(nets, "motion_net", lambda *_: deepcopy(start))
    first, second = (train(seed=seed, epochs=1)[0] for seed in (0, 1))
    assert weights(first) != weights(second)


def test_state_of_the_random_numbers_does_not_matter():
    torch.manual_seed(5)
    first = weights(train()[0])
    torch.manual_seed(6)
    assert weights(train()[0]) == first


def test_motion_that_differs_is_learned():
    _, curve, epoch = train(epochs=8)
    assert curve[epoch]["val_top1"] == 1.0
    assert curve[-1]["train_loss"] < curve[0]["train_loss"]


def test_clips_of_neither_part_leave_no_trace():
    spoilt, labels = fields_of(), LABELS.clone()
    spoilt[24:], labels[24:] = torch.nan, 1 - labels[24:]
    (net, *figures), (other, *same) = train(), train(spoilt, labels)
    assert weights(other) == weights(net)
    assert same == figures


def test_validation_clips_are_judged_and_never_learned_from():
    labels = LABELS.clone()
    labels[VAL] = 1 - labels[VAL]
    (net, curve, _), (other, turned, _) = train(epochs=1), train(labels=labels, epochs=1)
    assert weights(other) == weights(net)
    assert turned[0]["train_loss"] == curve[0]["train_loss"]
    assert turned[0]["val_top1"] == 1 - curve[0]["val_top1"]


def test_validation_chooses_the_epoch():
    labels = LABELS.clone()
    labels[VAL] = 1 - labels[VAL]
    # The more is learned, the worse for clips with the wrong label: an early epoch is the best.
    net, curve, epoch = train(labels=labels, epochs=6)
    losses = [row["val_loss"] for row in curve]
    logits = fit.embed_motion(net, fields_of()[VAL], batch=8)[1]
    assert losses[epoch] == min(losses) < losses[-1]
    assert cross_entropy(logits, labels[VAL]).item() == losses[epoch]


def test_of_equal_epochs_the_first_is_returned():
    # With one class every loss is 0.
    net, curve, epoch = fit.fit_motion(fields_of(), torch.zeros_like(LABELS), TRAIN, VAL, 1, NET)
    assert [row["val_loss"] for row in curve] == [0.0] * 4
    assert epoch == 0
    # 16 clips in batches of 8: BatchNorm counts two in the first epoch.
    assert net.space[0][1].num_batches_tracked == 2


def test_curve_has_a_row_an_epoch():
    _, curve, epoch = train(epochs=3)
    assert [row.keys() for row in curve] == [{"train_loss", "val_loss", "val_top1"}] * 3
    assert 0 <= epoch < 3
    assert curve[epoch]["val_loss"] == min(row["val_loss"] for row in curve)


# What the network sees


def numbered(clips=200, frames=3):
    """float16 [clips, JITTER x frames, 3, 1, 2] of which every value tells its place in time."""
    places = torch.arange(fit.JITTER * frames).half()
    return places[None, :, None, None, None].expand(clips, -1, 3, 1, 2)


def augmented(fields, flip=False, seed=0):
    return fit.augment(fields, replace(NET, flip=flip), torch.Generator().manual_seed(seed))


def test_augment_takes_any_one_place_of_each_span():
    out = augmented(numbered())
    assert out.shape == (200, 3, 3, 1, 2)
    assert out.dtype == torch.float32
    for span in range(3):
        assert set(out[:, span].flatten().tolist()) == {4.0 * span + place for place in range(4)}


def test_augment_keeps_a_field_whole():
    out = augmented(numbered())
    assert torch.equal(out, out[:, :, :1, :, :1].expand_as(out))


def test_augment_follows_its_seed():
    assert torch.equal(augmented(numbered(), seed=3), augmented(numbered(), seed=3))
    assert not torch.equal(augmented(numbered(), seed=4), augmented(numbered(), seed=3))


def test_augment_mirrors_half_of_the_clips_and_each_of_them_throughout():
    right = torch.ones(400, 8, 3, 3, 4).half()
    out = augmented(right, flip=True)[:, :, 0].flatten(1)
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert 160 <= int((out[:, 0] == -1).sum()) <= 240
    assert torch.equal(augmented(right, flip=False), torch.ones(400, 2, 3, 3, 4))


def test_plain_is_the_second_place_of_each_span():
    out = fit.plain(numbered(clips=2))
    assert out[:, :, 0, 0, 0].tolist() == [[1.0, 5.0, 9.0]] * 2
    assert out.dtype == torch.float32


def test_clips_are_sampled_at_as_many_places_as_are_seen():
    assert fit.field_shape(NET) == (8, 3, 4)
    assert fit.plain(torch.zeros(1, *fit.field_shape(NET)[:1], 3, 3, 4)).shape[1] == NET.frames


def test_flip_reverses_columns_and_the_sign_of_x():
    x, y, known = [[1.0, 2.0]], [[3.0, 4.0]], [[0.5, 1.0]]
    wanted = [[[-2.0, -1.0]], [[4.0, 3.0]], [[1.0, 0.5]]]
    assert fit.flip(torch.tensor([x, y, known])).tolist() == wanted


def test_flip_twice_is_nothing():
    fields = fields_of(4)
    assert torch.equal(fit.flip(fit.flip(fields)), fields)
    assert not torch.equal(fit.flip(fields), fields)


def test_flip_is_what_the_mirrored_video_would_give():
    vectors = torch.randint(-90, 90, (3, 6, 10, 2), generator=torch.Generator().manual_seed(0)).to(torch.int8)
    kind = torch.ones(3, dtype=torch.uint8).numpy()
    mirrored = vectors.flip(2) * torch.tensor([-1, 1], dtype=torch.int8)
    seen, wanted = (
        torch.from_numpy(motion_fields.sample_fields(video.numpy(), kind, (96, 160), (4, 3, 5)))
        for video in (vectors, mirrored)
    )
    assert torch.allclose(fit.flip(seen.float()), wanted.float(), atol=1e-2)


# Embedding


def test_embedding_leaves_the_network_to_the_byte():
    net = train(epochs=1)[0].train()
    before = weights(net)
    fit.embed_motion(net, fields_of(), batch=5)
    assert weights(net) == before


def test_embedding_drops_nothing_out_and_forgets_the_last_batch():
    net, fields = train(epochs=1)[0].train(), fields_of()
    first = fit.embed_motion(net.train(), fields, batch=32)
    second = fit.embed_motion(net.train(), fields, batch=5)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(first, second, strict=True))


def test_views_are_the_plain_fields_and_their_mirror_image():
    net, fields = train()[0], fields_of()
    plain, _ = fit.embed_motion(net, fields, batch=8)
    mirrored, logits = fit.embed_motion(net, fields, batch=8, view="flip")
    with torch.inference_mode():
        assert torch.allclose(plain, net.embed(fields[:, 1::4].float()), atol=1e-6)
        assert torch.allclose(logits, net(fit.flip(fields[:, 1::4].float())), atol=1e-6)
    assert (plain - mirrored).abs().max() > 1e-3
