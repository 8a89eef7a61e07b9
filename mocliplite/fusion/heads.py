"""The MLP heads of all seeds at once, and how they are fitted. Validation chooses the epoch; no test clip is seen."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite import params
from mocliplite.fusion import methods
from mocliplite.fusion.one_cycle import OneCycleAdamW
from mocliplite.fusion.pairs import Arrays
from mocliplite.runtime.progress import progress_range

Curve = list[dict[str, float]]


class Buffers(NamedTuple):
    """Where each step's input is put: memory that is asked for anew each time costs more than what is done in it."""

    x: Tensor  # features [S, B, D]
    drawn: Tensor  # [S, B, hidden], from 0 to 1


class Heads(nn.Module):
    """Linear -> ReLU -> Dropout -> Linear, for S seeds side by side; each starts as it would alone.

    `mean` and `std` (float32 [D]), by which inputs are standardised, belong to the model.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, hidden: int, classes: int, dropout: float, seeds: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        layers = []
        for seed in range(seeds):
            torch.manual_seed(seed)
            layers.append((nn.Linear(len(mean), hidden), nn.Linear(hidden, classes)))
        self.weight1 = nn.Parameter(torch.stack([first.weight.T for first, _ in layers]).detach())
        self.bias1 = nn.Parameter(torch.stack([first.bias[None] for first, _ in layers]).detach())
        self.weight2 = nn.Parameter(torch.stack([second.weight.T for _, second in layers]).detach())
        self.bias2 = nn.Parameter(torch.stack([second.bias[None] for _, second in layers]).detach())
        self.dropout = dropout

    def standardise(self, features: Tensor) -> Tensor:
        """Features [..., D] as `forward` takes them."""
        return (features - self.mean) / self.std

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """Logits [S, N, C] of standardised x [S, N, D]; kept, bool [S, N, hidden]: the units that dropout leaves."""
        hidden = torch.baddbmm(self.bias1, x, self.weight1).relu()
        if kept is not None:
            hidden = hidden * kept / (1 - self.dropout)
        return torch.baddbmm(self.bias2, hidden, self.weight2)


def fit_head(
    name: str, train: Arrays, val: Arrays, settings: params.Head, where: torch.device
) -> tuple[dict[str, np.ndarray], Curve, dict[str, float]]:
    """Fit one of head.STREAMS on the arrays of pairs.h5: tensors as head.head_logits reads them, curve and figures."""
    given, judge = (
        (
            [torch.from_numpy(data[stream]).to(where) for stream in methods.STREAMS[name]],
            torch.from_numpy(data["label"]).to(where),
        )
        for data in (train, val)
    )
    heads, curve, judged = fit_heads(given, judge, len(train["classes"]), settings, name)
    return {f"{name}.{key}": value.cpu().numpy() for key, value in heads.state_dict().items()}, curve, judged


def fit_heads(
    train: tuple[Sequence[Tensor], Tensor],
    val: tuple[Sequence[Tensor], Tensor],
    classes: int,
    settings: params.Head,
    name: str,
) -> tuple[Heads, Curve, dict[str, float]]:
    """Fit the heads of all seeds at once, in one tensor a layer.

    train: streams, each float32 [N, K, D] of its own K views and length, and labels int64 [N]. A step sees one random
    view of each stream of a clip; with settings.views plain, always view 0. With settings.stream_dropout, that share of
    clips lacks one stream: all its features are at the mean. val: the same, of which view 0 is judged. A seed keeps the
    epoch of its lowest validation loss, and stops after settings.patience epochs without a lower one. Returns the
    heads, the curve, and the validation figures of the heads as kept; both are means over seeds.
    """
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms would import the compiler
    streams = [stream[:, :1] if settings.views == "plain" else stream for stream in train[0]]
    heads = _start(streams, classes, settings)
    lengths = [stream.shape[2] for stream in streams]
    views = [_rows(part) for part in _standardised(heads, streams, lengths)]
    judged = torch.cat(_standardised(heads, [stream[:, :1] for stream in val[0]], lengths), dim=2)[:, 0]
    labels, device = train[1], train[1].device
    steps = settings.epochs * -(-len(labels) // settings.batch)
    descent = OneCycleAdamW(list(heads.parameters()), settings.lr, settings.weight_decay, steps)
    generators = [torch.Generator(device).manual_seed(seed) for seed in range(settings.seeds)]

    room = _buffers(settings, sum(lengths), device)
    curve: Curve = []
    best = [value.detach().clone() for value in heads.parameters()]
    lowest = torch.full((settings.seeds,), torch.inf, device=device)
    since = torch.zeros(settings.seeds, dtype=torch.int64, device=device)
    for _ in progress_range(f"train_head {name}", settings.epochs, "epoch"):
        total = torch.zeros((), device=device)
        orders = torch.stack([torch.randperm(len(labels), generator=one, device=device) for one in generators])
        for rows in orders.split(settings.batch, dim=1):
            x, kept = _step_input(views, rows, settings, generators, room)
            # The sum over seeds: each gets the gradient that it would have alone.
            loss = nn.functional.cross_entropy(heads(x, kept).flatten(0, 1), labels[rows].flatten()) * settings.seeds
            descent.step(loss)
            total += loss.detach() / settings.seeds * rows.shape[1]
        losses, top1 = _validate(heads, judged, val[1])
        better = (losses < lowest) & (since < settings.patience)
        lowest, since = torch.where(better, losses, lowest), torch.where(better, 0, since + 1)
        for kept_value, value in zip(best, heads.parameters(), strict=True):
            kept_value[better] = value.detach()[better]
        curve.append(
            {"train_loss": total.item() / len(labels), "val_loss": losses.mean().item(), "val_top1": top1.mean().item()}
        )
        if bool((since >= settings.patience).all()):
            break
    with torch.no_grad():
        for value, kept_value in zip(heads.parameters(), best, strict=True):
            value.copy_(kept_value)
    losses, top1 = _validate(heads, judged, val[1])
    return heads, curve, {"val_loss": losses.mean().item(), "val_top1": top1.mean().item()}


def mean_and_std(stream: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation, float32 [D] each, of all views of a stream [N, K, D]."""
    rows = stream.flatten(0, 1)
    std = rows.std(dim=0, correction=0)
    # A feature that never changes tells nothing; divided by 1 it stays the constant that it is.
    return rows.mean(dim=0), torch.where(std > 1e-6, std, torch.ones_like(std))


