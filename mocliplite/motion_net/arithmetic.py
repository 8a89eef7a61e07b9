"""Arithmetic of the motion network: decided by a setting and a constant, never by the device or the number of cores."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mocliplite.params import MotionNet

# Threads of a forward or backward pass on a CPU: torch adds partial sums per thread, so the number decides last bits.
THREADS = 2


@contextmanager
def arithmetic(settings: MotionNet, device: torch.device) -> Iterator[None]:
    """Context in which a network computes with motion_net.precision and THREADS.

    float32 rounds every product to float32, also on GPUs, where cuDNN would use TF32 by default. tf32 allows TF32,
    which CPUs do not have: there it is float32. bfloat16 is torch's autocast on any device.
    """
    tf32 = settings.precision == "tf32"
    threads = torch.get_num_threads()
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    torch.set_num_threads(THREADS)
    matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            yield
    finally:
        torch.set_num_threads(threads)
        matmul.allow_tf32, cudnn.allow_tf32 = before
