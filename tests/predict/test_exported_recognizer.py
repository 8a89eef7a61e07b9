"""`export`: a folder that predicts as the project does, and its card."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from builders import sentence_of

from mocliplite import hub, params
from mocliplite.encoders import checkpoints
from mocliplite.evaluation.method_table import table
from mocliplite.predict import export as exporting
from mocliplite.predict.recognizer import COMPUTE, Recognizer

INLINE = replace(COMPUTE, engine="inline", device="cpu", threads=1)
CLIP = "clips/Rolling/1.avi"


@pytest.fixture
def exported(small_project, tmp_path):
    exporting.export(tmp_path / "recogniser", with_clip=False)
    return tmp_path / "recogniser"


def test_an_exported_recogniser_predicts_the_same_elsewhere(small_project, exported, tmp_path, monkeypatch):
    expected = Recognizer.load("models", INLINE)(CLIP)
    shutil.copy(CLIP, tmp_path / "clip.avi")
    monkeypatch.chdir(tmp_path)
    assert dict(Recognizer.load("recogniser", INLINE)("clip.avi")) == pytest.approx(dict(expected), abs=1e-6)


def test_the_card_has_the_table_of_the_last_evaluation_and_no_open_placeholder(exported):
    card = (exported / "README.md").read_text()
    assert table(json.loads(Path("metrics/eval.json").read_text())) in card
    assert "# A MoCLIP-Lite recogniser for 3 classes" in card
    assert "Falling, Resting or Rolling" in card
    assert "{" not in card


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(small_project, tmp_path):
    (tmp_path / "notes").touch()
    assert sentence_of(exporting.export, tmp_path, False) == f"{tmp_path} is not empty; give a new folder."
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_metrics_of_other_test_clips_do_not_enter_the_card(small_project, tmp_path, monkeypatch):
    metrics = json.loads(Path("metrics/eval.json").read_text()) | {"test_set": "0a1b2c3d"}
    monkeypatch.setattr(exporting, "read_metrics", lambda: metrics)
    wanted = "metrics/eval.json was not made from this features/pairs.h5, but from another version; run `dvc repro`."
    assert sentence_of(exporting.export, tmp_path / "recogniser", False) == wanted
    assert not (tmp_path / "recogniser").exists()


@pytest.mark.parametrize("needed", [True, False])
def test_an_encoder_of_the_hub_is_copied_if_it_loads_only_with_a_setting(small_project, tmp_path, monkeypatch, needed):
    given = params.load()
    given = replace(given, encoder=replace(given.encoder, model="someone/clip", pickled_weights=True))
    monkeypatch.setattr(exporting.params, "load", lambda: given)
    monkeypatch.setattr(hub, "cached", lambda model, revision: Path("clip"))
    monkeypatch.setattr(checkpoints, "needs_leave", lambda model, folder: needed)
    exporting.export(tmp_path / "recogniser", with_clip=False)
    assert (tmp_path / "recogniser/clip").is_dir() == needed
    assert (tmp_path / "recogniser/clip.json").is_file() != needed


@pytest.mark.parametrize(
    ("classes", "listed"),
    [
        (["run"], "run"),
        (["run", "hop"], "run or hop"),
        ([f"c{number}" for number in range(10)], "c0, c1, c2, c3, c4, c5, c6, c7 and 2 other classes"),
    ],
)
def test_classes_are_listed_in_a_sentence(classes, listed):
    assert exporting._listed(classes) == listed
