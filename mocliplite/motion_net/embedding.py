"""Embeddings of clips by a trained motion network."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mocliplite.large_arrays import slices
from mocliplite.motion_net import augmentation, networks, sampling
from mocliplite.motion_net.arithmetic import arithmetic
from mocliplite.motion_net.field_cache import CachedClips
from mocliplite.motion_net.loader import ClipSample, MotionClips, load_batches
from mocliplite.params import MotionNet
from mocliplite.runtime.gpu_memory import in_batches


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
    net: networks.Network, clips: MotionClips | CachedClips, settings: MotionNet, views: Sequence[str], workers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return embed_motion of all clips in each view: numpy float32 [N, V, D] and [N, V, C].

    A clip is read once for all views. Where the memory of a GPU is full, the batches are smaller than settings.batch.
    Raises UserError if it is too small for one clip.
    """
    positions = {view: sampling.view_positions(settings, view) for view in views}
    different, of_view = np.unique(np.stack(list(positions.values())), axis=0, return_inverse=True)
    samples = list(embedding_batches(range(len(clips)), settings, different.ravel()))
    outputs = []
    # Starting worker processes takes longer than reading one batch.
    for fields, _ in load_batches(clips, samples, workers if len(samples) > 1 else 0):
        forward = partial(_embed_views, net, fields, settings, list(zip(views, of_view, strict=True)))
        outputs += in_batches(forward, len(fields), settings.batch, "clips")
    embedding, logits = (torch.cat(values).cpu().numpy() for values in zip(*outputs, strict=True))
    return embedding, logits


def _embed_views(
    net: networks.Network,
    fields: Tensor,
    settings: MotionNet,
    views: Sequence[tuple[str, int]],
    start: int,
    size: int,
) -> list[Tensor]:
    """Return the embeddings and the logits of `size` clips from `start` on. views: each with its part of the fields."""
    device = next(net.parameters()).device
    parts = fields[start : start + size].to(device).split(settings.frames, dim=1)
    by_view = [embed_motion(net, parts[part], settings, view) for view, part in views]
    return [torch.stack(values, dim=1) for values in zip(*by_view, strict=True)]


def embedding_batches(
    rows: Sequence[int], settings: MotionNet, positions: np.ndarray | None = None
) -> Iterator[list[ClipSample]]:
    """Yield the batches of samples in which the clips in these rows are embedded; by default in the plain view."""
    positions = sampling.view_positions(settings) if positions is None else positions
    for part in slices(len(rows), settings.batch):
        yield [ClipSample(row, positions) for row in rows[part]]
