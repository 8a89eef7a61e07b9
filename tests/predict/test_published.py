"""Recognisers on the hub: a server of the hub's protocol, the client as it is."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CHECKOUT, sentence_of
from hub_server import TOKEN, Hub
from huggingface_hub import ModelCard

from mocliplite.hub import card
from mocliplite.predict import published
from mocliplite.predict.card import metadata
from mocliplite.predict.export import export
from mocliplite.predict.recognizer import COMPUTE, Recognizer

INLINE = replace(COMPUTE, engine="inline", device="cpu", threads=1)
NAME = "ann/three-classes"
FILES = dict.fromkeys(published._NEEDED, b"{}")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, of which this machine has an empty cache."""
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    yield server
    server.close()


@pytest.fixture
def recogniser(small_project, tmp_path):
    export(tmp_path / "recogniser", with_clip=False)
    return tmp_path / "recogniser"


def mocliplite(*arguments, status=0):
    """Run a command; return its output, of which warnings are no part."""
    # The client reads its settings when it is imported, so it runs in a process of its own.
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-m", "mocliplite", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def folder_of(name, revision=None):
    """Return what `published.folder_of` returns, or the message of its UserError."""
    code = "import sys; from mocliplite import errors; from mocliplite.predict.published import folder_of\n"
    code += "try: print(folder_of(sys.argv[1], sys.argv[2] or None))\n"
    code += "except errors.UserError as error: print(error)\n"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", code, name, revision or ""]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_pushed_predicts_the_same_and_needs_no_network_again(hub, recogniser, tmp_path, monkeypatch):
    printed = mocliplite("push", recogniser, NAME).strip()
    assert hub.files(NAME) == contents(recogniser)
    assert hub.private[NAME] is True
    revision = printed.rpartition("/")[2]
    shutil.copy("clips/Rolling/1.avi", tmp_path / "clip.avi")
    monkeypatch.chdir(tmp_path)
    expected = Recognizer.load("recogniser", INLINE)("clip.avi")
    model = ["--model", NAME, "--revision", "main"]
    (answer,) = json.loads(mocliplite("predict", "clip.avi", "--json", "--device", "cpu", *model))
    classes = {found["class"]: found["probability"] for found in answer["classes"]}
    assert classes == pytest.approx(dict(expected), abs=1e-4)

    hub.close()
    assert folder_of(NAME, revision) == folder_of(NAME) == str(cached(NAME, revision))


def cached(name, revision):
    return Path(os.environ["HF_HOME"], "hub", f"models--{name.replace('/', '--')}", "snapshots", revision)


def test_a_push_replaces_a_recogniser_and_nothing_else(hub, recogniser):
    hub.put(NAME, {"clip/old.json": b"{}", "README.md": b"old", ".gitattributes": b"*.h5 filter=lfs"})
    mocliplite("push", recogniser, NAME)
    assert hub.files(NAME).keys() == {*contents(recogniser), ".gitattributes"}

    hub.put("ann/clip", {"config.json": b"{}", "model.safetensors": b"weights"})
    assert mocliplite("push", recogniser, "ann/clip", status=2) == (
        "error: ann/clip on the hub has other files, such as config.json; choose another name.\n"
    )
    assert len(hub.commits["model", "ann/clip"]) == 1


