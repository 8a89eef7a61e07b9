"""The optimiser of each motion network and the schedule of its learning rate."""

import math

import torch
from torch import nn

from mocliplite.encoders import efficientnet
from mocliplite.params import MotionNet

# Share of the training in which the learning rate of motion_histogram rises to its maximum.
WARM_UP = 0.1
# The paper's learning rate falls to a tenth at these shares of the training: after 80 and 160 of 200 epochs.
MILESTONES = (0.4, 0.8)


def build_optimiser(net: nn.Module, settings: MotionNet) -> torch.optim.Optimizer:
    """Return AdamW, or for efficientnet_b0 the paper's Adam.

    `lr_factor` of a parameter group multiplies the learning rate. Biases and BatchNorm weights do not decay.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        factor = _paper_lr_factor(name) if settings.arch == "efficientnet_b0" else 1.0
        groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    parameter_groups = [
        {"params": parameters, "lr_factor": factor, "weight_decay": settings.weight_decay * decays}
        for (factor, decays), parameters in groups.items()
    ]
    if settings.arch == "efficientnet_b0":
        return torch.optim.Adam(parameter_groups, lr=settings.lr, eps=1e-3, fused=True)
    # fused: the other implementations use torch.sqrt, whose last bits differ between makers of processors.
    return torch.optim.AdamW(parameter_groups, lr=settings.lr, fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, settings: MotionNet, fraction_done: float) -> None:
    """Set the learning rates of all parameter groups for a step at fraction_done, from 0 to 1, of the training."""
    for group in optimiser.param_groups:
        group["lr"] = settings.lr * group["lr_factor"] * schedule(settings, fraction_done)


def schedule(settings: MotionNet, fraction_done: float) -> float:
    """Return the learning rate as a share of its maximum: warm-up and cosine, or the paper's steps."""
    if settings.arch == "efficientnet_b0":
        return float(0.1 ** sum(fraction_done >= milestone for milestone in MILESTONES))
    if fraction_done < WARM_UP:
        return fraction_done / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (fraction_done - WARM_UP) / (1 - WARM_UP))


def _paper_lr_factor(name: str) -> float:
    if name.startswith("classify."):
        return 1.0
    return 0.1 if name.startswith("normalise.") or name == f"backbone.{efficientnet.STEM}" else 0.01
