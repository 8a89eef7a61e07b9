"""The best epoch of each seed of a head, by its validation loss."""

import torch
from torch import Tensor

from mocliplite.fusion.heads import Heads

# By how many standard errors of the paired difference the best epoch must be better than the start to replace it.
MARGIN = 1.0


class EarlyStopping:
    """Keeps the parameters of each seed at its epoch of lowest validation loss.

    A seed stops after `patience` epochs without a lower loss; its later epochs are ignored. start: validation losses
    [S, N] of the initial state, where it is a fitted classifier. The start is kept where the best epoch is not better
    by MARGIN standard errors: with few validation clips, the best of many epochs looks better than it is.
    """

    def __init__(self, heads: Heads, patience: int, start: Tensor | None = None) -> None:
        seeds, device = len(heads.weight1), heads.weight1.device
        self.heads, self.patience, self.start = heads, patience, start
        self.initial = [parameter.detach().clone() for parameter in heads.parameters()]
        self.best = [parameter.clone() for parameter in self.initial]
        self.losses = torch.full((seeds, 1), torch.inf, device=device) if start is None else start.clone()
        self.epochs_since = torch.zeros(seeds, dtype=torch.int64, device=device)

    def update(self, losses: Tensor) -> bool:
        """Record the validation losses [S, N] of an epoch; return whether all seeds have stopped."""
        better = (losses.mean(dim=1) < self.losses.mean(dim=1)) & (self.epochs_since < self.patience)
        self.losses = torch.where(better[:, None], losses, self.losses)
        self.epochs_since = torch.where(better, 0, self.epochs_since + 1)
        for best, parameter in zip(self.best, self.heads.parameters(), strict=True):
            best[better] = parameter.detach()[better]
        return bool((self.epochs_since >= self.patience).all())

    def restore(self) -> None:
        """Set each seed to its best parameters, or to its initial ones."""
        if self.start is not None:
            gains = self.start - self.losses
            error = gains.std(dim=1, correction=0) / gains.shape[1] ** 0.5
            kept = gains.mean(dim=1) <= MARGIN * error
            for best, initial in zip(self.best, self.initial, strict=True):
                best[kept] = initial[kept]
        with torch.no_grad():
            for parameter, best in zip(self.heads.parameters(), self.best, strict=True):
                parameter.copy_(best)
