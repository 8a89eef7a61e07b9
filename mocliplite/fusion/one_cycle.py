"""AdamW under the one-cycle schedule, by torch's functional form.

torch.optim.Optimizer would import torch's compiler on its first use, which takes longer than fitting a head on a small
data set.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

# Of Smith and Topin's schedule, as torch.optim.lr_scheduler.OneCycleLR has it: the rate rises from a share of its full
# height in the first part of the steps and then falls nearly to nothing, while Adam's momentum does the opposite.
RISING = 0.3
START, END = 1 / 25, 1 / 25e4
HIGH, LOW = 0.95, 0.85


class OneCycleAdamW:
    """Moves parameters step by step; their number is known beforehand."""

    def __init__(self, parameters: Sequence[Tensor], lr: float, weight_decay: float, steps: int) -> None:
        self.parameters, self.lr, self.weight_decay, self.steps = list(parameters), lr, weight_decay, steps
        self.done = 0
        self.means, self.squares = ([torch.zeros_like(one) for one in self.parameters] for _ in range(2))
        self.counts = [torch.zeros((), device=one.device) for one in self.parameters]

    def step(self, loss: Tensor) -> None:
        """Go against the gradient of the loss."""
        gradients = list(torch.autograd.grad(loss, self.parameters))
        share, momentum = one_cycle(self.done, self.steps)
        self.done += 1
        with torch.no_grad():
            adamw(
                self.parameters,
                gradients,
                self.means,
                self.squares,
                [],
                self.counts,
                fused=True,
                amsgrad=False,
                beta1=momentum,
                beta2=0.999,
                lr=self.lr * share,
                weight_decay=self.weight_decay,
                eps=1e-8,
                maximize=False,
            )


def one_cycle(step: int, steps: int) -> tuple[float, float]:
    """(learning rate as a share of its full height, momentum) of a step from 0."""
    top = RISING * steps - 1
    if step <= top:
        turned = step / top if top else 1.0
        return _cosine(START, 1.0, turned), _cosine(HIGH, LOW, turned)
    turned = (step - top) / (steps - 1 - top)
    return _cosine(1.0, END, turned), _cosine(LOW, HIGH, turned)


def _cosine(start: float, end: float, turned: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * turned))
