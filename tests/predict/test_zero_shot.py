"""Zero-shot answers for any words: a CLIP, and no trained model."""

import json
from pathlib import Path

import pytest
from builders import CHECKOUT, put, sentence_of
from footage import encode, moving
from random_checkpoints import save_checkpoint
from small_project import CLASSES, save_clip

from mocliplite.cli import _freshness, _words
from mocliplite.cli._main import main
from mocliplite.encoders.prompts import TEMPLATES, read_templates
from mocliplite.evaluation.metrics import softmax
from mocliplite.fusion.methods import zero_shot_logits
from mocliplite.store import table_file

WORDS = "falling, resting, rolling"


def predictions_of(capsys, *arguments):
    main(["predict", *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def bare_folder(tmp_path, monkeypatch):
    """A folder with a CLIP checkpoint and a clip, and no project."""
    monkeypatch.chdir(tmp_path)
    save_clip("some_clip")
    encode("new.avi", moving(frames=8, size=(96, 128)))
    return tmp_path


def test_words_that_are_the_class_names_give_the_row_zero_shot(small_project, capsys):
    pairs = table_file.read_table("features/pairs.h5", "pairs").arrays
    paths = [f"clips/{name}/1.avi" for name in sorted(CLASSES)]
    rows = [pairs["ids"].tolist().index(path[6:-4].replace("/", "__")) for path in paths]
    logits = zero_shot_logits(pairs["keyframe"][rows, 0], pairs["prompts"], float(pairs["logit_scale"]))
    found = predictions_of(capsys, *paths, "--words", WORDS)
    assert [row["clip"] for row in found] == paths
    for row, probabilities in zip(found, softmax(logits), strict=True):
        expected = dict(zip(WORDS.split(", "), probabilities, strict=True))
        assert {item["class"]: item["probability"] for item in row["classes"]} == pytest.approx(expected, abs=1e-3)


def test_the_json_has_the_keys_of_a_prediction_by_trained_models(small_project, capsys):
    (trained,) = predictions_of(capsys, "clips/Rolling/1.avi")
    (zero_shot,) = predictions_of(capsys, "clips/Rolling/1.avi", "--words", WORDS)
    assert zero_shot.keys() == trained.keys()
    assert zero_shot["shares"] == {}
    assert zero_shot["milliseconds"].keys() < trained["milliseconds"].keys()
    probabilities = [item["probability"] for item in zero_shot["classes"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-3)


def test_no_project_is_needed_and_a_bad_clip_does_not_stop_the_others(bare_folder, capsys):
    sentence = sentence_of(main, ["predict", "new.avi", "missing.avi", "--words", WORDS, "--clip", "some_clip"])
    assert sentence == "1 of 2 clips could not be used; see above."
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "new.avi"
    assert printed.err == "error: missing.avi is not a file; check the path.\n"


@pytest.mark.parametrize("family", ["siglip", "altclip"])
def test_other_encoders_with_a_text_encoder_answer(bare_folder, capsys, family):
    save_checkpoint("other", family)
    (found,) = predictions_of(capsys, "new.avi", "--words", "wave, fall", "--clip", "other")
    assert {item["class"] for item in found["classes"]} == {"wave", "fall"}


def test_an_encoder_of_images_alone_is_an_error(bare_folder):
    save_checkpoint("images", "dinov2")
    assert sentence_of(main, ["predict", "new.avi", "--words", WORDS, "--clip", "images"]) == (
        "images embeds no texts, so it cannot compare clips with words; give another --clip."
    )


def test_no_warning_about_trained_models_is_printed(bare_folder, capsys, monkeypatch):
    monkeypatch.setattr(_freshness, "out_of_date_warning", lambda: "the models are old")
    main(["predict", "new.avi", "--words", WORDS, "--clip", "some_clip"])
    assert capsys.readouterr().err == ""
    sentence_of(main, ["predict", "new.avi"])
    assert capsys.readouterr().err == "warning: the models are old\n"


@pytest.mark.usefixtures("folder")
def test_a_missing_clip_model_is_an_error():
    assert sentence_of(main, ["predict", "new.avi", "--words", WORDS]) == (
        "--words needs a CLIP: give --clip with a folder or hub id; there is no params.yaml here."
    )
    assert sentence_of(main, ["predict", "new.avi", "--words", WORDS, "--clip", "no/such/folder"]) == (
        "--clip is no/such/folder, which is neither a folder nor a hub id such as openai/clip-vit-base-patch32; "
        "check it."
    )


@pytest.mark.usefixtures("folder")
def test_without_a_project_pickled_weights_alone_are_refused_with_what_to_do_there():
    put("pickled", {"config.json": "{}", "preprocessor_config.json": "{}", "tokenizer.json": "{}"})
    put("pickled", {"pytorch_model.bin": "weights"})
    assert sentence_of(main, ["predict", "new.avi", "--words", WORDS, "--clip", "pickled"]) == (
        "pickled has pickled weights alone, which can run programs when they are read; if you trust who made it, "
        "convert it with save_pretrained, or run in a project with encoder.pickled_weights: true."
    )


def test_a_project_with_own_features_needs_a_clip_model_for_words(small_copy):
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("features: configs/none", "features: mine.npz"))
    assert sentence_of(main, ["predict", "new.avi", "--words", WORDS]) == (
        "--words needs a CLIP: give --clip; encoder.features are embeddings that were made elsewhere."
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("wave,,fall", "--words 'wave,,fall' has an empty word; write words separated by single commas."),
        ("", "--words is empty; give a value."),
        ("wave", "--words 'wave' is one word; give at least two, separated by commas."),
        ("wave, fall,  Wave", "--words has 'Wave' twice; remove one."),
        ("a  man,a man", "--words has 'a man' twice; remove one."),
        ("a,\udcff", "--words 'a,\\udcff' is not valid UTF-8; check the encoding of the terminal."),
    ],
)
def test_empty_repeated_and_single_words_are_refused(words, sentence):
    assert sentence_of(main, ["predict", "new.avi", "--words", words]) == sentence


@pytest.mark.usefixtures("folder")
def test_options_of_the_other_kind_of_prediction_are_refused():
    assert sentence_of(main, ["predict", "new.avi", "--clip", "x"]) == (
        "--clip is used with --words only; the trained models name their own CLIP."
    )
    assert sentence_of(main, ["predict", "new.avi", "--words", WORDS, "--model", "recogniser"]) == (
        "--words uses no trained models; leave out --model and --revision."
    )


def test_words_keep_their_order_and_lose_surrounding_space():
    assert _words.split(" person  waving,falling , Nothing ") == ["person waving", "falling", "Nothing"]


def test_the_templates_without_a_project_are_those_of_the_project():
    assert list(TEMPLATES) == read_templates(CHECKOUT / "prompts/templates.txt")
