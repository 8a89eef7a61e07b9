"""The MLP heads of all seeds in one batched module."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite.fusion.linear_start import LinearStart
from mocliplite.fusion.products import batched_product
from mocliplite.large_arrays import new_array

_PART = 4096  # clips, to limit memory


class Heads(nn.Module):
    """Linear -> ReLU -> Dropout -> Linear, for S seeds in parallel; each seed has the initial weights of a single head.

    The buffers `mean` and `std` (float32 [D]) standardise the input. With a start, the head adds the logits of this
    linear classifier, the buffer `linear` (float32 [D, C]), which is not trained. The second layer then starts at zero,
    so that the head starts as the linear classifier. With attention, the keyframe is the mean of several frames,
    weighted by `attend` with the parameter `query` (float32 [S, D1]). The query starts at zero, where all weights are
    equal.
    """

    mean: Tensor
    std: Tensor
    linear: Tensor | None
    query: nn.Parameter | None

    def __init__(
        self,
        mean: Tensor,
        std: Tensor,
        hidden: int,
        classes: int,
        dropout: float,
        seeds: int,
        start: LinearStart | None = None,
        attention: int | None = None,
    ) -> None:
        """attention: length D1 of the keyframe's embedding, the first part of the input, or None for no attention."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.register_buffer("linear", None)
        layers = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            layers.append((nn.Linear(len(mean), hidden), nn.Linear(hidden, classes)))
        self.weight1 = nn.Parameter(torch.stack([first.weight.T for first, _ in layers]).detach())
        self.bias1 = nn.Parameter(torch.stack([first.bias[None] for first, _ in layers]).detach())
        self.weight2 = nn.Parameter(torch.stack([second.weight.T for _, second in layers]).detach())
        self.bias2 = nn.Parameter(torch.stack([second.bias[None] for _, second in layers]).detach())
        self.query = None if attention is None else nn.Parameter(torch.zeros(seeds, attention))
        self.dropout = dropout
        if start is not None:
            self._start_from(start)

    def _start_from(self, start: LinearStart) -> None:
        weight, bias = torch.from_numpy(start.weight), torch.from_numpy(start.bias)  # of features as they are
        self.linear = (self.std[:, None] * weight.to(self.std)).contiguous()
        with torch.no_grad():
            self.weight2.zero_()
            self.bias2.copy_((bias + self.mean.cpu().double() @ weight).to(self.bias2))

    def forward(self, x: Tensor, dropout_mask: Tensor | None = None, linear_logits: Tensor | None = None) -> Tensor:
        """Logits [S, N, C] of standardised x [S, N, D]; dropout_mask, bool [S, N, hidden], is True for units kept.

        linear_logits: those of the linear classifier for x, [S, N, C] or [1, N, C], where they are known.
        """
        hidden = (batched_product(x, self.weight1) + self.bias1).relu()
        if dropout_mask is not None:
            hidden = hidden * dropout_mask / (1 - self.dropout)
        logits = batched_product(hidden, self.weight2) + self.bias2
        if self.linear is None:
            return logits
        if linear_logits is None:
            linear_logits = batched_product(x, self.linear.expand(len(x), -1, -1))
        return logits + linear_logits

    def linear_logits(self, streams: Sequence[Tensor]) -> Tensor | None:
        """Logits [1, N, C] of the linear classifier for the plain view of the standardised streams [N, K, D].

        They are the same for all seeds and in all epochs. None without a linear classifier, and with attention, where
        they depend on the query.
        """
        if self.linear is None or self.query is not None:
            return None
        count, (_, classes) = len(streams[0]), self.linear.shape
        out = torch.from_numpy(new_array((1, count, classes), np.float32)).to(self.linear.device)
        parts = (stream[:, 0].split(_PART) for stream in streams)
        for *part, logits in zip(*parts, out.split(_PART, dim=1), strict=True):
            logits.copy_(batched_product(torch.cat(part, dim=1)[None], self.linear[None]))
        return out

    def plain_input(self, streams: Sequence[Tensor]) -> Tensor:
        """Input [S, N, D] of `forward` for the plain view of the standardised streams [N, K, D].

        With attention, the first stream has the frames in its views from 1.
        """
        x = torch.cat([stream[:, 0] for stream in streams], dim=1).expand(len(self.weight1), -1, -1)
        if self.query is None:
            return x
        frames = streams[0][None, :, 1:].expand(len(self.weight1), -1, -1, -1)
        return torch.cat([attend(frames, self.query), x[..., self.query.shape[1] :]], dim=2)


def attend(frames: Tensor, query: Tensor) -> Tensor:
    """Return the mean [S, N, D] of the frames [S, N, F, D], weighted by scaled dot-product attention.

    query: [S, D]. As in Vaswani et al. (2017), the weights are the softmax, over the frames, of their products with the
    query, divided by the root of D.
    """
    scores = torch.einsum("snfd,sd->snf", frames, query) / query.shape[1] ** 0.5
    return torch.einsum("snf,snfd->snd", scores.softmax(dim=2), frames)
