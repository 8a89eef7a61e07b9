"""Embeddings of clips by a trained motion network."""

from collections.abc import Collection, Iterator, Sequence
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
    """Return embed_motion of all clips in each view: numpy float32 [N, V, D] and [N, V, C]."""
    batches = embed_batches(net, clips, range(len(clips)), settings, views, workers)
    _, embeddings, logits = zip(*batches, strict=True)
    return np.concatenate(embeddings), np.concatenate(logits)


def embed_batches(
    net: networks.Network,
    clips: MotionClips | CachedClips,
    wanted: Collection[int],
    settings: MotionNet,
    views: Sequence[str],
    workers: int,
) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Yield (rows, embeddings float32 [B, V, D], logits [B, V, C]) of each batch that has one of the wanted rows.

    The last bits depend on the size of a batch. So the batches are those of all clips, and a run that was interrupted
    continues with the same ones. A clip is read once for all views. Where the memory of a GPU is full, the batches are
    smaller than settings.batch. Raises UserError if it is too small for one clip.
    """
    positions = {view: sampling.view_positions(settings, view) for view in views}
    different, of_view = np.unique(np.stack(list(positions.values())), axis=0, return_inverse=True)
    batches = embedding_batches(range(len(clips)), settings, different.ravel())
    samples = [batch for batch in batches if any(sample.row in wanted for sample in batch)]
    # Starting worker processes takes longer than reading one batch.
    for fields, rows in load_batches(clips, samples, workers if len(samples) > 1 else 0):
        forward = partial(_embed_views, net, fields, settings, list(zip(views, of_view, strict=True)))
        outputs = in_batches(forward, len(fields), settings.batch, "clips")
        embedding, logits = (torch.cat(values).cpu().numpy() for values in zip(*outputs, strict=True))
        yield rows.tolist(), embedding, logits


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
