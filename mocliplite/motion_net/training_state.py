"""The state of a training between two epochs, and the file from which an interrupted training resumes."""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from mocliplite import checkpoint
from mocliplite.motion_net import networks

Curve = list[dict[str, float]]  # train_loss, val_loss and val_top1 of each epoch


@dataclass
class TrainingState:
    """A training between two epochs."""

    net: networks.Network
    optimiser: torch.optim.Optimizer
    best: dict[str, Tensor]  # state dict of the network at the epoch of the lowest validation loss
    curve: Curve = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Number of epochs done."""
        return len(self.curve)

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest validation loss, from 0; the first of equal ones."""
        return min(range(len(self.curve)), key=lambda epoch: self.curve[epoch]["val_loss"])

    def finish_epoch(self, figures: dict[str, float]) -> None:
        """Add the figures of an epoch to the curve; keep a copy of the network if it is the best so far."""
        self.curve.append(figures)
        if self.best_epoch == self.epoch - 1:
            self.best = copy_state_dict(self.net)


def copy_state_dict(net: nn.Module) -> dict[str, Tensor]:
    """Return a copy of all tensors of a module."""
    return {name: value.clone() for name, value in net.state_dict().items()}


def save(state: TrainingState, path: Path, key: str) -> None:
    """Write the state to a file from which `resume` continues."""
    tensors = {f"net/{name}": value for name, value in state.net.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in state.best.items()}
    tensors |= {
        f"optimiser/{name}/{entry}": value
        for name, parameter in state.net.named_parameters()
        for entry, value in state.optimiser.state.get(parameter, {}).items()
    }
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    checkpoint.save_state(path, arrays, {"key": key, "curve": state.curve})


def resume(state: TrainingState, path: Path, key: str) -> None:
    """Restore the state from a file that was saved with the same key; a file with another key is ignored."""
    saved = checkpoint.load_state(path)
    if saved is None or saved[1].get("key") != key:
        return
    device = next(state.net.parameters()).device
    parts: dict[str, dict[str, Tensor]] = {"net": {}, "best": {}, "optimiser": {}}
    for name, array in saved[0].items():
        part, _, rest = name.partition("/")
        parts[part][rest] = torch.from_numpy(array).to(device)
    state.net.load_state_dict(parts["net"])
    state.best, state.curve = parts["best"], saved[1]["curve"]
    parameters = dict(state.net.named_parameters())
    for name, value in parts["optimiser"].items():
        parameter, _, entry = name.rpartition("/")
        # Adam counts its steps on the CPU.
        state.optimiser.state[parameters[parameter]][entry] = value.cpu() if entry == "step" else value
