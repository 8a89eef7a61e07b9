"""AdamW with the one-cycle schedule, built on torch's functional AdamW.

torch.optim.Optimizer would import torch's compiler on its first use, which takes longer than fitting a head on a small
data set.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

# Smith and Topin's schedule with the defaults of torch.optim.lr_scheduler.OneCycleLR: the learning rate rises during
# the first share of the steps and then falls nearly to 0, while beta1 of Adam falls and rises.
WARMUP_SHARE = 0.3
START_FACTOR, END_FACTOR = 1 / 25, 1 / 25e4  # of the maximal learning rate
MAX_BETA1, MIN_BETA1 = 0.95, 0.85


class OneCycleAdamW:
    """AdamW for a known number of steps, with learning rate and beta1 on the one-cycle schedule."""

    def __init__(self, parameters: Sequence[Tensor], lr: float, weight_decay: float, steps: int) -> None:
        self.parameters, self.lr, self.weight_decay, self.steps = list(parameters), lr, weight_decay, steps
        self.steps_done = 0
        self.exp_avgs, self.exp_avg_sqs = (
            [torch.zeros_like(parameter) for parameter in self.parameters] for _ in range(2)
        )
        self.state_steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    def step(self, loss: Tensor) -> None:
        """Compute the gradient of the loss and update the parameters."""
        gradients = list(torch.autograd.grad(loss, self.parameters))
        factor, beta1 = one_cycle(self.steps_done, self.steps)
        self.steps_done += 1
        with torch.no_grad():
            adamw(
                self.parameters,
                gradients,
                self.exp_avgs,
                self.exp_avg_sqs,
                [],
                self.state_steps,
                fused=True,
                amsgrad=False,
                beta1=beta1,
                beta2=0.999,
                lr=self.lr * factor,
                weight_decay=self.weight_decay,
                eps=1e-8,
                maximize=False,
            )


def one_cycle(step: int, steps: int) -> tuple[float, float]:
    """Return (learning rate as a fraction of its maximum, beta1) of a step, counted from 0."""
    peak = WARMUP_SHARE * steps - 1
    if step <= peak:
        progress = step / peak if peak else 1.0
        return _cosine(START_FACTOR, 1.0, progress), _cosine(MAX_BETA1, MIN_BETA1, progress)
    progress = (step - peak) / (steps - 1 - peak)
    return _cosine(1.0, END_FACTOR, progress), _cosine(MIN_BETA1, MAX_BETA1, progress)


def _cosine(start: float, end: float, progress: float) -> float:
    """Cosine annealing from start (progress 0) to end (progress 1)."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))
