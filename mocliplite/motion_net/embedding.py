"""Embeddings of clips by a trained motion network."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from mocliplite.motion_net import augmentation, networks, sampling
from mocliplite.motion_net.loader import ClipSample, MotionClips, batches
from mocliplite.params import MotionNet


@torch.inference_mode()
def embed_motion(
    net: networks.Network, fields: Tensor, settings: MotionNet, view: str = "plain"
) -> tuple[Tensor, Tensor]:
    """(embeddings float32 [B, D], logits float32 [B, C]) of one view of fields [B, T, 3, rows, cols].

    The network is put into eval mode: nothing in it changes.
    """
    net.eval()
    embedding = torch.stack([net.embed(seen) for seen in augmentation.view_inputs(fields, settings, view)]).mean(dim=0)
    return embedding, net.classify(embedding)


def embed_clips(
    net: networks.Network, clips: MotionClips, settings: MotionNet, view: str, workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """embed_motion of all clips, read from their store: numpy float32 [N, D] and [N, C]."""
    where = next(net.parameters()).device
    picks = list(sample_batches(range(len(clips)), settings, view))
    # Processes take longer to start than one batch to read.
    stream = batches(clips, picks, workers if len(picks) > 1 else 0)
    parts = [embed_motion(net, fields.to(where), settings, view) for fields, _ in stream]
    embedding, logits = (torch.cat(values).cpu().numpy() for values in zip(*parts, strict=True))
    return embedding, logits


def sample_batches(rows: Sequence[int], settings: MotionNet, view: str = "plain") -> Iterator[list[ClipSample]]:
    """The batches in which clips are embedded."""
    places = sampling.positions(settings, view)
    for part in range(0, len(rows), settings.batch):
        yield [ClipSample(row, places) for row in rows[part : part + settings.batch]]
