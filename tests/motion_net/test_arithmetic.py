"""Arithmetic of the motion network: a setting decides it, and nothing of it remains afterwards."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import NET, weights
from motion_training import CPU, IDS

from mocliplite.motion_net import loader
from mocliplite.motion_net.arithmetic import THREADS, arithmetic
from mocliplite.motion_net.embedding import embed_clips

MATMUL, CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn


@pytest.mark.parametrize(
    ("precision", "tf32", "dtype"),
    [("float32", False, torch.float32), ("tf32", True, torch.float32), ("bfloat16", False, torch.bfloat16)],
)
def test_the_setting_decides_how_products_are_computed(precision, tf32, dtype):
    layer = torch.nn.Linear(3, 2)
    with arithmetic(replace(NET, precision=precision), CPU):
        assert layer(torch.ones(1, 3)).dtype == dtype
        assert (MATMUL.allow_tf32, CUDNN.allow_tf32) == (tf32, tf32)


@pytest.mark.parametrize("tf32", [False, True])
def test_the_settings_of_torch_are_restored_after_an_error(tf32):
    before = MATMUL.allow_tf32, CUDNN.allow_tf32
    threads = torch.get_num_threads()
    try:
        MATMUL.allow_tf32, CUDNN.allow_tf32 = tf32, not tf32
        with pytest.raises(ZeroDivisionError), arithmetic(replace(NET, precision="tf32"), CPU):
            raise ZeroDivisionError
        assert (MATMUL.allow_tf32, CUDNN.allow_tf32, torch.get_num_threads()) == (tf32, not tf32, threads)
    finally:
        MATMUL.allow_tf32, CUDNN.allow_tf32 = before


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_is_fixed(threads):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        with arithmetic(NET, CPU):
            assert torch.get_num_threads() == THREADS
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_tf32_is_float32_on_a_cpu_and_bfloat16_is_not(train, motion):
    net, clips = train(epochs=1)[0], loader.MotionClips(motion, IDS, NET)
    rows = {
        precision: embed_clips(net, clips, replace(NET, precision=precision), ["plain"], 0)[0]
        for precision in ("float32", "tf32", "bfloat16")
    }
    assert rows["float32"].tobytes() == rows["tf32"].tobytes() != rows["bfloat16"].tobytes()
    assert rows["bfloat16"].dtype == np.float32
    assert np.allclose(rows["float32"], rows["bfloat16"], atol=0.1)


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_training_follows_the_setting(train, precision):
    plain, other = (weights(train(epochs=1, precision=setting)[0]) for setting in ("float32", precision))
    assert (plain == other) == (precision == "tf32")
