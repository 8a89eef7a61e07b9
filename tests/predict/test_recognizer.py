"""The recogniser on small real models: what it predicts, and which models it refuses to load together."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from builders import sentence_of
from small_project import CLASSES

from mocliplite import checkpoint, files
from mocliplite.cli._main import main
from mocliplite.errors import UserError
from mocliplite.motion import extraction
from mocliplite.predict import decoding
from mocliplite.predict.decoding import BATCH
from mocliplite.predict.recognizer import COMPUTE, Prediction, Recognizer
from mocliplite.store import table_file

INLINE = replace(COMPUTE, engine="inline", device="cpu", threads=1)
CLIP = "clips/Rolling/1.avi"


@pytest.fixture
def recognizer(small_project):
    return Recognizer.load("models", INLINE)


def test_every_class_has_a_probability_and_the_most_probable_comes_first(recognizer):
    classes = recognizer(CLIP)
    probabilities = [probability for _, probability in classes]
    assert {name for name, _ in classes} == set(CLASSES)
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)


def test_features_of_a_clip_are_those_that_the_pipeline_stored(recognizer):
    table = table_file.read_table("features/pairs.h5", "pairs").arrays
    row = table["ids"].tolist().index("Rolling__1")
    keyframes = recognizer.provenance["keyframes"]
    motion = extraction.settings_of(recognizer.provenance["motion_embeddings"]["motion"])
    clip = decoding.decode(CLIP, keyframes["frames"], keyframes["pick"], motion)
    features, milliseconds = recognizer.features([clip])
    assert len(recognizer.net_settings.views) > 1
    for name in ("keyframe", "motion", "motion_logits"):
        assert features[name].shape == (1, *table[name].shape[1:])
        np.testing.assert_allclose(features[name][0], table[name][row], rtol=1e-5, atol=1e-5)
    assert set(milliseconds) == {"encoder", "motion network"}


@pytest.mark.parametrize("engine", ["inline", "processes"])
def test_clips_are_predicted_in_order_and_a_bad_file_is_an_error_in_its_place(small_project, tmp_path, engine):
    (tmp_path / "text.mp4").write_text("this is not a video")
    good = [f"clips/{name}/{number}.avi" for number in range(BATCH // 2) for name in sorted(CLASSES)]
    paths = [good[0], str(tmp_path / "text.mp4"), "clips", *good[1:]]
    assert len(paths) > BATCH
    found = list(Recognizer.load("models", replace(INLINE, engine=engine)).predict(paths))
    assert [isinstance(item, UserError) for item in found] == [path not in good for path in paths]
    assert str(found[1]).startswith(f"{tmp_path / 'text.mp4'} cannot be decoded as video")
    assert str(found[2]) == "clips is a folder; give its files, such as clips/*.mp4."
    assert [item.path for item in found if isinstance(item, Prediction)] == good


def test_one_bad_clip_alone_raises_its_error(recognizer):
    assert sentence_of(recognizer, "clips") == "clips is a folder; give its files, such as clips/*.mp4."


@pytest.mark.parametrize("name", ["motion", "probes"])
def test_models_that_do_not_belong_together_are_refused(small_models, other_models, tmp_path, monkeypatch, name):
    shutil.copytree(small_models / "models", tmp_path / "changed")
    shutil.copytree(other_models / f"models/{name}", tmp_path / f"changed/{name}", dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert sentence_of(Recognizer.load, "changed", INLINE) == (
        f"changed/head was not made from this changed/{name}, but from another version; run `dvc repro`."
    )


def earlier_head(config):
    """The config of a head from the version in which no head named its answer and the blend had a fourth part."""
    del config["calibration"]["answer"]
    config["calibration"]["weights"]["blend"] = [0.1, 0.2, 0.3, 0.4]


def other_mixture(config):
    config["calibration"]["weights"]["blend"] = [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("edit", [earlier_head, other_mixture, lambda config: config.pop("calibration")])
def test_a_head_from_another_version_is_refused_in_one_sentence(small_copy, edit):
    tensors, config = checkpoint.load("models/head")
    edit(config)
    checkpoint.save("models/head", tensors, config)
    sentence = "models/head is from another version of MoCLIP-Lite; run `dvc repro`, and export it again if needed."
    assert sentence_of(main, ["predict", CLIP]) == sentence
    assert sentence_of(main, ["report"]) == sentence


def test_metrics_from_another_version_are_refused_in_one_sentence(small_copy, tmp_path):
    metrics = files.read_json("metrics/eval.json")
    del metrics["answer"]
    files.write_json("metrics/eval.json", metrics)
    sentence = "metrics/eval.json is from another version of MoCLIP-Lite; run `dvc repro` to write it again."
    for words in (["results"], ["report"], ["export", str(tmp_path / "out")]):
        assert sentence_of(main, words) == sentence


@pytest.mark.parametrize(
    "edit",
    [
        lambda net: net.update(camera=True),
        lambda net: net.pop("rows"),
        lambda net: net.update(width=64),
        lambda net: net.update(histogram="other"),
    ],
)
def test_a_motion_network_from_another_version_is_refused_in_one_sentence(small_copy, edit):
    tensors, config = checkpoint.load("models/motion")
    edit(config["net"])
    checkpoint.save("models/motion", tensors, config)
    tensors, config = checkpoint.load("models/head")
    config["features"]["motion_embeddings"]["model"] = checkpoint.digest("models/motion")
    checkpoint.save("models/head", tensors, config)
    assert sentence_of(main, ["predict", CLIP]) == (
        "models/motion is from another version of MoCLIP-Lite; run `dvc repro`, and export it again if needed."
    )
