"""The MLP heads of all seeds in one batched module, and their training with early stopping on the validation clips."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite import params
from mocliplite.fusion import methods
from mocliplite.fusion.linear_start import LinearStart, fit_linear_start
from mocliplite.fusion.one_cycle import OneCycleAdamW
from mocliplite.fusion.pairs import Arrays, class_weights
from mocliplite.runtime.progress import progress_range

Curve = list[dict[str, float]]
PROBE_OF = {"fusion": "ridge", "keyframe": "keyframe_probe"}  # the linear probe on the streams of a head


class Buffers(NamedTuple):
    """Preallocated memory for the input of a step; allocating it in each step would take longer than the rest."""

    x: Tensor  # features [S, B, D]
    uniform: Tensor  # random numbers of dropout, from 0 to 1 [S, B, hidden]


class Views(NamedTuple):
    """All views of a stream [N, K, D] as rows, so that a step gathers its input with one index."""

    rows: Tensor  # [N * K, D]
    per_clip: int  # K

    @classmethod
    def of(cls, stream: Tensor) -> "Views":
        """Flatten a stream [N, K, D]."""
        return cls(stream.flatten(0, 1), stream.shape[1])


class Heads(nn.Module):
    """Linear -> ReLU -> Dropout -> Linear, for S seeds in parallel; each seed has the initial weights of a single head.

    The buffers `mean` and `std` (float32 [D]) standardise the input. With a start, the head adds the logits of this
    linear classifier, the buffer `linear` (float32 [D, C]), which is not trained. The second layer then starts at zero,
    so that the head starts as the linear classifier.
    """

    mean: Tensor
    std: Tensor
    linear: Tensor | None

    def __init__(
        self,
        mean: Tensor,
        std: Tensor,
        hidden: int,
        classes: int,
        dropout: float,
        seeds: int,
        start: LinearStart | None = None,
    ) -> None:
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
        self.dropout = dropout
        if start is not None:
            self._start_from(start)

    def _start_from(self, start: LinearStart) -> None:
        weight, bias = torch.from_numpy(start.weight), torch.from_numpy(start.bias)  # of features as they are
        self.linear = (self.std[:, None] * weight.to(self.std)).contiguous()
        with torch.no_grad():
            self.weight2.zero_()
            self.bias2.copy_((bias + self.mean.cpu().double() @ weight).to(self.bias2))

    def standardise(self, features: Tensor) -> Tensor:
        """Standardise features [..., D] for `forward`."""
        return (features - self.mean) / self.std

    def forward(self, x: Tensor, dropout_mask: Tensor | None = None) -> Tensor:
        """Logits [S, N, C] of standardised x [S, N, D]; dropout_mask, bool [S, N, hidden], is True for units kept."""
        hidden = torch.baddbmm(self.bias1, x, self.weight1).relu()
        if dropout_mask is not None:
            hidden = hidden * dropout_mask / (1 - self.dropout)
        logits = torch.baddbmm(self.bias2, hidden, self.weight2)
        return logits if self.linear is None else logits + x @ self.linear


class EarlyStopping:
    """Keeps the parameters of each seed at its epoch of lowest validation loss.

    A seed stops after `patience` epochs without a lower loss; its later epochs are ignored.
    """

    def __init__(self, heads: Heads, patience: int) -> None:
        seeds, device = len(heads.weight1), heads.weight1.device
        self.heads, self.patience = heads, patience
        self.best = [parameter.detach().clone() for parameter in heads.parameters()]
        self.lowest = torch.full((seeds,), torch.inf, device=device)
        self.epochs_since = torch.zeros(seeds, dtype=torch.int64, device=device)

    def update(self, losses: Tensor) -> bool:
        """Record the validation losses [S] of an epoch; return whether all seeds have stopped."""
        better = (losses < self.lowest) & (self.epochs_since < self.patience)
        self.lowest = torch.where(better, losses, self.lowest)
        self.epochs_since = torch.where(better, 0, self.epochs_since + 1)
        for best, parameter in zip(self.best, self.heads.parameters(), strict=True):
            best[better] = parameter.detach()[better]
        return bool((self.epochs_since >= self.patience).all())

    def restore(self) -> None:
        """Set the heads to their best parameters."""
        with torch.no_grad():
            for parameter, best in zip(self.heads.parameters(), self.best, strict=True):
                parameter.copy_(best)


def fit_head(
    name: str, train: Arrays, val: Arrays, settings: params.Head, device: torch.device, alphas: Mapping[str, float]
) -> tuple[dict[str, np.ndarray], Curve, dict[str, float]]:
    """Fit one head of methods.STREAMS on the arrays of pairs.h5.

    alphas: the penalty of each probe, the result of fit_probes. Returns the tensors for methods.head_logits, the
    training curve and the validation figures; see `fit_heads`.
    """
    train_data, val_data = (
        (
            [torch.from_numpy(data[stream]).to(device) for stream in methods.STREAMS[name]],
            torch.from_numpy(data["label"]).to(device),
        )
        for data in (train, val)
    )
    start = None
    if settings.start == "ridge":
        alpha, balanced = alphas[PROBE_OF[name]], settings.class_weight == "balanced"
        start = fit_linear_start(train, val, methods.STREAMS[name], alpha, balanced)
    heads, curve, val_figures = fit_heads(train_data, val_data, len(train["classes"]), settings, name, start)
    return {f"{name}.{key}": value.cpu().numpy() for key, value in heads.state_dict().items()}, curve, val_figures


def fit_heads(
    train: tuple[Sequence[Tensor], Tensor],
    val: tuple[Sequence[Tensor], Tensor],
    classes: int,
    settings: params.Head,
    name: str,
    start: LinearStart | None = None,
) -> tuple[Heads, Curve, dict[str, float]]:
    """Fit the heads of all seeds at once.

    train: the streams, float32 [N, K, D] with K and D of their own, and the labels, int64 [N]. A step uses one random
    view of each stream per clip, or view 0 where settings.views is plain. For a share settings.stream_dropout of the
    clips, a step sets one stream to its mean. Where settings.class_weight is balanced, both losses weight the clips by
    `class_weights`. val: the same; only view 0 is used. start: the linear classifier to start from, where
    settings.start is ridge. Each seed keeps the epoch of its lowest validation loss (see `EarlyStopping`); with a
    start, the initial state counts as an epoch. Returns the heads, the training curve, and the validation figures of
    the heads that were kept; both are means over seeds.
    """
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms would import the compiler
    streams = [stream[:, :1] if settings.views == "plain" else stream for stream in train[0]]
    lengths = [stream.shape[2] for stream in streams]
    heads = _initial_heads(streams, classes, settings, start)
    views = [Views.of(stream) for stream in _standardised(heads, streams, lengths)]
    val_x = torch.cat(_standardised(heads, [stream[:, :1] for stream in val[0]], lengths), dim=2)[:, 0]
    labels, device = train[1], train[1].device
    weights = _loss_weights(labels, classes, settings)
    steps = settings.epochs * -(-len(labels) // settings.batch)
    optimizer = OneCycleAdamW(list(heads.parameters()), settings.lr, settings.weight_decay, steps)
    generators = [torch.Generator(device).manual_seed(seed) for seed in range(settings.seeds)]
    buffers = _allocate(settings, sum(lengths), device)

    early_stopping = EarlyStopping(heads, settings.patience)
    if start is not None:
        early_stopping.update(_validate(heads, val_x, val[1], weights)[0])
    curve: Curve = []
    for _ in progress_range(f"train_head {name}", settings.epochs, "epoch"):
        batches = _batches(views, labels, settings, generators, buffers)
        train_loss = _train_epoch(heads, optimizer, batches, weights, settings.label_smoothing)
        losses, top1 = _validate(heads, val_x, val[1], weights)
        curve.append(
            {
                "train_loss": train_loss / len(labels),
                "val_loss": losses.mean().item(),
                "val_top1": top1.mean().item(),
            }
        )
        if early_stopping.update(losses):
            break
    early_stopping.restore()
    losses, top1 = _validate(heads, val_x, val[1], weights)
    return heads, curve, {"val_loss": losses.mean().item(), "val_top1": top1.mean().item()}


def mean_and_std(stream: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, float32 [D] each, over all views of a stream [N, K, D]; 1 for constant features."""
    rows = stream.flatten(0, 1)
    std = rows.std(dim=0, correction=0)
    return rows.mean(dim=0), torch.where(std > 1e-6, std, torch.ones_like(std))


