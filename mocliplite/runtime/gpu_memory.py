"""Where the memory of the GPU is full: inference goes on in smaller batches, and training ends with a sentence."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mocliplite.errors import UserError

Outcome = TypeVar("Outcome")

OTHERWISE = "end other programs that use the GPU, or set compute.device to cpu (--device cpu)"
# Rows per forward pass by what they are, where those that were asked for did not fit.
_fitting: dict[str, int] = {}


def in_batches(forward: Callable[[int, int], Outcome], rows: int, batch: int, what: str) -> list[Outcome]:
    """Return forward(start, size) for all rows: those from `start` on, `size` of them or as many as are left.

    size is `batch` or, if the memory of the GPU is full, half of it, and so on. It remains so until the process ends,
    and is printed once. what: plural of the rows, such as "images". Raises UserError if a single row does not fit.
    """
    outcomes: list[Outcome] = []
    size = fitting = min(batch, _fitting.get(what, batch))
    start = 0
    while start < rows:
        try:
            outcomes.append(forward(start, size))
        except RuntimeError as error:
            if not _is_full(error):
                raise
            if size == 1:
                raise UserError(f"the memory of the GPU is too small for {what} one by one; {OTHERWISE}.") from None
        else:
            start += size
            if size < fitting:  # halved in this call, and not a batch of few rows
                _fitting[what] = fitting = size
                _print_note(what, size, batch)
            continue
        # Not in the handler, where the error still holds the tensors of the forward pass.
        size //= 2
        _release()
    return outcomes


@contextmanager
def full_memory_means(advice: str) -> Iterator[None]:
    """Context, or decorator, in which full memory of the GPU is raised as a UserError with this advice."""
    try:
        yield
    except RuntimeError as error:
        if not _is_full(error):
            raise
        raise UserError(f"the memory of the GPU is full; {advice}, {OTHERWISE}.") from None


def _is_full(error: RuntimeError) -> bool:
    import torch

    # cuBLAS, cuDNN and the driver have errors of their own.
    reason = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in reason or "ALLOC_FAILED" in reason


def _release() -> None:
    """Give the memory that torch keeps for later back to the GPU, so that it is not in parts that are too small."""
    import torch

    torch.cuda.empty_cache()


def _print_note(what: str, size: int, batch: int) -> None:
    print(
        f"note: the memory of the GPU is full, so it computes {size} {what} at a time instead of {batch}. The last "
        "bits of their embeddings may differ: docs/reproducibility.md, Where it does not hold.",
        file=sys.stderr,
    )
