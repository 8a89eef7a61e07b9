"""Linear layers of an encoder by oneDNN."""

import torch
from torch import Tensor, nn

from mocliplite.runtime import products


class OneDnnLinear(nn.Linear):
    """A linear layer for inference in float32 on a CPU."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (nn.Linear's name)
        """Return x W^T + b, float32 [..., out_features], of x float32 [..., in_features]."""
        return products.linear(input, self.weight, self.bias)


def use_onednn(model: nn.Module) -> None:
    """Let all linear layers of a model compute by oneDNN, where torch has it."""
    if not torch.backends.mkldnn.is_available():
        return
    for layer in model.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = OneDnnLinear
