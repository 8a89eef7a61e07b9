"""The answer as a network: the probabilities of the numpy code, for all methods and kinds of heads and labels."""

import numpy as np
import pytest
import torch

from mocliplite.fusion import methods
from mocliplite.fusion.answers import answer
from mocliplite.predict.onnx_heads import AnswerGraph

SEEDS, HIDDEN, CLASSES, FRAMES, KEYFRAME, MOTION, CLIPS = 2, 5, 3, 4, 6, 7, 8
STREAMS = {**methods.STREAMS, "ridge": ("keyframe", "motion"), "keyframe_probe": ("keyframe",)}
STREAMS |= {"motion_probe": ("motion",)}
ANSWERS = (*STREAMS, "motion", *methods.MIXED)
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype(np.float32)


def layers(name, attention, linear):
    """Return the tensors of a head or probe."""
    size = sum({"keyframe": KEYFRAME, "motion": MOTION}[stream] for stream in STREAMS[name])
    tensors = {"mean": normal(size), "std": np.abs(normal(size)) + 0.5}
    if name not in methods.STREAMS:
        return tensors | {"weight": normal(size, CLASSES), "bias": normal(CLASSES)}
    tensors |= {"weight1": normal(SEEDS, size, HIDDEN), "bias1": normal(SEEDS, 1, HIDDEN)}
    tensors |= {"weight2": normal(SEEDS, HIDDEN, CLASSES), "bias2": normal(SEEDS, 1, CLASSES)}
    tensors |= {"query": normal(SEEDS, KEYFRAME)} if attention else {}
    return tensors | ({"linear": normal(size, CLASSES)} if linear else {})


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(("attention", "linear"), [(False, False), (True, False), (False, True)])
def test_the_answer_as_a_network_is_that_of_the_numpy_code(attention, linear, multi_label):
    tensors = {f"{name}.{key}": value for name in STREAMS for key, value in layers(name, attention, linear).items()}
    data = {
        "keyframe": normal(CLIPS, 1 + FRAMES, KEYFRAME),
        "motion": normal(CLIPS, 2, MOTION),
        "motion_logits": normal(CLIPS, CLASSES),
    }
    calibration = {
        "temperature": {name: 0.5 + RNG.random() for name in ANSWERS},
        "weights": {"score_fusion": [0.4, 0.6], "blend": [0.2, 0.3, 0.5]},
    }
    if multi_label:
        calibration |= {"bias": {name: RNG.normal() for name in ANSWERS}, "f1_threshold": {}}
    inputs = torch.from_numpy(data["keyframe"]), torch.from_numpy(data["motion"][:, 0])
    for name in ANSWERS:
        chosen = calibration | {"answer": name}
        logits = methods.calibrate(methods.trained_logits(tensors, tensors, data), chosen)
        expected = answer(chosen, logits, tensors, data).probabilities
        found = AnswerGraph(tensors, tensors, chosen)(*inputs, torch.from_numpy(data["motion_logits"]))
        assert found.shape == expected.shape == (CLIPS, CLASSES)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5, err_msg=name)