def test_a_token_that_the_hub_refuses_is_an_error(hub, recogniser, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    error = mocliplite("push", recogniser, NAME, status=2)
    assert error.startswith(f"error: {NAME} cannot be written on the hub (")
    assert error.endswith("log in with `hf auth login`, or set HF_TOKEN to a token that may write.\n")
    assert hub.commits == {}


def test_a_folder_that_is_no_export_is_not_pushed(tmp_path):
    wanted = f"{tmp_path} has no head/config.json; write it with `python -m mocliplite export`."
    assert sentence_of(published.push, tmp_path, NAME) == wanted


@pytest.mark.parametrize(
    "name", ["../ann/x", "ann/..", "ann/a/b", "ann", "ann/--x", "https://example.org/x", "ann/x y"]
)
def test_a_name_that_is_none_of_a_repository_is_refused(recogniser, name):
    wanted = f"{name!r} is not the name of a repository on the hub; give it as owner/name."
    assert sentence_of(published.push, recogniser, name) == wanted


def test_only_the_files_of_a_recogniser_are_downloaded(hub):
    revision = hub.put(NAME, {**FILES, "clip/pytorch_model.bin": b"pickle", "head/x.py": b"", "x.json": b""})
    assert contents(Path(folder_of(NAME))).keys() == FILES.keys()
    assert folder_of(NAME) == str(cached(NAME, revision))


def test_a_file_name_that_leads_out_of_the_cache_is_refused(hub, tmp_path):
    hub.put(NAME, {**FILES, "head/../../../../../../evil.json": b"evil"})
    assert folder_of(NAME).startswith(f"{NAME} (revision main) is neither a local folder nor in the local hub cache")
    assert list(tmp_path.rglob("evil.json")) == []


def test_what_the_hub_does_not_have_is_an_error(hub):
    hub.put("ann/other", {"config.json": b"{}"})
    hub.put(NAME, FILES)
    assert folder_of("ann/none") == (
        "ann/none is neither a local folder nor on the hub (revision main), or not for you; check the name, or log in "
        "with `hf auth login`."
    )
    assert folder_of(NAME, "v9").startswith(f"{NAME} is neither a local folder nor on the hub (revision v9)")
    assert folder_of("ann/other") == (
        "ann/other (revision main) on the hub is not an exported recogniser: head/config.json is missing."
    )


def test_a_local_folder_that_does_not_exist_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = "nope is not a folder; check the path, or run `dvc repro` to train models."
    assert sentence_of(published.folder_of, "nope", None) == wanted


def test_a_local_folder_has_no_revision(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ann/x").mkdir(parents=True)
    assert published.folder_of("ann/x", None) == Path("ann/x")
    wanted = "ann/x is a local folder, which has no revision; leave out --revision."
    assert sentence_of(published.folder_of, "ann/x", "main") == wanted


def test_the_hub_reads_the_metadata_of_the_card(recogniser):
    card = ModelCard.load(recogniser / "README.md")
    metrics = json.loads(Path("metrics/eval.json").read_text())
    answer = metrics["answer"]
    figures = {result.metric_name: (result.metric_type, result.metric_value) for result in card.data.eval_results}
    assert figures[f"top-1 accuracy of {answer}"] == ("accuracy", metrics["top1"][answer]["mean"])
    assert figures[f"macro F1 of {answer}"] == ("f1", metrics["macro_f1"][answer]["mean"])
    assert {(result.task_type, result.dataset_name) for result in card.data.eval_results} == {
        ("video-classification", "clips")
    }
    assert (card.data.library_name, card.data.pipeline_tag) == ("mocliplite", "video-classification")
    assert (card.data.license, card.data.base_model) == ("unknown", None)
    assert card.data.metrics == ["accuracy", "f1"]
    assert card.text.lstrip().startswith("# A MoCLIP-Lite recogniser for 3 classes")


def test_the_card_names_the_encoder_on_the_hub_and_the_figures_of_several_labels():
    metrics = {"answer": "ridge", "map": {"ridge": {"mean": 0.75}}, "macro_f1": {"ridge": {"mean": 0.5}}}
    data = ModelCard(card(metadata(metrics, "s3://videos/falls", "openai/clip-vit-base-patch32"), "# Falls\n")).data
    assert data.base_model == "openai/clip-vit-base-patch32"
    assert data.metrics == ["f1", "mean_average_precision"]
    assert sorted(result.metric_value for result in data.eval_results) == [0.5, 0.75]
    assert {result.dataset_name for result in data.eval_results} == {"falls"}
