"""The torch device."""

import torch

from mocliplite.errors import UserError
from mocliplite.params import Compute


def device(compute: Compute, setting: str = "params.yaml: compute.device") -> torch.device:
    """Return the torch device and set the number of threads. auto selects a GPU if there is one.

    Raises UserError, with the name of the setting, if the setting is cuda and there is no GPU.
    """
    if compute.threads:
        torch.set_num_threads(compute.threads)
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise UserError(f"{setting} is 'cuda', but torch finds no GPU; set it to cpu or auto.")
    return torch.device("cuda" if available and compute.device != "cpu" else "cpu")
