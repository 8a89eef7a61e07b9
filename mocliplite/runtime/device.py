"""Where torch computes."""

import torch

from mocliplite.errors import UserError
from mocliplite.params import Compute


def device(compute: Compute, asked_by: str = "params.yaml: compute.device") -> torch.device:
    """The torch device, with the number of threads set; auto takes a GPU where there is one.

    Raises UserError, naming what asked for it, where cuda is wanted and there is no GPU.
    """
    if compute.threads:
        torch.set_num_threads(compute.threads)
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise UserError(f"{asked_by} is 'cuda', but torch finds no GPU here; set it to cpu or auto.")
    return torch.device("cuda" if available and compute.device != "cpu" else "cpu")
