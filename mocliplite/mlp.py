"""The MLP heads of all seeds at once, and how they are fitted. Validation chooses the epoch; no test clip is seen."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mocliplite import params
from mocliplite.progress import counted

Curve = list[dict[str, float]]


class Heads(nn.Module):
    """Linear -> ReLU -> Dropout -> Linear, for S seeds side by side; each starts as it would alone.

    Inputs are standardised by `mean` and `std` (float32 [D]), which belong to the model.
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

    def forward(self, x: Tensor, kept: Tensor | None = None) -> Tensor:
        """Logits [S, N, C] of features [S, N, D]; kept, bool [S, N, hidden], are the units that dropout leaves."""
        hidden = torch.baddbmm(self.bias1, (x - self.mean) / self.std, self.weight1).relu()
        if kept is not None:
            hidden = hidden * kept / (1 - self.dropout)
        return torch.baddbmm(self.bias2, hidden, self.weight2)


def fit_heads(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], classes: int, settings: params.Head, name: str
) -> tuple[Heads, Curve, dict[str, float]]:
    """Fit the heads of all seeds at once; each seed keeps the epoch of its lowest validation loss.

    train: features float32 [N, K, D] of K views and labels int64 [N]; a step sees one random view of each clip.
    val: the same, of which view 0 is judged. Returns the heads, the curve, and the
    validation figures of the heads as kept; both are means over seeds.
    """
    torch.use_deterministic_algorithms(True)
    features, labels = train
    everything = features.flatten(0, 1)
    mean, std = everything.mean(dim=0), everything.std(dim=0, correction=0)
    # A feature that never changes tells nothing; divided by 1 it stays the constant that it is.
    std = torch.where(std > 1e-6, std, torch.ones_like(std))
    heads = Heads(mean, std, settings.hidden, classes, settings.dropout, settings.seeds).to(features.device)
    optimiser = torch.optim.AdamW(heads.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * len(_batches(len(features), settings.batch))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=settings.lr, total_steps=steps)
    generators = [torch.Generator().manual_seed(seed) for seed in range(settings.seeds)]

    curve: Curve = []
    lowest = torch.full((settings.seeds,), torch.inf, device=features.device)
    best = [value.detach().clone() for value in heads.parameters()]
    for _ in counted(f"train_head {name}", settings.epochs, "epoch"):
        total = 0.0
        for rows, views, kept in _head_batches(features, settings, generators):
            logits = heads(features[rows, views], kept)
            # The sum over seeds: each gets the gradient that it would have alone.
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels[rows].flatten()) * settings.seeds
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item() / settings.seeds * rows.shape[1]
        losses, top1 = _judge(heads, val[0][:, 0], val[1])
        better = losses < lowest
        lowest = torch.where(better, losses, lowest)
        for kept_value, value in zip(best, heads.parameters(), strict=True):
            kept_value[better] = value.detach()[better]
        curve.append({"train_loss": total / len(features), "val_loss": losses.mean().item(), "val_top1": top1})
    with torch.no_grad():
        for value, kept_value in zip(heads.parameters(), best, strict=True):
            value.copy_(kept_value)
    losses, top1 = _judge(heads, val[0][:, 0], val[1])
    return heads, curve, {"val_loss": losses.mean().item(), "val_top1": top1}


def _batches(length: int, batch: int) -> list[slice]:
    return [slice(start, start + batch) for start in range(0, length, batch)]


def _head_batches(
    features: Tensor, settings: params.Head, generators: list[torch.Generator]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows [S, B], views [S, B] and units kept [S, B, hidden] of one epoch, each seed from its own generator."""
    length, views = features.shape[:2]
    orders = torch.stack([torch.randperm(length, generator=generator) for generator in generators])
    for part in _batches(length, settings.batch):
        rows = orders[:, part]
        shape = (rows.shape[1], settings.hidden)
        view = torch.stack([torch.randint(views, shape[:1], generator=generator) for generator in generators])
        kept = torch.stack([torch.rand(shape, generator=generator) >= settings.dropout for generator in generators])
        yield rows.to(features.device), view.to(features.device), kept.to(features.device)


@torch.inference_mode()
def _judge(heads: Heads, features: Tensor, labels: Tensor) -> tuple[Tensor, float]:
    logits = heads(features.expand(len(heads.weight1), -1, -1))
    losses = torch.stack([nn.functional.cross_entropy(one, labels) for one in logits])
    return losses, (logits.argmax(dim=2) == labels).double().mean().item()
