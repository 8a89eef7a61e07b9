import shutil
from pathlib import Path

import pytest
from builders import CHECKOUT

from mocliplite.cli import _clip_source

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
