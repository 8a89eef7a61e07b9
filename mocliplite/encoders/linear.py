"""Linear layers by oneDNN instead of MKL.

MKL chooses its code by the maker of the processor, so embeddings differ in their last bits. MKL's portable code, which
does not, takes twice as long (docs/reproducibility.md). oneDNN is as fast as MKL's best code, and the same everywhere.
"""

import torch
from torch import Tensor, nn


class OneDnnLinear(nn.Linear):
    """A linear layer for inference in float32 on a CPU."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  (nn.Linear's name)
        """Return x W^T + b, float32 [..., out_features], of x float32 [..., in_features]."""
        out: Tensor = torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")
        return out


def use_onednn(model: nn.Module) -> None:
    """Let all linear layers of a model compute by oneDNN, where torch has it."""
    if not torch.backends.mkldnn.is_available():
        return
    for layer in model.modules():
        if type(layer) is nn.Linear:
            layer.__class__ = OneDnnLinear


def use_torch(model: nn.Module) -> None:
    """Take back use_onednn."""
    for layer in model.modules():
        if type(layer) is OneDnnLinear:
            layer.__class__ = nn.Linear  # type: ignore[assignment]
