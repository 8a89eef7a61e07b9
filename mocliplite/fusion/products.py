"""Products of batches of matrices by oneDNN instead of MKL, with their gradients.

As in mocliplite/encoders/linear.py: MKL's portable code takes two to three times as long. On a GPU, and where torch has
no oneDNN, the products are torch's own.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def batched_product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x W, float32 [S, N, O], of x [S, N, I] and weight [S, I, O]; differentiable once."""
    if x.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return x @ weight
    out: Tensor = _BatchedProduct.apply(x, weight)  # type: ignore[no-untyped-call]
    return out


class _BatchedProduct(torch.autograd.Function):
    """x W of a batch of matrices, and its gradients."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(x, weight)
        return _products(x, weight)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = context.saved_tensors
        of_x, of_weight = context.needs_input_grad
        return _products(gradient, weight.mT) if of_x else None, _products(x.mT, gradient) if of_weight else None


def _products(x: Tensor, weight: Tensor) -> Tensor:
    linear = torch.ops.mkldnn._linear_pointwise  # x W^T of two matrices
    return torch.stack([linear(one, other.mT, None, "none", [], "") for one, other in zip(x, weight, strict=True)])
