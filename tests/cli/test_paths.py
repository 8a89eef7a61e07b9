"""Paths that users give: lists from other systems, names in other forms, links, and folders."""

import json
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from builders import CHECKOUT, run_python, sentence_of

from mocliplite import params
from mocliplite.cli import _report, _shared, predict, search
from mocliplite.data.clips import Clip
from mocliplite.errors import MachineError, UserError


class Stdin:
    """Standard input that holds bytes."""

    def __init__(self, content):
        self.buffer = self
        self.content = content

    def read(self):
        return self.content


@pytest.mark.parametrize(
    "content",
    [b"a.mp4\nb c.mp4\n", b"a.mp4\r\nb c.mp4\r\n", b"\xef\xbb\xbfa.mp4\nb c.mp4", b"\n a.mp4\n\n\r\nb c.mp4\n  \n"],
    ids=["LF", "CRLF", "BOM", "blank lines"],
)
def test_a_list_from_standard_input_may_come_from_any_system(content, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(content))
    assert [path.strip() for path in predict._places(["-"])] == ["a.mp4", "b c.mp4"]


@pytest.mark.parametrize("content", [b"a.mp4\0b.mp4\0", "a.mp4\n".encode("utf-16-le")], ids=["-print0", "UTF-16"])
def test_a_list_from_standard_input_with_characters_that_no_path_can_contain_is_refused(content, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stdin(content))
    wanted = "the list on standard input has the character NUL; write one name per line, in UTF-8."
    assert sentence_of(predict._places, ["-"]) == wanted


class Stdout:
    """Standard output of an encoding."""

    def __init__(self, encoding):
        self.encoding = encoding


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", None])
@pytest.mark.parametrize("name", ["Caf\u00e9 \u0141.mp4", "caf\udce9.mp4", "plain.mp4"])
def test_json_is_json_in_any_encoding(encoding, name, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Stdout(encoding))
    text = _report.json_text([{"clip": name}])
    assert json.loads(text.encode(encoding or "utf-8").decode(encoding or "utf-8")) == [{"clip": name}]


def test_a_folder_stands_for_its_clips(folder):
    for name in ("clips/b.MP4", "clips/._b.mp4", "clips/deep/a.mts", "clips/notes.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert _shared.clip_paths("clips") == ["clips/b.MP4", "clips/deep/a.mts"]
    assert _shared.clip_paths("other.xyz") == ["other.xyz"]
    Path("empty").mkdir()
    paths, empty = predict._clips(["x.mp4", "empty", "clips"])
    assert (paths[:2], list(empty), len(paths)) == (["x.mp4", "empty"], ["empty"], 4)
    with pytest.raises(UserError, match=r"^empty has no clip "):
        _shared.clip_paths("empty")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_any_path_that_leads_to_a_clip_names_it(folder, form):
    stored = unicodedata.normalize("NFD", "hop/Café 1.mp4")
    Path("clips/hop").mkdir(parents=True)
    Path("clips", stored).touch()
    Path("link.mp4").symlink_to(Path("clips", stored).resolve())
    clips = {"hop__x": Clip("hop__x", stored, "hop", (0,), "g", 1, "0")}
    given = unicodedata.normalize(form, "hop/Café 1.mp4")
    for name in ("hop__x", given, f"clips/{given}"):
        assert search._clip_id(name, "clips", clips) == "hop__x"
    for name in (f"./clips/{stored}", f"clips/../clips/{stored}", str(Path("clips", stored).resolve()), "link.mp4"):
        assert search._clip_id(name, "clips", clips) == "hop__x"


def test_a_segment_is_named_by_its_id(folder):
    clips = {
        f"x@{start}-{start + 1}": Clip(f"x@{start}-{start + 1}", "x.mp4", "hop", 0, "g", 1, "0", start, start + 1)
        for start in (0, 1)
    }
    assert search._clip_id("x@1-2", "clips", clips) == "x@1-2"
    with pytest.raises(UserError, match=r"^x\.mp4 has 2 segments, such as x@0-1; give the id of one of them\.$"):
        search._clip_id("x.mp4", "clips", clips)


@pytest.mark.parametrize("written", [None, "compute: wrong"])
def test_without_settings_to_read_the_usual_ones_are_used(folder, written):
    if written:
        Path("params.yaml").write_text(written)
    assert _shared.compute() == params.DEFAULT_COMPUTE


def test_settings_that_the_disk_fails_to_read_are_an_error(monkeypatch):
    def fail():
        raise MachineError("params.yaml cannot be read")

    monkeypatch.setattr(params, "load", fail)
    with pytest.raises(MachineError, match="cannot be read"):
        _shared.compute()


def test_a_command_prints_names_that_are_no_text(folder):
    code = "import sys; from mocliplite.__main__ import cli; sys.argv = ['x', 'probe', 'caf\\udce9.mp4']; cli()"
    environment = {"PYTHONPATH": str(CHECKOUT), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("Traceback")) == (2, 0)
    assert r"error: caf\udce9.mp4 is neither" in done.stderr
    assert run_python("-m", "mocliplite", "probe", "none.mp4").returncode == 2
