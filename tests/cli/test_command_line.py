"""What the command line refuses before it does anything."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from builders import PLAIN, sentence_of

from mocliplite.cli._main import main
from mocliplite.predict.recognizer import COMPUTE, Recognizer
from mocliplite.runtime.device import device

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("prdict x", "prdict is not a command; the nearest is predict, and --help lists all."),
        ("predict --tpo 3 x", "--tpo is not an option of predict; the nearest is --top, and --help lists all."),
        ("predict x --modle=m", "--modle is not an option of predict; the nearest is --model, and --help lists all."),
        (
            "export-store s --too npz",
            "--too is not an option of export-store; the nearest is --to, and --help lists all.",
        ),
        ("show x -out y", "-out is not an option of show; the nearest is --out, and --help lists all."),
    ],
)
def test_a_misspelt_command_or_option_is_told_the_nearest(words, said):
    assert sentence_of(main, words.split()) == said


def test_a_shortened_option_and_words_behind_two_dashes_are_taken():
    assert sentence_of(main, ["probe", "--", "--tpo"]) == "1 of 1 clips could not be used; see above."
    assert sentence_of(main, ["search", "--lik", "x", "words"]).startswith("give either words")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("report --out no/r.html", "--out"),
        ("search x --html no/r.html", "--html"),
        ("init clips --out no/r.html", "--out"),
    ],
)
def test_a_folder_that_is_not_here_is_not_made(words, option):
    wanted = f"{option} is no/r.html, but there is no folder no; make it, or correct the path."
    assert sentence_of(main, words.split()) == wanted
    assert not Path("no").exists()


def test_a_gpu_that_is_not_here_is_told_to_whom_asked_for_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    compute = replace(COMPUTE, device="cuda")
    for by, asked in (("--device", ["--device"]), ("params.yaml: compute.device", [])):
        assert (
            sentence_of(device, compute, *asked)
            == f"{by} is 'cuda', but torch finds no GPU here; set it to cpu or auto."
        )


def test_a_folder_given_to_predict_is_to_be_given_by_its_files(folder):
    Path("clips").mkdir()
    made_of = {"keyframes": {"frames": 1, "pick": "middle"}, "motion_embeddings": {"motion": asdict(PLAIN)}}
    inline = replace(COMPUTE, engine="inline")
    recognizer = Recognizer(None, None, None, {}, {}, [], {}, made_of, inline)
    assert sentence_of(recognizer, "clips") == "clips is a folder; give its files, such as clips/*.mp4."
