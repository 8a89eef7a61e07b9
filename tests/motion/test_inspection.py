"""The commands probe and show."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from builders import CHECKOUT, run_command, run_python
from footage import encode, moving
from PIL import Image

from mocliplite.cli import show
from mocliplite.cli._main import parser
from mocliplite.report import overlay
from mocliplite.spans import Span
from mocliplite.video.frames import pictures
from mocliplite.video.streams import DEFAULT_LIMITS

pytestmark = pytest.mark.usefixtures("folder")


def test_probe_prints_a_line_per_clip():
    encode("a.avi", moving(frames=13), b_frames=2)
    result = run_command("probe", "a.avi")
    head, line = result.stdout.splitlines()
    assert head.split() == ["codec", "size", "fps", "frames", "I", "P", "B", "vectors/frame", "damaged", "clip"]
    assert line.split()[:7] == ["mpeg4", "176x144", "25.00", "13", "15%", "23%", "62%"]
    assert float(line.split()[7]) > 20
    assert (line.split()[8:], result.returncode) == (["0%", "a.avi"], 0)


def test_probe_of_a_folder_prints_a_table_and_a_summary():
    encode("a.avi", moving(frames=13))
    encode("b.mkv", moving(frames=3), "libx265")
    open("c.mp4", "wb").close()  # noqa: PTH123
    result = run_command("probe", ".")
    assert result.stdout.splitlines()[3:] == [
        "clips: 2, frames: 16, minutes: 0.0, codecs: mpeg4 1, hevc 1",
        "with motion vectors: 1",
        "without: 1; motion.reencode: auto re-encodes them in memory",
        "cannot be read: 1; see above",
    ]
    assert "codec hevc exports no motion vectors" in result.stdout
    assert result.stderr.startswith("error: c.mp4 cannot be decoded as video")
    assert result.returncode == 2


@pytest.mark.parametrize("codec", ["mpeg4", "libx265"])
def test_show_writes_a_picture_of_the_motion(codec):
    encode("a.mkv", moving(right=4, down=0, frames=13), codec)
    result = run_command("show", "a.mkv", "--out", "a.png")
    assert (result.returncode, result.stderr.count("Traceback")) == (0, 0)
    pixels = np.asarray(Image.open("a.png").convert("RGB"))
    assert pixels.shape[1] == 1500
    # In the right third, motion to the right is red.
    third = pixels[pixels.shape[0] // 3 : pixels.shape[0] // 2, 1100:1300].reshape(-1, 3)
    assert np.median(third, axis=0)[0] > 240
    assert np.median(third, axis=0)[1:].max() < 120


def test_colours_distinguish_rest_motion_and_no_vector():
    vectors = np.array([[[0, 0], [40, 0], [0, 40], [-40, 0], [-128, -128]]])
    colours = overlay._colours(vectors, fastest=10)[0].round(2).tolist()
    assert colours == [[1, 1, 1], [1, 0, 0], [0.5, 1, 0], [0, 1, 1], [0.6, 0.6, 0.6]]


def test_show_of_a_missing_file_is_an_error():
    result = run_command("show", "none.mp4")
    assert (result.returncode, result.stderr) == (2, "error: none.mp4 is not a file; check the path.\n")


def test_probe_reports_a_missing_path_and_continues():
    encode("a.avi", moving(frames=3))
    result = run_command("probe", "nope", "a.avi")
    assert result.stderr.startswith("error: nope is neither a clip nor a folder of clips; check the path.\n")
    assert "a.avi" in result.stdout
    assert result.returncode == 2


def test_show_refuses_an_output_file_that_is_not_a_png():
    encode("a.avi", moving(frames=3))
    result = run_command("show", "a.avi", "--out", "a.txt")
    wanted = "error: a.txt is not the name of a PNG file; choose a name for --out that ends in .png.\n"
    assert (result.returncode, result.stderr) == (2, wanted)


def test_show_into_a_missing_folder_is_an_error():
    encode("a.avi", moving(frames=3))
    result = run_command("show", "a.avi", "--out", "no/a.png")
    wanted = "error: --out is no/a.png, but the folder no does not exist; create it or correct the path.\n"
    assert (result.returncode, result.stderr) == (2, wanted)


def test_probe_searches_a_folder_like_a_data_set():
    for path in ("a/1.avi", "a/._1.avi", ".hidden/2.avi", "far/3.m4v"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        encode("x.avi", moving(frames=3))
        shutil.copy("x.avi", path)
    Path("a/link").symlink_to(Path("far").resolve())
    result = run_command("probe", "a")
    assert [line.split()[9] for line in result.stdout.splitlines()[1:3]] == ["a/1.avi", "a/link/3.m4v"]
    assert result.stdout.splitlines()[3].startswith("clips: 2, ")


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
def test_a_name_that_is_not_utf8_does_not_stop_probe(locale, monkeypatch):
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")
    monkeypatch.setenv("PYTHONUTF8", "0")
    encode("a.avi", moving(frames=3))
    Path("a.avi").rename(os.fsdecode(b"caf\xe9.avi"))
    encode("b.avi", moving(frames=3))
    result = run_python("-m", "mocliplite", "probe", ".")
    assert "Traceback" not in result.stderr
    assert "b.avi" in result.stdout
    assert len(result.stdout.splitlines()) == 3 + 2


def test_a_crash_of_the_decoder_fails_one_clip_only(monkeypatch, tmp_path):
    for name in ("a.avi", "b.avi"):
        encode(name, moving(frames=3))
    Path("sitecustomize.py").write_text(
        "import os, sys, ctypes\n"
        "if 'serve' in ' '.join(sys.orig_argv):\n"
        "    import builtins, io\n"
        "    real = io.open\n"
        "    from pathlib import Path\n"
        "    def opened(self, *a, **k):\n"
        "        if self.name == 'a.avi': ctypes.string_at(0)\n"
        "        return real(self, *a, **k)\n"
        "    Path.open = opened\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{CHECKOUT}"}
    result = subprocess.run(
        [sys.executable, "-m", "mocliplite", "probe", "a.avi", "b.avi"], env=environment, capture_output=True, text=True
    )
    assert result.stderr.startswith("error: a.avi was not read: the decoder crashed (SIGSEGV)")
    assert "b.avi" in result.stdout
    assert result.returncode == 2


def test_show_draws_a_frame_of_the_span(capsys):
    path = encode("a.avi", moving(frames=25), gop=12)
    show.run(parser().parse_args(["show", "a.avi", "--span", "0.4-0.8", "--out", "a.png"]))
    assert capsys.readouterr().out == "a.png: frame 5 of 10, mpeg4\n"
    drawn = overlay._picture(path, Span(0.4, 0.8), 5, DEFAULT_LIMITS)
    assert np.array_equal(drawn, pictures(path, [15])[15])
