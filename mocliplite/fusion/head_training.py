"""Training of the MLP heads of all seeds at once, with early stopping on the validation clips."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite import params
from mocliplite.fusion import methods
from mocliplite.fusion.batches import Step, epochs
from mocliplite.fusion.early_stopping import EarlyStopping
from mocliplite.fusion.heads import Heads
from mocliplite.fusion.linear_start import LinearStart, ridge_start, scores_start
from mocliplite.fusion.one_cycle import OneCycleAdamW
from mocliplite.fusion.pairs import Arrays, class_weights
from mocliplite.large_arrays import new_array
from mocliplite.runtime.gpu_memory import full_memory_means
from mocliplite.runtime.progress import progress_range

Curve = list[dict[str, float]]
_PART = 1024  # clips; the logits of all seeds for all validation clips may need gigabytes


@full_memory_means("lower head.batch or head.seeds, with which the heads are other ones")
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
    start, balanced = None, settings.class_weight == "balanced"
    if settings.start == "scores" and name == "fusion":
        start = scores_start(train, val, alphas, balanced)
    elif settings.start != "random":
        start = ridge_start(train, val, methods.STREAMS[name], alphas, balanced)
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

    train: the streams, float32 [N, K, D] with K and D of their own, and the labels of pairs.h5. A step uses one random
    view of each stream per clip, or view 0 where settings.views is plain. Where settings.pooling is attention and the
    first stream, the keyframe, has several views, its view 0 is the mean of the others weighted by `attend`. For a
    share settings.stream_dropout of the clips, a step sets one stream to its mean. Where settings.class_weight is
    balanced, both losses weight the clips by `class_weights`. val: the same; only view 0 is used. start: the linear
    classifier to start from, or None for a random start. Each seed keeps the epoch of its lowest validation loss (see
    `EarlyStopping`); with a start, the initial state counts as an epoch. Returns the heads, the training curve, and the
    validation figures of the heads that were kept; both are means over seeds.
    """
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms would import the compiler
    heads, streams = _initial_heads(train[0], classes, settings, start)
    val_streams = _standardised(heads, val[0])
    labels = train[1]
    weights = _loss_weights(labels, classes, settings)
    steps = settings.epochs * -(-len(labels) // settings.batch)
    optimizer = OneCycleAdamW(list(heads.parameters()), settings.lr, settings.weight_decay, steps)

    early_stopping = EarlyStopping(heads, settings.patience)
    if start is not None:
        early_stopping.update(_validate(heads, val_streams, val[1], weights)[0])
    curve: Curve = []
    new_epoch = epochs(heads, streams, labels, settings)
    for _ in progress_range(f"train_head {name}", settings.epochs, "epoch"):
        train_loss = _train_epoch(heads, optimizer, next(new_epoch), weights, settings.label_smoothing)
        losses, figures = _validate(heads, val_streams, val[1], weights)
        curve.append({"train_loss": train_loss / len(labels), **figures})
        if early_stopping.update(losses):
            break
    early_stopping.restore()
    return heads, curve, _validate(heads, val_streams, val[1], weights)[1]


def mean_and_std(stream: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, float32 [D] each, over all views of a stream [N, K, D]; 1 for constant features."""
    rows = stream.flatten(0, 1)
    std = rows.std(dim=0, correction=0)
    return rows.mean(dim=0), torch.where(std > 1e-6, std, torch.ones_like(std))


def _initial_heads(
    streams: Sequence[Tensor], classes: int, settings: params.Head, start: LinearStart | None
) -> tuple[Heads, list[Tensor]]:
    """The heads before training, and the views that training needs, standardised."""
    needed = [stream[:, :1] if settings.views == "plain" else stream for stream in streams]
    if attention := settings.pooling == "attention" and streams[0].shape[1] > 1:
        needed[0] = streams[0]  # the frames are needed for any view
    mean, std = (torch.cat(parts) for parts in zip(*map(mean_and_std, needed), strict=True))
    length = streams[0].shape[2] if attention else None
    heads = Heads(mean, std, settings.hidden, classes, settings.dropout, settings.seeds, start, length).to(mean.device)
    return heads, _standardised(heads, needed)


def _loss_weights(labels: Tensor, classes: int, settings: params.Head) -> Tensor | None:
    """Weight of a clip of each class in the loss, float32 [C], or None for equal weights."""
    if settings.class_weight is None:
        return None
    return torch.from_numpy(class_weights(labels.cpu().numpy(), classes)).float().to(labels.device)


def _loss(logits: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of logits [N, C], with label smoothing; for labels [N, C] binary, and over classes as well.

    With weights, torch's own mean would divide by the weights of the clips of this step, which would not be the
    gradient of the weighted mean over all clips.
    """
    if labels.ndim == 2:
        targets = labels.to(logits) * (1 - smoothing) + smoothing / 2
        return nn.functional.binary_cross_entropy_with_logits(logits, targets)
    if weights is None:
        return nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    losses = nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    return (losses * weights[labels]).mean()


def _standardised(heads: Heads, streams: Sequence[Tensor]) -> list[Tensor]:
    lengths = [stream.shape[2] for stream in streams]
    moments = zip(streams, heads.mean.split(lengths), heads.std.split(lengths), strict=True)
    return [_standardise(stream, mean, std) for stream, mean, std in moments]


def _standardise(stream: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    if stream.device.type != "cpu":
        return (stream - mean) / std
    out = torch.from_numpy(new_array(stream.shape, np.float32))
    for rows, part in zip(stream.split(_PART), out.split(_PART), strict=True):
        torch.div(rows - mean, std, out=part)
    return out


def _train_epoch(
    heads: Heads,
    optimizer: OneCycleAdamW,
    steps: Iterator[Step],
    weights: Tensor | None,
    smoothing: float,
) -> float:
    """Train for one epoch; return the sum over clips of the training loss, mean over seeds."""
    seeds = len(heads.weight1)
    total = torch.zeros((), device=heads.weight1.device)
    for x, dropout_mask, labels, linear_logits in steps:
        # The sum over seeds of their mean losses, so that each seed gets the gradient of a single head.
        loss = (
            _loss(heads(x, dropout_mask, linear_logits).flatten(0, 1), labels.flatten(0, 1), weights, smoothing) * seeds
        )
        optimizer.step(loss)
        total += loss.detach() / seeds * labels.shape[1]
    return total.item()


@torch.inference_mode()
def _validate(
    heads: Heads, streams: Sequence[Tensor], labels: Tensor, weights: Tensor | None
) -> tuple[Tensor, dict[str, float]]:
    """Loss [S] that chooses the epoch, and loss and top-1, means over seeds, for standardised streams [N, K, D].

    The loss that chooses is of labels smoothed by one clip's worth of probability, as in `fit_temperature`. Otherwise,
    with few clips that are all correct, mere confidence would look better. Where a clip may have several classes, top-1
    is the share of clips whose most probable class is one of theirs.
    """
    smoothing = 1 / (len(labels) + 2)
    losses, loss, top1 = torch.zeros(len(heads.weight1), device=labels.device), 0.0, 0.0
    for *part, found in zip(*(values.split(_PART) for values in (*streams, labels)), strict=True):
        share = len(found) / len(labels)
        logits = heads(heads.plain_input(part), linear_logits=heads.linear_logits(part))
        losses += share * torch.stack([_loss(seed_logits, found, weights, smoothing) for seed_logits in logits])
        loss += share * _loss(logits.flatten(0, 1), torch.cat([found] * len(logits)), weights).item()
        guess = logits.argmax(dim=2)
        correct = guess == found if found.ndim == 1 else found[torch.arange(len(found), device=found.device), guess]
        top1 += share * correct.double().mean().item()
    return losses, {"val_loss": loss, "val_top1": top1}
