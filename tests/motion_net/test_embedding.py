"""Embedding of clips by a trained motion network."""

from dataclasses import replace

import numpy as np
import torch
from builders import NET, weights
from motion_training import IDS, MeanNet

from mocliplite.motion_net import augmentation, loader, sampling
from mocliplite.motion_net.embedding import embed_batches, embed_clips, embed_motion


def test_embedding_does_not_change_the_network(train, motion):
    net = train(epochs=1)[0].train()
    before = weights(net)
    embed_clips(net, loader.MotionClips(motion, IDS, NET), NET, ["flip"], 0)
    assert weights(net) == before


def test_embedding_uses_no_dropout_and_hardly_depends_on_the_batch_size(train, motion):
    net = train(epochs=1)[0]
    clips = loader.MotionClips(motion, IDS, NET)
    embedding, logits = embed_clips(net.train(), clips, replace(NET, batch=32), ["plain"], 0)
    other_embedding, other_logits = embed_clips(net.train(), clips, replace(NET, batch=5), ["plain"], 2)
    assert np.allclose(embedding, other_embedding, atol=1e-6)
    assert np.allclose(logits, other_logits, atol=1e-6)


def test_the_batches_of_some_clips_are_those_of_all_to_the_bit(train, motion):
    net, clips, settings = train(epochs=1)[0], loader.MotionClips(motion, IDS[:17], NET), replace(NET, batch=5)
    of_all = list(embed_batches(net, clips, range(17), settings, ["plain"], 0))
    of_some = list(embed_batches(net, clips, {7, 9, 16}, settings, ["plain"], 0))
    assert [rows for rows, _, _ in of_all] == [[*range(5)], [*range(5, 10)], [*range(10, 15)], [15, 16]]
    assert [rows for rows, _, _ in of_some] == [[*range(5, 10)], [15, 16]]
    for (_, embedding, logits), (_, all_embedding, all_logits) in zip(of_some, of_all[1::2], strict=True):
        assert np.array_equal(embedding, all_embedding)
        assert np.array_equal(logits, all_logits)


def test_views_are_the_plain_clip_its_mirror_image_and_its_later_part(train, motion):
    net, clips = train()[0], loader.MotionClips(motion, IDS[:3], NET)
    views = ("plain", "flip", "shift")
    embedding, all_logits = embed_clips(net, clips, NET, views, 0)
    embeddings = dict(zip(views, embedding.swapaxes(0, 1), strict=True))
    for view, logits in zip(views, all_logits.swapaxes(0, 1), strict=True):
        samples = [loader.ClipSample(row, sampling.view_positions(NET, view)) for row in range(3)]
        fields = torch.stack([clips[sample][0] for sample in samples]).float()
        with torch.inference_mode():
            inputs = augmentation.flip(fields) if view == "flip" else fields
            assert np.allclose(embeddings[view], net.embed(inputs).numpy(), atol=1e-6)
            assert np.allclose(logits, net(inputs).numpy(), atol=1e-6)
    assert np.abs(embeddings["plain"] - embeddings["flip"]).max() > 1e-3
    assert np.abs(embeddings["plain"] - embeddings["shift"]).max() > 1e-3


def test_the_embedding_of_ten_crops_is_the_mean_of_their_embeddings():
    settings = replace(NET, arch="efficientnet_b0", frames=1, crops=10)
    torch.manual_seed(0)
    # The embeddings of an untrained EfficientNet would be almost 0.
    net, fields = MeanNet(settings, 2).eval(), torch.randn(1, 1, 3, 6, 8)
    embedding, logits = embed_motion(net, fields, settings)
    with torch.inference_mode():
        crops = torch.cat(list(augmentation.view_inputs(fields, settings)))
        assert len(crops) == 10
        assert embedding.abs().max() > 0.01
        assert torch.allclose(embedding, net.embed(crops).mean(dim=0, keepdim=True), atol=1e-5)
        assert torch.allclose(logits, net(crops).mean(dim=0, keepdim=True), atol=1e-5)
