import json
from pathlib import Path

import numpy as np
import pytest
from builders import sentence_of

from mocliplite import checkpoint

pytestmark = pytest.mark.usefixtures("folder")

TENSORS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.array([0.5], dtype=np.float32)}


def test_a_model_is_loaded_as_it_was_saved():
    checkpoint.save("models/head", TENSORS, {"classes": ["É", "b"], "lr": 1e-4})
    tensors, config = checkpoint.load("models/head")
    assert config == {"classes": ["É", "b"], "lr": 1e-4}
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "weight": [[0, 1, 2], [3, 4, 5]],
        "bias": [0.5],
    }
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}


def test_a_model_consists_of_two_files():
    checkpoint.save("model", TENSORS, {})
    assert sorted(path.name for path in Path("model").iterdir()) == ["config.json", "model.safetensors"]


def test_a_transposed_tensor_keeps_its_values():
    checkpoint.save("model", {"w": TENSORS["weight"].T}, {})
    assert checkpoint.load("model")[0]["w"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_equal_models_have_equal_bytes_in_any_order():
    checkpoint.save("a", TENSORS, {"x": 1, "y": 2})
    checkpoint.save("b", dict(reversed(TENSORS.items())), {"y": 2, "x": 1})
    for name in ("model.safetensors", "config.json"):
        assert Path("a", name).read_bytes() == Path("b", name).read_bytes()


def test_saving_again_replaces_the_model():
    checkpoint.save("model", TENSORS, {"epoch": 1})
    checkpoint.save("model", {"other": np.zeros(1)}, {"epoch": 2})
    tensors, config = checkpoint.load("model")
    assert (list(tensors), config) == (["other"], {"epoch": 2})


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_model_with_a_missing_file_is_refused(name):
    checkpoint.save("model", TENSORS, {})
    Path("model", name).unlink()
    assert (
        sentence_of(checkpoint.load, "model")
        == "model contains no trained model; run `dvc repro`, or `dvc pull model`."
    )


def test_a_file_instead_of_a_folder_is_refused():
    Path("model").write_text("")
    assert (
        sentence_of(checkpoint.load, "model")
        == "model contains no trained model; run `dvc repro`, or `dvc pull model`."
    )


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1, 2]", b"null", b"{}x", b'{"classes": ["\\ud800"]}'])
def test_a_damaged_config_is_refused(content):
    checkpoint.save("model", TENSORS, {"classes": ["a"]})
    Path("model/config.json").write_bytes(content)
    sentence = sentence_of(checkpoint.load, "model")
    assert sentence.startswith("model/config.json is damaged (")
    assert sentence.endswith("); restore it with `dvc checkout -f` or delete it.")


def test_truncated_weights_are_refused():
    checkpoint.save("model", TENSORS, {})
    whole = Path("model/model.safetensors").read_bytes()
    sentences = set()
    for length in range(len(whole)):
        Path("model/model.safetensors").write_bytes(whole[:length])
        sentences.add(sentence_of(checkpoint.load, "model").partition(" (")[0])
    assert sentences == {"model/model.safetensors is damaged"}


def test_a_file_that_is_not_safetensors_is_refused():
    checkpoint.save("model", TENSORS, {})
    Path("model/model.safetensors").write_bytes(b"<html>404</html>" * 9)
    assert sentence_of(checkpoint.load, "model").startswith("model/model.safetensors is damaged (")


def weights_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(dtype, shape, *offsets):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE = {
    "a header longer than the file": (1 << 62).to_bytes(8, "little") + b"{}",
    "a header of 90 MB that is not there": (90 << 20).to_bytes(8, "little") + b"{}",
    "tensors that overlap": weights_of({"a": tensor("F32", [2], 0, 8), "b": tensor("F32", [2], 4, 12)}, bytes(12)),
    "a tensor beyond the end": weights_of({"a": tensor("F32", [1 << 40], 0, 1 << 42)}, bytes(12)),
    "a size that overflows": weights_of({"a": tensor("F32", [1 << 40, 1 << 40], 0, 8)}, bytes(8)),
    "deep nesting": weights_of(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "text that is not UTF-8": weights_of(b'{"\xff": 1}'),
    "a type that numpy lacks": weights_of({"a": tensor("BF16", [2], 0, 4)}, bytes(4)),
    "another type that numpy lacks": weights_of({"a": tensor("F8_E5M2", [4], 0, 4)}, bytes(4)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_weights_that_were_made_to_do_harm_are_refused(name):
    checkpoint.save("model", TENSORS, {})
    Path("model/model.safetensors").write_bytes(HOSTILE[name])
    sentence = sentence_of(checkpoint.load, "model")
    assert sentence.startswith("model/model.safetensors is damaged (")
    assert "\n" not in sentence
    assert sentence_of(checkpoint.load_state, Path("model/model.safetensors"))


def test_settings_that_are_nested_deeply_are_refused():
    checkpoint.save("model", TENSORS, {})
    Path("model/config.json").write_text('{"a": ' + "[" * 100_000)
    assert sentence_of(checkpoint.load, "model").startswith("model/config.json is damaged (")
    checkpoint.save_state(Path("state.safetensors"), TENSORS, {})
    content = Path("state.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    header["__metadata__"]["state"] = "[" * 100_000
    Path("state.safetensors").write_bytes(weights_of(header, content[8 + int.from_bytes(content[:8], "little") :]))
    assert sentence_of(checkpoint.load_state, Path("state.safetensors")).startswith("state.safetensors is damaged (")