def _start(streams: Sequence[Tensor], classes: int, settings: params.Head) -> Heads:
    mean, std = (torch.cat(parts) for parts in zip(*map(mean_and_std, streams), strict=True))
    return Heads(mean, std, settings.hidden, classes, settings.dropout, settings.seeds).to(mean.device)


def _standardised(heads: Heads, streams: Sequence[Tensor], lengths: list[int]) -> list[Tensor]:
    bounds = zip(streams, heads.mean.split(lengths), heads.std.split(lengths), strict=True)
    return [(stream - mean) / std for stream, mean, std in bounds]


def _rows(stream: Tensor) -> tuple[Tensor, int]:
    """A stream [N, K, D] as [N * K, D], so that a step is one look-up of rows; and K."""
    return stream.flatten(0, 1), stream.shape[1]


def _buffers(settings: params.Head, length: int, device: torch.device) -> Buffers:
    widths = (length, settings.hidden)
    return Buffers(*(torch.empty(settings.seeds, settings.batch, width, device=device) for width in widths))


def _step_input(
    views: list[tuple[Tensor, int]],
    rows: Tensor,
    settings: params.Head,
    generators: list[torch.Generator],
    room: Buffers,
) -> tuple[Tensor, Tensor]:
    """Features [S, B, D] of the clips `rows` [S, B], and hidden units kept [S, B, hidden].

    Each seed draws from its own generator, in an order that does not depend on the other seeds.
    """
    size = rows.shape[1]
    x, drawn = room.x[:, :size], room.drawn[:, :size]

    def uniform() -> Tensor:
        return torch.stack([torch.rand(size, generator=one, device=one.device) for one in generators])

    parts = x.split([stream.shape[1] for stream, _ in views], dim=2)
    for part, (stream, count) in zip(parts, views, strict=True):
        view = (uniform() * count).long() if count > 1 else torch.zeros_like(rows)
        part.copy_(stream[rows * count + view])
    if settings.stream_dropout and len(views) > 1:
        draw = uniform()[..., None] / settings.stream_dropout * len(views)
        # 0 to 1 drops the first stream, 1 to 2 the second; above that, none.
        for lost, part in enumerate(parts):
            part.mul_((draw < lost) | (draw >= lost + 1))
    for own, generator in zip(drawn, generators, strict=True):
        own.uniform_(generator=generator)
    return x, drawn >= settings.dropout


@torch.inference_mode()
def _validate(heads: Heads, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Validation loss and top-1 of each seed."""
    logits = heads(x.expand(len(heads.weight1), -1, -1))
    losses = torch.stack([nn.functional.cross_entropy(one, labels) for one in logits])
    return losses, (logits.argmax(dim=2) == labels).double().mean(dim=1)
