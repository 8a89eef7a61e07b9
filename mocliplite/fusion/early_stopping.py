"""The best epoch of each seed of a head, by its validation loss."""

import torch
from torch import Tensor

from mocliplite.fusion.heads import Heads


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
