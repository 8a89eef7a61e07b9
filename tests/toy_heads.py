"""Untrained heads and probes, and random arrays of pairs.h5 that fit them."""

import numpy as np
import torch

from mocliplite.fusion.heads import Heads


def heads_of(seeds=2, inputs=5, hidden=3, classes=2, attention=None):
    """Untrained heads, and their tensors as models/head stores them under the name "fusion".

    attention: length of the query, which is random.
    """
    mean, std = torch.linspace(-1, 1, inputs), torch.linspace(0.5, 2, inputs)
    heads = Heads(mean, std, hidden, classes, dropout=0.5, seeds=seeds, attention=attention)
    if attention is not None:
        torch.nn.init.normal_(heads.query, generator=torch.Generator().manual_seed(0))
    return heads, {f"fusion.{key}": value.detach().numpy() for key, value in heads.state_dict().items()}


def standardised(heads, features):
    """Features [..., D] as `Heads.forward` needs them."""
    return (features - heads.mean) / heads.std


def toy_models(clips=8, classes=2):
    """Tensors of the heads, tensors of the probes, and the arrays of pairs.h5: streams of lengths 2 and 3."""
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
    data = {
        "keyframe": rng.normal(size=(clips, 2, 2)),
        "motion": rng.normal(size=(clips, 2, 3)),
        "motion_logits": rng.normal(size=(clips, classes)),
        "prompts": np.eye(2),
        "logit_scale": np.array(50.0),
        "label": np.arange(clips) % classes,
        "classes": np.array(["Run", "Hop"]),
    }
    return tensors, probes, data