def _initial_heads(streams: Sequence[Tensor], classes: int, settings: params.Head, start: LinearStart | None) -> Heads:
    mean, std = (torch.cat(parts) for parts in zip(*map(mean_and_std, streams), strict=True))
    return Heads(mean, std, settings.hidden, classes, settings.dropout, settings.seeds, start).to(mean.device)


def _loss_weights(labels: Tensor, classes: int, settings: params.Head) -> Tensor | None:
    """Weight of a clip of each class in the loss, float32 [C], or None for equal weights."""
    if settings.class_weight is None:
        return None
    return torch.from_numpy(class_weights(labels.cpu().numpy(), classes)).float().to(labels.device)


def _loss(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of logits [N, C], with label smoothing.

    With weights, torch's own mean would divide by the weights of the clips of this step, which would not be the
    gradient of the weighted mean over all clips.
    """
    if weights is None:
        return nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    losses = nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    return (losses * weights[labels]).mean()


def _standardised(heads: Heads, streams: Sequence[Tensor], lengths: list[int]) -> list[Tensor]:
    moments = zip(streams, heads.mean.split(lengths), heads.std.split(lengths), strict=True)
    return [(stream - mean) / std for stream, mean, std in moments]


def _allocate(settings: params.Head, length: int, device: torch.device) -> Buffers:
    widths = (length, settings.hidden)
    return Buffers(*(torch.empty(settings.seeds, settings.batch, width, device=device) for width in widths))


def _train_epoch(
    heads: Heads,
    optimizer: OneCycleAdamW,
    batches: Iterator[tuple[Tensor, Tensor, Tensor]],
    weights: Tensor | None,
    smoothing: float,
) -> float:
    """Train for one epoch; return the sum over clips of the training loss, mean over seeds."""
    seeds = len(heads.weight1)
    total = torch.zeros((), device=heads.weight1.device)
    for x, dropout_mask, labels in batches:
        # The sum over seeds of their mean losses, so that each seed gets the gradient of a single head.
        loss = _loss(heads(x, dropout_mask).flatten(0, 1), labels.flatten(), weights, smoothing) * seeds
        optimizer.step(loss)
        total += loss.detach() / seeds * labels.shape[1]
    return total.item()


def _batches(
    views: list[Views], labels: Tensor, settings: params.Head, generators: list[torch.Generator], buffers: Buffers
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield features [S, B, D], dropout mask [S, B, hidden] and labels [S, B] of each step of an epoch.

    Each seed shuffles the clips in its own order. The features are overwritten by the next step.
    """
    orders = torch.stack([torch.randperm(len(labels), generator=one, device=labels.device) for one in generators])
    for rows in orders.split(settings.batch, dim=1):
        x, dropout_mask = _step_input(views, rows, settings, generators, buffers)
        yield x, dropout_mask, labels[rows]


def _step_input(
    views: list[Views],
    rows: Tensor,
    settings: params.Head,
    generators: list[torch.Generator],
    buffers: Buffers,
) -> tuple[Tensor, Tensor]:
    """Features [S, B, D] of the clips `rows` [S, B], and the dropout mask [S, B, hidden], True for units kept.

    Each seed draws from its own generator, in an order that does not depend on the other seeds.
    """
    size = rows.shape[1]
    x, uniform = buffers.x[:, :size], buffers.uniform[:, :size]

    def draw() -> Tensor:
        return torch.stack([torch.rand(size, generator=one, device=one.device) for one in generators])

    parts = x.split([stream.rows.shape[1] for stream in views], dim=2)
    for part, stream in zip(parts, views, strict=True):
        view = (draw() * stream.per_clip).long() if stream.per_clip > 1 else torch.zeros_like(rows)
        part.copy_(stream.rows[rows * stream.per_clip + view])
    if settings.stream_dropout and len(views) > 1:
        # From 0 to 1 drops the first stream, from 1 to 2 the second; above that, none is dropped.
        choice = draw()[..., None] / settings.stream_dropout * len(views)
        for index, part in enumerate(parts):
            part.mul_((choice < index) | (choice >= index + 1))
    for seed_uniform, generator in zip(uniform, generators, strict=True):
        seed_uniform.uniform_(generator=generator)
    return x, uniform >= settings.dropout


@torch.inference_mode()
def _validate(heads: Heads, x: Tensor, labels: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Validation loss and top-1 of each seed, [S] each, for standardised x [N, D]."""
    logits = heads(x.expand(len(heads.weight1), -1, -1))
    losses = torch.stack([_loss(seed_logits, labels, weights) for seed_logits in logits])
    return losses, (logits.argmax(dim=2) == labels).double().mean(dim=1)
