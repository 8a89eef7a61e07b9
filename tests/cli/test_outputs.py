"""What the output files of commands must not replace: inputs, one another, files of the project, pipes and devices."""

import os
from pathlib import Path

import pytest
import yaml
from builders import CHECKOUT, put, put_clips, put_params, run_command, run_python, sentence_of
from footage import encode, moving

from mocliplite.cli import _main
from mocliplite.cli._outputs import check_outputs

pytestmark = pytest.mark.usefixtures("folder")

# By command, words with which it may write all of its files.
WORDS = {
    "export-store": ["features/motion", "--to", "npz"],
    "few-shot": [],
    "init": ["list.csv", "--force"],
    "label-next": ["clips"],
    "predict": ["x.avi", "--window", "1"],
    "report": [],
    "search": ["hop"],
    "show": ["x.avi"],
}
OPTIONS = [
    (name, action.option_strings[0])
    for name, parser in _main.parsers(_main.parser()).items()
    for action in parser._actions
    if action.option_strings and action.metavar in ("FILE", "PNG")
]


def refusal(*words):
    """Return the sentence with which a command refuses its arguments."""
    done = run_command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.rpartition("error: ")[2].strip()


def contents():
    """Return the content of each file, and where each link leads."""
    return {path: path.readlink() if path.is_symlink() else path.read_bytes() for path in Path().rglob("*.*")}


def test_all_commands_with_output_files_are_known():
    assert {name for name, _ in OPTIONS} == WORDS.keys()


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_no_command_replaces_a_file_of_the_project_or_its_input(name, option):
    put(".", {"params.yaml": "settings", "clips/a.avi": "clip", "x.avi": "clip", "list.csv": "path,label\n"})
    os.link("list.csv" if name == "init" else "params.yaml", "own.png")
    before = contents()
    what = "this command reads" if name == "init" else "belongs to the project"
    assert refusal(name, *WORDS[name], option, "own.png") == f"{option} is own.png, which {what}; give another file."
    assert contents() == before


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_no_command_replaces_a_link_to_a_device(name, option):
    put(".", {"clips/a.avi": "clip", "x.avi": "clip", "list.csv": "path,label\n"})
    Path("null.png").symlink_to(os.devnull)
    advice = "give another file, or remove it"
    assert refusal(name, *WORDS[name], option, "null.png") == f"null.png is not a regular file; {advice}."


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_no_output_is_a_folder_or_has_no_name(name, option):
    put(".", {"clips/a.avi": "clip", "x.avi": "clip", "list.csv": "path,label\n"})
    Path("out.png").mkdir()
    assert refusal(name, *WORDS[name], option, "out.png") == f"{option} is out.png, which is a folder; give a file."
    assert refusal(name, *WORDS[name], option, "") == f"{option} is empty; give a value."
    assert list(Path("out.png").iterdir()) == []


@pytest.mark.parametrize("out", ["x.png", "./x.png", "clips/../x.png", "soft.png", "hard.png", "all/x.png"])
@pytest.mark.parametrize(
    ("words", "option"),
    [(["show", "x.png"], "--out"), (["predict", "x.png", "--window", "1"], "--srt"), (["predict", "x.png"], "--csv")],
)
def test_a_clip_is_not_replaced_under_any_of_its_names(words, option, out):
    put(".", {"x.png": "clip", "clips/a.avi": "clip"})
    Path("soft.png").symlink_to("x.png")
    os.link("x.png", "hard.png")
    Path("all").symlink_to(".")
    before = contents()
    assert refusal(*words, option, out) == f"{option} is {out}, which this command reads; give another file."
    assert contents() == before


@pytest.mark.parametrize("clips", ["clips", "clips/*.avi", "./clips/deep"])
def test_a_clip_of_a_folder_is_not_replaced(clips):
    put("clips", {"a.avi": "clip", "deep/b.avi": "clip"})
    out = "clips/a.avi" if "*" in clips else "clips/deep/b.avi"
    expected = f"--parquet is {out}, which this command reads; give another file."
    assert refusal("predict", clips, "--parquet", out) == expected


@pytest.mark.parametrize("second", ["s", "./s", "link"])
@pytest.mark.parametrize("exists", [True, False])
def test_two_outputs_are_different_files(second, exists):
    put(".", {"x.avi": "clip"} | ({"s": "old"} if exists else {}))
    Path("link").symlink_to("s")
    expected = f"--csv and --parquet are the same file, {second}; give different files."
    assert refusal("predict", "x.avi", "--csv", "s", "--parquet", second) == expected


def test_a_list_from_standard_input_is_not_replaced():
    put(".", {"list": "x.avi\n"})
    code = "import sys; from mocliplite.__main__ import cli; import os; os.dup2(os.open('list', os.O_RDONLY), 0); cli()"
    done = run_python("-c", code, "predict", "-", "--parquet", "list")
    assert done.stderr == "error: --parquet is list, which this command reads; give another file.\n"


def test_the_manifest_that_init_writes_is_not_its_other_output():
    settings = (CHECKOUT / "configs/folder.yaml").read_text()
    put(".", {"configs/folder.yaml": settings, "configs/none": "", "list.csv": "path,label\na.mp4,hop\nb.mp4,run\n"})
    for name in ("a.mp4", "b.mp4"):
        encode(name, moving(frames=4, size=(32, 48)))
    message = refusal("init", "list.csv", "--root", ".", "--out", "./clips_manifest.csv")
    assert message == "--out and the manifest are the same file, clips_manifest.csv; give different files."
    assert not Path("clips_manifest.csv").exists()


def test_what_stages_write_and_settings_name_belongs_to_the_project():
    motion = {"cmd": "python -m stages.motion", "outs": [{"features/motion": {"persist": True}}], "metrics": ["m.json"]}
    answers = {"cmd": "python -m mocliplite predict clips --csv answers.csv --resume", "outs": ["answers.csv"]}
    stages = {"motion": motion, "answers": answers}
    own = {"dvc.yaml": yaml.safe_dump({"stages": stages}), "features/motion/0.h5": "", "m.json": ""}
    put(".", own | {"answers.csv": "", "lists/train.txt": "", "lists/page.html": "", "root/page.html": ""})
    put_clips("Run/a.avi")
    put_params(lists="lists")
    for path in (*own, "params.yaml", "lists/train.txt", "root/Run/a.avi"):
        expected = f"--out is {path}, which belongs to the project; give another file."
        assert sentence_of(check_outputs, {"--out": path}) == expected
    for path in ("answers.csv", "lists/page.html", "root/page.html", "new.html", "features/new.html"):
        check_outputs({"--out": path})
    Path("link").symlink_to(Path.cwd())
    for path in ("features/motion/new.html", "./features/../features/motion/new/new.html", "link/features/motion/a"):
        written = "but only `dvc repro` writes to features/motion; give another path."
        assert sentence_of(check_outputs, {"--out": path}) == f"--out is {path}, {written}"
    assert refusal("export", "features/motion/new") == f"DIR is features/motion/new, {written}"


def test_init_may_replace_the_settings_of_the_project():
    put(".", {"params.yaml": "settings", "list.csv": "path,label\n"})
    assert "belongs" not in refusal("init", "list.csv", "--force")


@pytest.mark.parametrize("source", ["pipe.csv", "null.csv"])
@pytest.mark.parametrize("more", [[], ["--root", "."]])
def test_init_refuses_a_list_that_is_a_pipe_or_a_device(source, more):
    os.mkfifo("pipe.csv")
    Path("null.csv").symlink_to(os.devnull)
    assert refusal("init", source, *more) == f"{source} is not a regular file; save its content to a file instead."
