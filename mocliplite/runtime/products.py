"""Matrix products of torch by oneDNN instead of MKL.

MKL chooses its code by the maker of the processor, so products differ in their last bits. MKL's portable code, which
does not, takes two to three times as long (docs/reproducibility.md). oneDNN is as fast as MKL's best code, and the same
everywhere. On a GPU, and where torch has no oneDNN, the products are torch's own.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x W^T + b, float32 [..., O], of x [..., I] and weight [O, I], without gradient."""
    if not _by_onednn(x):
        return torch.nn.functional.linear(x, weight, bias)
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


def batched_product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x W, float32 [S, N, O], of x [S, N, I] and weight [S, I, O]; differentiable once."""
    if not _by_onednn(x):
        return x @ weight
    out: Tensor = _BatchedProduct.apply(x, weight)  # type: ignore[no-untyped-call]
    return out


def _by_onednn(x: Tensor) -> bool:
    return x.device.type == "cpu" and torch.backends.mkldnn.is_available()


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
        return (
            _products(gradient, weight.mT) if of_x else None,
            _products(x.mT, gradient) if of_weight else None,
        )


def _products(x: Tensor, weight: Tensor) -> Tensor:
    return torch.stack([linear(one, other.mT) for one, other in zip(x, weight, strict=True)])
