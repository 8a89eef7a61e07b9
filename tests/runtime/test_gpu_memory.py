"""A GPU whose memory is full: here the forward passes raise what torch would raise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import CHECKOUT, NET
from motion_training import IDS, MeanNet, write_clips
from small_project import save_clip

from mocliplite import params
from mocliplite.encoders import embedding, loading
from mocliplite.errors import UserError
from mocliplite.fusion import head_training
from mocliplite.motion_net import embedding as motion_embedding
from mocliplite.motion_net import training
from mocliplite.params import Compute
from mocliplite.predict.torch_models import networks_of
from mocliplite.runtime import gpu_memory
from mocliplite.runtime.gpu_memory import in_batches

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
COMPUTE = Compute(workers=1, threads=1, device="cpu", engine="inline", time_limit=60)


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """What fitted in another test."""
    monkeypatch.setattr(gpu_memory, "_fitting", {})


def fail(error):
    raise error


def on_a_gpu_for(rows, function, error=FULL):
    """Return the function, and a list of the number of rows of its first argument in each call; more than rows fail."""
    sizes = []

    def call(first, *others, **named):
        sizes.append(len(first))
        if len(first) > rows:
            raise error
        return function(first, *others, **named)

    return call, sizes


@pytest.mark.parametrize("error", [FULL, RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ...")])
def test_batches_are_halved_until_they_fit_and_remain_so_and_this_is_said_once(error, capsys):
    forward, sizes = on_a_gpu_for(3, list, error)
    rows = list(range(10))
    for _ in range(2):
        parts = in_batches(lambda start, size: forward(rows[start : start + size]), 10, 16, "images")
        assert [row for part in parts for row in part] == rows
    assert sizes == [10, 8, 4, 2, 2, 2, 2, 2, *[2] * 5]
    assert capsys.readouterr().err == (
        "note: the memory of the GPU is full, so it computes 2 images at a time instead of 16. The last bits of their "
        "embeddings may differ: docs/reproducibility.md, Where it does not hold.\n"
    )


def test_a_small_batch_does_not_lower_those_after_it(capsys):
    forward, sizes = on_a_gpu_for(4, list)
    rows = list(range(8))
    for count in (8, 1, 8):
        in_batches(lambda start, size: forward(rows[start : start + size]), count, count, "clips")
    assert sizes == [8, 4, 4, 1, 4, 4]
    assert capsys.readouterr().err.count("note: ") == 1


def test_a_gpu_without_room_for_one_row_is_an_error():
    with pytest.raises(UserError) as caught:
        in_batches(lambda start, size: fail(FULL), 4, 4, "clips")
    assert str(caught.value) == (
        "the memory of the GPU is too small for clips one by one; end other programs that use the GPU, or set "
        "compute.device to cpu (--device cpu)."
    )


def test_other_errors_are_not_taken_for_full_memory():
    with pytest.raises(RuntimeError, match="illegal memory access"):
        in_batches(lambda start, size: fail(RuntimeError("CUDA error: illegal memory access")), 4, 4, "clips")


def test_keyframes_are_embedded_in_smaller_batches(folder, monkeypatch):
    save_clip("clip")
    encoder = loading.load_encoder(Path("clip"), COMPUTE)
    images = [np.full((40, 40, 3), 20 * number, np.uint8) for number in range(11)]
    whole = np.stack(list(embedding.embed_images(encoder, images, 8)))
    model = encoder.model.get_image_features
    call, sizes = on_a_gpu_for(4, lambda pixel_values: model(pixel_values=pixel_values))
    monkeypatch.setattr(encoder.model, "get_image_features", lambda pixel_values: call(pixel_values))
    assert np.allclose(np.stack(list(embedding.embed_images(encoder, images, 8))), whole, atol=1e-6)
    assert sizes == [8, 4, 4, 4]


def test_motion_is_embedded_in_smaller_batches(tmp_path, monkeypatch):
    torch.manual_seed(0)
    net, settings = MeanNet(NET, 3).eval(), replace(NET, batch=8)
    clips = motion_embedding.MotionClips(write_clips(tmp_path / "motion"), IDS[:11], settings)
    views = ["plain", "flip"]
    embedding_, logits = motion_embedding.embed_clips(net, clips, settings, views, 0)
    call, sizes = on_a_gpu_for(2, net.embed)
    monkeypatch.setattr(net, "embed", call)
    again, again_logits = motion_embedding.embed_clips(net, clips, settings, views, 0)
    assert sizes[:4] == [8, 4, 2, 2]
    assert np.allclose(again, embedding_, atol=1e-6)
    assert np.allclose(again_logits, logits, atol=1e-6)


def test_windows_are_classified_in_smaller_batches(monkeypatch):
    net = MeanNet(NET, 3).eval()
    fields = np.random.default_rng(0).normal(size=(5, NET.frames, 3, NET.rows, NET.cols)).astype(np.float32)
    embed_motion = networks_of(None, 8, net, NET).embed_motion
    whole = embed_motion(fields, "plain")
    call, sizes = on_a_gpu_for(1, net.embed)
    monkeypatch.setattr(net, "embed", call)
    for one, other in zip(embed_motion(fields, "plain"), whole, strict=True):
        assert np.allclose(one, other, atol=1e-6)
    assert sizes == [5, 2, 1, 1, 1, 1, 1]


def test_a_training_names_the_setting_to_lower(monkeypatch, tmp_path):
    monkeypatch.setattr(training, "_initial_state", lambda *_: fail(FULL))
    with pytest.raises(UserError) as caught:
        training.fit_motion(None, NET, torch.device("cpu"), 0, tmp_path / "resume", "")
    assert str(caught.value) == (
        "the memory of the GPU is full; lower motion_net.batch, with which the training is another one, end other "
        "programs that use the GPU, or set compute.device to cpu (--device cpu)."
    )
    monkeypatch.setattr(head_training, "fit_heads", lambda *_: fail(FULL))
    pairs = {"label": np.zeros(1, np.int64), "keyframe": np.zeros((1, 1, 2)), "classes": np.array(["a", "b"])}
    settings = replace(params.load(str(CHECKOUT / "params.yaml")).head, start="random")
    with pytest.raises(UserError, match=r"^the memory of the GPU is full; lower head.batch or head.seeds, "):
        head_training.fit_head("keyframe", pairs, pairs, settings, torch.device("cpu"), {})
