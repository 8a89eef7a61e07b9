"""Embeddings of clips by a trained motion network."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from mocliplite.motion_net import augmentation, networks, sampling
from mocliplite.motion_net.arithmetic import arithmetic
from mocliplite.motion_net.loader import ClipSample, MotionClips, load_batches
from mocliplite.params import MotionNet


@torch.inference_mode()
def embed_motion(
    net: networks.Network, fields: Tensor, settings: MotionNet, view: str = "plain"
) -> tuple[Tensor, Tensor]:
    """Return (embeddings float32 [B, D], logits float32 [B, C]) of one view of fields [B, T, 3, rows, cols].

    Sets the network to eval mode; its weights do not change.
    """
    net.eval()
    inputs = augmentation.view_inputs(fields, settings, view)
    with arithmetic(settings, fields.device):
        embedding = torch.stack([net.embed(x).float() for x in inputs]).mean(dim=0)
        return embedding, net.classify(embedding).float()


def embed_clips(
    net: networks.Network, clips: MotionClips, settings: MotionNet, view: str, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return embed_motion of all clips, read from their store: numpy float32 [N, D] and [N, C]."""
    device = next(net.parameters()).device
    samples = list(embedding_batches(range(len(clips)), settings, view))
    # Starting worker processes takes longer than reading one batch.
    batches = load_batches(clips, samples, workers if len(samples) > 1 else 0)
    outputs = [embed_motion(net, fields.to(device), settings, view) for fields, _ in batches]
    embedding, logits = (torch.cat(values).cpu().numpy() for values in zip(*outputs, strict=True))
    return embedding, logits


def embedding_batches(rows: Sequence[int], settings: MotionNet, view: str = "plain") -> Iterator[list[ClipSample]]:
    """Yield the batches of samples in which the clips in these rows are embedded."""
    positions = sampling.view_positions(settings, view)
    for start in range(0, len(rows), settings.batch):
        yield [ClipSample(row, positions) for row in rows[start : start + settings.batch]]
