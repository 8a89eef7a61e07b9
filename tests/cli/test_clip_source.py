import shutil
from pathlib import Path

import pytest
from builders import CHECKOUT, put, sentence_of

from mocliplite.cli import _clip_source, _init

pytestmark = pytest.mark.usefixtures("folder")


def test_find_clip_tells_how_to_get_the_model(monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", "hub")
    shutil.copy(CHECKOUT / "dvc.yaml", "dvc.yaml")
    Path("sample").mkdir()
    shutil.copy(CHECKOUT / "sample/dvc.yaml", "sample/dvc.yaml")
    Path("mine.dvc").touch()
    models = ("sample/data/clip", "mine", "ann/vit", "sample/vit", "sample")
    findings = [_clip_source.find_clip(model) for model in models]
    assert [finding.mark for finding in findings] == ["note", "note", "note", "BAD", "BAD"]
    assert [finding.sentence.split("; ")[0] for finding in findings] == [
        "encoder sample/data/clip is not available yet",
        "encoder mine is not available yet",
        "encoder ann/vit is not available yet",
        "encoder sample/vit is neither an existing folder nor a hub id such as openai/clip-vit-base-patch32",
        "sample is not a checkpoint: config.json, preprocessor_config.json, model.safetensors, tokenizer.json "
        "is missing",
    ]
    assert [finding.sentence.split("; ")[1] for finding in findings] == [
        "create it with `dvc repro` or get it with `dvc pull`",
        "get it with `dvc pull mine.dvc`",
        "it is downloaded when needed, as by `hf download ann/vit`",
        "check the path.",
        "save one there with save_pretrained.",
    ]


def test_a_folder_with_pickled_weights_alone_is_named_by_init_and_doctor(folder):
    put("pickled", {"config.json": "{}", "preprocessor_config.json": "{}", "tokenizer.json": "{}"})
    put("pickled", {"pytorch_model.bin": "weights"})
    assert _clip_source.find_clip("pickled").mark == "BAD"
    assert "set encoder.pickled_weights to true" in _clip_source.find_clip("pickled").sentence
    assert _clip_source.find_clip("pickled", pickled=True).mark == "ok"
    Path("configs").symlink_to(CHECKOUT / "configs")
    assert _init.find_clip("pickled").sentence == (
        "encoder pickled is available, but its weights are pickled; set encoder.pickled_weights to true if you trust "
        "who made it"
    )


@pytest.mark.parametrize("text", ["", "plots: [loss.csv]", "stages: {}", "stages:"])
def test_a_graph_without_stages_has_none(folder, text):
    put(".", {"dvc.yaml": text})
    assert _clip_source.read_stages(Path("dvc.yaml")) == []


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir])
def test_a_graph_that_is_missing_is_one_sentence(folder, make):
    make(Path("dvc.yaml"))
    sentence = sentence_of(_clip_source.read_stages, Path("dvc.yaml"))
    assert sentence == "dvc.yaml is missing or is a folder; restore it with `git restore dvc.yaml`."


NESTED = f"stages: {{a: {{outs: {'[' * 600 + ']' * 600}}}}}"


@pytest.mark.parametrize("text", ["stages: 5", "[1]", "a: b: c", "stages: {a: {outs: [{}]}}", "\xff", NESTED])
def test_a_graph_that_is_none_is_one_sentence(folder, text):
    Path("dvc.yaml").write_bytes(text.encode("latin-1"))
    sentence = sentence_of(_clip_source.read_stages, Path("dvc.yaml"))
    assert sentence.startswith("dvc.yaml is not a graph of DVC (")
