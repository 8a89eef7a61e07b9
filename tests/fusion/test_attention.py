"""Several keyframes, pooled by attention: `head.pooling`."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import weights
from test_heads import HEAD, features_of
from toy_heads import heads_of, toy_models

from mocliplite.fusion import methods
from mocliplite.fusion.batches import Views, allocate, step_input
from mocliplite.fusion.cost import cost
from mocliplite.fusion.head_training import fit_heads
from mocliplite.fusion.heads import attend
from mocliplite.fusion.pairs import keyframe_views
from mocliplite.fusion.shares import logits_by_streams

torch.set_num_threads(1)
ATTENTION = replace(HEAD, pooling="attention")


def pairs_with_frames(clips=7, frames=3):
    """Arrays of pairs.h5 with several keyframes: streams of lengths 2 and 3."""
    rng = np.random.default_rng(0)
    keyframes = rng.normal(size=(clips, frames, 2)).astype(np.float32)
    return {"keyframe": keyframe_views(keyframes), "motion": rng.normal(size=(clips, 1, 3)).astype(np.float32)}


def test_a_frame_like_the_query_has_most_of_the_weight():
    frames = torch.tensor([[[[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]]])
    query = torch.tensor([[2.0**0.5, 0.0]])
    # Products over the root of two: 1, 0 and -1.
    first, second, third = torch.tensor([1.0, 0.0, -1.0]).softmax(dim=0).tolist()
    assert attend(frames, query)[0, 0].tolist() == pytest.approx([first - third, second])


def test_a_head_with_attention_has_the_same_logits_without_torch_and_by_stream():
    heads, tensors = heads_of(seeds=3, attention=2)
    data = pairs_with_frames()
    streams = [torch.from_numpy(data[name]) for name in methods.STREAMS["fusion"]]
    moments = zip(streams, heads.mean.split([2, 3]), heads.std.split([2, 3]), strict=True)
    with torch.inference_mode():
        expected = heads(heads.plain_input([(stream - mean) / std for stream, mean, std in moments])).numpy()
    logits = methods.head_logits(tensors, "fusion", data)
    assert logits == pytest.approx(expected, abs=1e-5)
    assert logits_by_streams(tensors, data)[methods.STREAMS["fusion"]] == pytest.approx(expected, abs=1e-5)
    mean = methods.head_logits({key: tensors[key] for key in tensors if "query" not in key}, "fusion", data)
    assert np.abs(logits - mean).max() > 0.01


def test_all_methods_accept_a_head_with_attention():
    _, probes, data = toy_models()
    tensors = heads_of(attention=2)[1]
    tensors |= {key.replace("fusion", "keyframe"): value for key, value in heads_of(inputs=2, attention=2)[1].items()}
    logits = methods.all_logits(tensors, probes, data | {"keyframe": keyframe_views(data["keyframe"])})
    assert logits["fusion"].shape == logits["keyframe"].shape == (2, 8, 2)


def fit(frames, settings, epochs=1):
    """Heads fitted on three classes, of which one keyframe of `frames`, marked by a feature, shows the class."""
    parts = []
    for seed, count in ((0, 90), (1, 60)):
        labels = torch.arange(count) % 3
        informative = features_of(labels, 3, views=1, distance=3.0, seed=seed)
        noise = torch.randn(count, frames - 1, 6, generator=torch.Generator().manual_seed(seed + 2))
        keyframes = torch.cat([noise, informative], dim=1)
        keyframes[..., 5] = torch.tensor([0.0] * (frames - 1) + [3.0])
        order = torch.rand(count, frames, generator=torch.Generator().manual_seed(seed + 4)).argsort(dim=1)
        keyframes = keyframes[torch.arange(count)[:, None], order]
        parts.append(([torch.from_numpy(keyframe_views(keyframes.numpy()))], labels))
    return fit_heads(*parts, 3, replace(settings, epochs=epochs, patience=epochs, hidden=16), "toy")


def test_with_one_keyframe_attention_changes_nothing():
    first, second = (fit(1, settings)[0] for settings in (HEAD, ATTENTION))
    assert weights(first) == weights(second)


def test_a_query_starts_at_zero_as_the_mean_and_learns_which_frame_shows_the_class():
    settings = replace(ATTENTION, views="plain", lr=0.05)
    heads, _, attention = fit(6, settings, epochs=30)
    _, _, mean = fit(6, replace(settings, pooling="mean"), epochs=30)
    assert attention["val_loss"] < mean["val_loss"] - 0.1
    assert (heads.query[:, 5] > 0.5).all()
    frames = torch.randn(2, 4, 3, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(attend(frames, torch.zeros(2, 6)), frames.mean(dim=2), atol=1e-6)


def test_a_step_sees_the_pooled_frames_or_a_single_one():
    frames = torch.tensor([[0.0], [1.0], [8.0]])
    stream = torch.cat([frames.mean(dim=0, keepdim=True), frames]).expand(200, 4, 1)
    query, rows = torch.tensor([[10.0]]), torch.arange(200)[None]
    seen = {}
    for views, drawn in (("all", 4), ("plain", 1)):
        settings = replace(HEAD, seeds=1, batch=200)
        generators = [torch.Generator().manual_seed(0)]
        buffers = allocate(settings, 1, rows.device)
        x, _ = step_input([Views.of(stream, drawn)], rows, settings, generators, buffers, query)
        seen[views] = {round(value, 3) for value in x.flatten().tolist()}
    assert seen == {"all": {0.0, 1.0, 8.0}, "plain": {8.0}}


def test_cost_counts_the_query():
    provenance = {"cost": {"encoder": None, "motion": {"parameters": 20, "macs": 300}}}
    parts = [cost(heads_of(attention=length)[1], {"keyframes": {"frames": 3}}, provenance) for length in (None, 2)]
    assert parts[1]["head"]["parameters"] - parts[0]["head"]["parameters"] == 2
    # Three frames of two features, multiplied by the query and then by their weights.
    assert parts[1]["head"]["macs"] - parts[0]["head"]["macs"] == 12
