"""Arithmetic of the motion network: a setting, so that the device does not decide the values."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mocliplite.params import MotionNet


@contextmanager
def precision(settings: MotionNet, device: torch.device) -> Iterator[None]:
    """Context in which a network computes with motion_net.precision.

    float32 rounds every product to float32, also on GPUs, where cuDNN would use TF32 by default. tf32 allows TF32,
    which CPUs do not have: there it is float32. bfloat16 is torch's autocast on any device.
    """
    tf32 = settings.precision == "tf32"
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
