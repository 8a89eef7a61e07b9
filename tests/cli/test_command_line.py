"""Arguments that the command line refuses before any work."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders import run_python, sentence_of

from mocliplite.cli._main import main
from mocliplite.predict.recognizer import COMPUTE
from mocliplite.runtime.device import device

pytestmark = pytest.mark.usefixtures("folder")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("prdict x", "prdict is not a command; the nearest is predict; --help lists all."),
        ("predict --tpo 3 x", "--tpo is not an option of predict; the nearest is --top; --help lists all."),
        ("predict x --modle=m", "--modle is not an option of predict; the nearest is --model; --help lists all."),
        (
            "export-store s --too npz",
            "--too is not an option of export-store; the nearest is --to; --help lists all.",
        ),
        ("show x -out y", "-out is not an option of show; the nearest is --out; --help lists all."),
    ],
)
def test_the_error_for_an_unknown_command_or_option_names_the_nearest(words, sentence):
    assert sentence_of(main, words.split()) == sentence


@pytest.mark.parametrize(
    ("words", "option"), [(["search", "a\udcff"], "TEXT"), (["predict", "x", "--words", "a\udcff"], "--words")]
)
def test_a_text_that_is_not_utf_8_is_refused(words, option, folder):
    wanted = f"{option} 'a\\udcff' is not valid UTF-8; check the encoding of the terminal."
    assert sentence_of(main, words) == wanted


@pytest.mark.parametrize(
    ("words", "name"), [(["export", ""], "DIR"), (["search", ""], "TEXT"), (["push", "", "ann/a"], "DIR")]
)
def test_an_empty_argument_is_refused(words, name):
    assert sentence_of(main, words) == f"{name} is empty; give a value."


@pytest.mark.parametrize(("command", "what"), [("info", "stores"), ("verify", "stores"), ("probe", "clips")])
def test_an_empty_name_among_others_is_refused(command, what, capsys):
    assert sentence_of(main, [command, ""]) == f"1 of 1 {what} could not be used; see above."
    assert capsys.readouterr().err.endswith(" is empty; check the arguments.\n")


def test_an_empty_folder_of_a_server_is_not_the_working_folder():
    assert sentence_of(main, ["serve", "--root", ""]) == "--root is empty; give a value."


@pytest.mark.parametrize("seconds", ["0.009", "1e-300", "0", "-1", "nan", "inf", "1e999", "x"])
@pytest.mark.parametrize("option", ["--window", "--stride"])
def test_a_window_that_no_frame_fills_is_refused(option, seconds):
    done = run_python("-m", "mocliplite", "predict", "x.avi", f"{option}={seconds}")
    assert done.returncode == 2
    assert f"argument {option}: {seconds!r} is not a number of seconds of at least 0.01" in done.stderr


@pytest.mark.parametrize("command", [["predict", "x.avi"], ["serve"]])
def test_the_time_limit_has_the_range_of_its_setting(command):
    done = run_python("-m", "mocliplite", *command, "--time-limit", "1000001")
    assert "argument --time-limit: '1000001' is more than 1000000 seconds" in done.stderr


def test_an_empty_list_on_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n \n")))
    wanted = "the list on standard input is empty; write one name per line."
    assert sentence_of(main, ["predict", "-"]) == wanted


def test_an_abbreviated_option_and_arguments_after_two_dashes_are_accepted():
    assert sentence_of(main, ["probe", "--", "--tpo"]) == "1 of 1 clips could not be used; see above."
    assert sentence_of(main, ["search", "--lik", "x", "words"]).startswith("give either a text")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("report --out no/r.html", "--out"),
        ("search x --html no/r.html", "--html"),
        ("init clips --out no/r.html", "--out"),
    ],
)
def test_a_missing_output_folder_is_an_error_and_is_not_created(words, option):
    sentence = f"{option} is no/r.html, but the folder no does not exist; create it or correct the path."
    assert sentence_of(main, words.split()) == sentence
    assert not Path("no").exists()


@pytest.mark.parametrize(("arguments", "setting"), [(["--device"], "--device"), ([], "params.yaml: compute.device")])
def test_the_error_for_a_missing_gpu_names_the_option_or_setting(monkeypatch, arguments, setting):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    expected = f"{setting} is 'cuda', but torch finds no GPU; set it to cpu or auto."
    assert sentence_of(device, replace(COMPUTE, device="cuda"), *arguments) == expected


def test_help_does_not_import_libraries():
    code = (
        "import sys; from mocliplite.cli._main import parser; parser().format_help();"
        "print({'numpy', 'yaml', 'torch', 'h5py', 'av', 'tqdm'} & set(sys.modules))"
    )
    assert run_python("-c", code).stdout == "set()\n"
