"""Exports of others: values of another type, arrays of another shape, and what is no number are one sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from builders import sentence_of

from mocliplite import checkpoint
from mocliplite.errors import MachineError
from mocliplite.predict import recognizer
from mocliplite.predict.recognizer import Recognizer


@pytest.fixture
def copy(exports, tmp_path):
    """A function that copies an export; returns its folder."""
    return lambda name: shutil.copytree(exports / name, tmp_path / "copy")


def change(path, keys, value):
    """Set a value in a JSON file, given by the keys that lead to it."""
    content = json.loads(path.read_text())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(content))


HEAD = {
    "classes": 5,
    "classes.0": None,
    "features": None,
    "features.motion_embeddings": [],
    "features.motion_embeddings.views": 7,
    "features.motion_embeddings.motion": "x",
    "features.keyframes": [],
    "features.keyframes.frames": "1",
    "features.keyframes.pick": "last",
    "features.keyframes.batch": 0,
    "calibration.temperature.motion": "hot",
    "calibration.temperature.score_fusion": 0,
    "calibration.weights.blend": [None, 1, 2],
    "calibration.threshold.motion": 3,
    "calibration.threshold.motion.coverage": "all",
    "calibration.f1_threshold": {},
}


@pytest.mark.parametrize("name", HEAD)
def test_a_wrong_value_of_the_head_is_one_sentence(copy, name):
    folder = copy("torch")
    keys = [int(key) if key.isdecimal() else key for key in name.split(".")]
    change(folder / "head/config.json", keys, HEAD[name])
    sentence = sentence_of(Recognizer.load, folder)
    assert str(folder) in sentence or sentence.startswith("params.yaml: motion")


@pytest.mark.parametrize("file", ["head/config.json", "motion/config.json", "onnx/config.json"])
def test_a_text_that_is_no_unicode_is_refused_before_it_reaches_a_table_or_an_answer(copy, file):
    folder = copy("onnx")
    change(folder / file, ["a name"], "Star\ud800")
    sentence = sentence_of(Recognizer.load, folder)
    assert sentence.startswith(f"{folder / file} is damaged ('\\ud800' is half of a character); ")


FOOTAGE = (5, {}, {"side": 5}, {"side": [240, 240]}, {"side": [240], "codecs": []}, {"side": "ab", "codecs": ["h264"]})


@pytest.mark.parametrize("footage", [*FOOTAGE, {"side": [240, 240], "codecs": [264]}])
def test_footage_of_another_type_is_refused(copy, footage):
    folder = copy("torch")
    change(folder / "motion/config.json", ["footage"], footage)
    change(
        folder / "head/config.json", ["features", "motion_embeddings", "model"], checkpoint.digest(folder / "motion")
    )
    assert sentence_of(Recognizer.load, folder).startswith(f"the models in {folder} do not answer (")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError("Unable to allocate 8 GiB"), "the memory is too small for the models in copy ("),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), "the memory is too small for the models in copy ("),
        (RuntimeError("CUDA error: no kernel image"), "the GPU cannot run the models in copy ("),
        (KeyError("CUDA"), "the models in copy do not answer ("),
    ],
)
def test_an_error_of_the_machine_is_none_of_the_models(error, sentence):
    found = recognizer._load_error(Path("copy"), error)
    assert str(found).startswith(sentence)
    assert isinstance(found, MachineError) == ("answer" not in sentence)


def test_the_models_of_the_project_are_not_run_before_the_first_clip(small_project, monkeypatch):
    asked = []
    monkeypatch.setattr(Recognizer, "_answer_once", lambda self: asked.append(self))
    Recognizer.load()
    assert asked == []
    Recognizer.load(Path("models").absolute())
    assert len(asked) == 1


@pytest.mark.parametrize("values", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(copy, values):
    folder = copy("torch")
    tensors, config = checkpoint.load(folder / "head")
    checkpoint.save(folder / "head", {name: np.full_like(value, values) for name, value in tensors.items()}, config)
    assert sentence_of(Recognizer.load, folder) == (
        f"the models in {folder} do not answer (ValueError: no probabilities of the classes); train or export them "
        "again."
    )


def test_weights_of_another_shape_are_refused(copy):
    folder = copy("torch")
    tensors, config = checkpoint.load(folder / "head")
    checkpoint.save(folder / "head", tensors | {"fusion.mean": tensors["fusion.mean"][:-1]}, config)
    assert sentence_of(Recognizer.load, folder).startswith(f"the models in {folder} do not answer (ValueError: ")


PREPROCESSING = {
    "size": ([], [10**9], ["32"], 32, None),
    "crop": ([16, 10**9], [64, 64], [32, []], [48, 32]),
    "mean": (["x"] * 3, None),
    "resample": (99, "x"),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in PREPROCESSING.items() for value in values])
def test_preprocessing_that_gives_no_input_of_the_graph_is_refused(copy, key, value):
    folder = copy("onnx")
    change(folder / "onnx/config.json", ["preprocessing", key], value)
    assert sentence_of(Recognizer.load, folder).startswith(f"the models in {folder} do not answer (")


def test_a_graph_with_a_name_that_is_no_text_is_refused(copy):
    folder = copy("onnx")
    graph = folder / "onnx/motion.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"fields", b"fie\x80ds"))
    assert "'utf-8' codec can't decode byte 0x80" in sentence_of(Recognizer.load, folder)


def test_a_graph_that_runs_only_with_other_inputs_is_refused(copy):
    folder = copy("onnx")
    shutil.copyfile(folder / "onnx/image.onnx", folder / "onnx/motion.onnx")
    assert sentence_of(Recognizer.load, folder).startswith(f"the models in {folder} do not answer (")
