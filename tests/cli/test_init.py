"""Settings for somebody's own clips."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from builders import CHECKOUT, put, run_python, sentence_of
from footage import UT_INTERACTION, encode, moving, real

from mocliplite import params
from mocliplite.cli import _init

UCF101 = [
    f"{label}/v_{label}_g{g:02d}_c{c:02d}.avi" for label in ("Run", "Hop") for g in range(1, 6) for c in (1, 2, 3)
]
UT = [f"{label}/set{1 + s // 11}_{i + 3 * s}_{s}_{i}.avi" for i, label in enumerate("abcdef") for s in range(1, 21)]

CLIP_FILES = ["config.json", "preprocessor_config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize(
    ("paths", "pattern"),
    [
        (UCF101, r"([^_/]+)_[^_/]+\.\w+$"),
        (UT, r"(\d+)_\d+\.\w+$"),
        ([f"{label}/{who}/{n}.mp4" for label in "ab" for who in ("ann", "bob") for n in range(3)], "^[^/]+/([^/]+)/"),
        (
            [f"{label}/VID-{day}-{n}.mp4" for n, label in enumerate("ababab") for day in (20, 21, 22)],
            r"(\d+)-\d+\.\w+$",
        ),
    ],
)
def test_the_part_of_the_names_that_tells_scene_or_person_is_found(paths, pattern):
    assert _init.guess_group(paths) == pattern


@pytest.mark.parametrize(
    "paths",
    [
        [f"{label}/IMG_{n:04d}.mp4" for label in "abc" for n in range(20)],  # a counter
        [f"{label}/{label}_{n}.mp4" for label in "abc" for n in range(20)],  # the class, and a counter
        ["a/x.mp4", "b/x_1_2.mp4"],
    ],
)
def test_names_that_tell_no_group_give_none(paths):
    assert _init.guess_group(paths) is None


def test_filling_changes_the_values_named_and_nothing_else():
    template = (CHECKOUT / "configs/folder.yaml").read_text()
    values = {"dataset.root": "it's: here", "dataset.group": r"_(\d+)\.avi$", "motion_net.views": ["plain"]}
    filled = _init.fill(template, values)
    before, after = yaml.safe_load(template), yaml.safe_load(filled)
    before["dataset"] |= {"root": "it's: here", "group": r"_(\d+)\.avi$"}
    before["motion_net"]["views"] = ["plain"]
    assert after == before
    remarks = [[line.split(" #")[1:] for line in text.splitlines()] for text in (template, filled)]
    assert remarks[0] == remarks[1]


def test_a_setting_that_the_template_lacks_is_our_mistake():
    with pytest.raises(KeyError, match=r"dataset\.rot"):
        _init.fill("dataset:\n  root: x\n", {"dataset.rot": "y"})


@pytest.fixture
def own(folder):
    """A project folder with two classes of clips, one of which holds a codec without vectors and a text."""
    put(".", {"configs/folder.yaml": (CHECKOUT / "configs/folder.yaml").read_text(), "configs/none": ""})
    for label in ("wave left", "wave right"):
        Path("clips", label).mkdir(parents=True)
        for number in range(4):
            encode(Path("clips", label, f"{number}.mp4"), moving(frames=4, size=(32, 48)))
    put("clips/wave left", {"text.mp4": "text"})
    encode(Path("clips/wave left/new.mkv"), moving(frames=3, size=(64, 64)), codec="libx265")


def test_what_would_spoil_the_day_is_said(own):
    found = _init.look("clips")
    assert found.codecs == {"mpeg4": 8, "hevc": 1}
    assert found.without == ["wave left/new.mkv"]
    few, sides, none = found.warnings
    (bad,) = found.stops
    assert few == "fewer than 10 clips in wave left 6, wave right 4; figures of such classes say little."
    assert sides.startswith("wave left and wave right tell left from right")
    assert none.startswith("1 clips show no motion vectors, such as wave left/new.mkv; they are encoded again")
    head, first = bad.splitlines()
    allowed = "dataset.max_failed (0.02) allows"
    assert head == f"1 clips cannot be read, more than {allowed}; mend or remove them, or raise it in params.yaml:"
    assert first.startswith("  clips/wave left/text.mp4 cannot be decoded")


def test_unreadable_clips_are_named_up_to_ten_and_stop_nothing_where_they_are_few_enough(own, monkeypatch):
    put("clips/wave left", {f"bad{number:02d}.mp4": "text" for number in range(11)})
    (bad,) = _init.look("clips").stops
    assert len(bad.splitlines()) == 1 + 10 + 1
    assert bad.splitlines()[-1] == "  and 2 more"
    put(
        "configs",
        {"folder.yaml": Path("configs/folder.yaml").read_text().replace("max_failed: 0.02", "max_failed: 0.9")},
    )
    found = _init.look("clips")
    assert found.stops == []
    assert found.warnings[-1].startswith("12 clips cannot be read; they are left out:")


def test_a_guessed_group_is_shown_plain_with_examples(folder):
    put(".", {"configs/folder.yaml": (CHECKOUT / "configs/folder.yaml").read_text(), "configs/none": ""})
    put("clips", dict.fromkeys(UT, "text"))
    assert r"groups: (\d+)_\d+\.\w+$ finds 20, such as a/set1_3_1_0.avi -> 1, " in _init.describe(_init.look("clips"))


def test_the_file_written_is_complete_and_says_what_was_found(own):
    put("my_clip", dict.fromkeys(CLIP_FILES, ""))
    output = run_python("-m", "mocliplite", "init", "clips", "--clip", "my_clip")
    assert output.returncode == 0
    assert output.stdout.splitlines()[-2:] == [
        "CLIP my_clip is available",
        "wrote params.yaml; mend what `stops` names, then `dvc repro` does everything.",
    ]
    settings = params.load("params.yaml")
    wanted = params.load("configs/folder.yaml")
    assert settings.dataset == replace(wanted.dataset, root="clips")
    assert settings.motion == replace(wanted.motion, reencode="auto")
    assert settings.clip == replace(wanted.clip, model="my_clip", files="my_clip", revision=None)
    assert settings.motion_net == replace(wanted.motion_net, flip=False, views=("plain",))
    written = Path("params.yaml").read_text()
    assert "# Mind: fewer than 10 clips" in written
    assert "# Mind: 1 clips cannot be read, more than" in written
    assert "\n#   clips/wave left/text.mp4 cannot be decoded" in written


def test_a_file_that_is_here_is_replaced_only_by_force(own):
    put(".", {"params.yaml": "mine"})
    output = run_python("-m", "mocliplite", "init", "clips")
    assert output.returncode == 2
    assert output.stderr == "error: params.yaml exists; give --force to replace it, or --out another file.\n"
    assert Path("params.yaml").read_text() == "mine"
    assert run_python("-m", "mocliplite", "init", "clips", "--force").returncode == 0
    assert params.load("params.yaml").dataset.root == "clips"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (
            "nope",
            "CLIP nope is neither an existing folder nor a hub id such as openai/clip-vit-base-patch32; check",
        ),
        ("configs/nope", "CLIP configs/nope is neither an existing folder nor a hub id such as "),
        ("clips", "clips is no CLIP checkpoint: it lacks config.json"),
    ],
)
def test_a_clip_that_is_nowhere_is_refused_before_any_work(own, named, said):
    output = run_python("-m", "mocliplite", "init", "clips", "--clip", named)
    assert (output.returncode, output.stdout) == (2, "")
    assert output.stderr.startswith(f"error: --clip: {said}")
    assert not Path("params.yaml").exists()


def test_a_clip_of_the_hub_will_be_fetched(own, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", "hub")
    shutil.copy("clips/wave left/0.mp4", "clips/wave left/text.mp4")
    output = run_python("-m", "mocliplite", "init", "clips", "--clip", "ann/vit")
    assert output.stdout.splitlines()[-2:] == [
        "CLIP ann/vit is not available yet; it is downloaded when needed, as by `hf download ann/vit`",
        "wrote params.yaml; `dvc repro` gets CLIP and does the rest.",
    ]
    wanted = params.load("configs/folder.yaml").clip
    assert params.load("params.yaml").clip == replace(wanted, model="ann/vit", revision=None)


def test_settings_written_elsewhere_are_to_be_copied(own):
    shutil.copy("clips/wave left/0.mp4", "clips/wave left/text.mp4")
    put("my_clip", dict.fromkeys(CLIP_FILES, ""))
    output = run_python("-m", "mocliplite", "init", "clips", "--clip", "my_clip", "--out", "mine.yaml")
    wanted = "wrote mine.yaml; copy it to params.yaml, which DVC reads, then `dvc repro` does everything."
    assert output.stdout.splitlines()[-1] == wanted


def test_classes_too_small_to_cut_are_named(own):
    for path in Path("clips/wave right").iterdir():
        path.unlink()
    shutil.copy("clips/wave left/0.mp4", "clips/wave right")
    assert any(
        reason.startswith("the clips cannot be cut into train, val and test:") for reason in _init.look("clips").stops
    )


def test_a_folder_that_is_no_data_set_is_a_sentence(own):
    assert sentence_of(_init.look, "nope") == (
        "nope is not a folder; give the folder that holds a folder of clips for each class."
    )
    assert sentence_of(_init.look, "clips/wave left") == (
        "clips/wave left/0.mp4 is in no class folder (6 in all); move it into its class's."
    )


def test_real_footage_is_grouped_by_its_sequences(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    found = _init.look(str(real(UT_INTERACTION / "kick/set1_9_2_2.avi").parents[1]))
    assert len(found.clips) == 120
    assert {clip.group for clip in found.clips} == {str(number) for number in range(1, 21)}
    assert found.without == []
    assert found.warnings == []
    assert found.stops == []


# Odd folders


@pytest.fixture
def plain(folder):
    """A project folder with two classes of 60 clips in all, every one with motion vectors."""
    put(".", {"configs/folder.yaml": (CHECKOUT / "configs/folder.yaml").read_text(), "configs/none": ""})
    encode("one.mp4", moving(frames=4, size=(32, 48)))
    for label in ("hop", "run"):
        Path("clips", label).mkdir(parents=True)
        for number in range(30):
            shutil.copy("one.mp4", Path("clips", label, f"{number}.mp4"))


def test_one_odd_file_does_not_change_the_settings_of_all(plain):
    encode("clips/hop/picture.mov", moving(frames=1), "libx265")
    encode("clips/run/other.mkv", moving(frames=4, size=(64, 64)), "libx265")
    found = _init.look("clips")
    assert "motion.reencode" not in _init.settings_for(found, None)
    assert found.stops == []
    one, two = found.warnings
    assert one.startswith("1 clips show no motion vectors, such as run/other.mkv; ")
    assert two.splitlines()[1].startswith("  clips/hop/picture.mov has one frame only")


@pytest.mark.parametrize("name", ["gone.mp4", "pipe.mp4"])
def test_a_link_to_nothing_or_a_pipe_is_a_stop_and_never_waited_for(plain, name):
    path = Path("clips/hop", name)
    if name == "pipe.mp4":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere.mp4")
    output = run_python("-m", "mocliplite", "init", "clips")
    assert output.returncode == 0
    (stop,) = [line for line in output.stdout.splitlines() if line.startswith("stops: ")]
    assert stop.startswith(f"stops: clips/hop/{name} is ")


def test_a_name_that_is_not_utf8_is_a_stop_and_the_file_written_loads(plain):
    shutil.copy("one.mp4", os.fsencode("clips/hop/") + b"caf\xe9.mp4")
    output = run_python("-m", "mocliplite", "init", "clips")
    assert (output.returncode, output.stderr.count("Traceback")) == (0, 0)
    assert r"stops: clips/'hop/caf\udce9.mp4' has a name that is not UTF-8; rename it." in output.stdout
    assert params.load("params.yaml").dataset.root == "clips"


def test_hidden_files_are_passed_over_and_links_and_other_endings_are_told(plain):
    put("clips/hop", {"._1.mp4": "what macOS leaves", "a.gif": "", "b.GIF": ""})
    Path("elsewhere").mkdir()
    shutil.copy("one.mp4", "elsewhere/far.mp4")
    Path("clips/run/more").symlink_to(Path("elsewhere").resolve())
    found = _init.look("clips")
    assert len(found.clips) == 61
    linked, untaken = found.warnings
    assert linked.startswith("1 folders are links, such as clips/run/more; DVC does not see changes behind a link")
    assert untaken.startswith("2 videos are not taken, for their endings (.gif, ")


@pytest.mark.parametrize(
    "letter", ["\x01", "\x07", "\x0b", "\x0c", "\r", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff"]
)
def test_settings_load_whatever_a_file_or_folder_is_called(plain, letter):
    Path("clips").rename(f"cl{letter}ips")
    put(f"cl{letter}ips/hop", {f"bad{letter}: [x].mp4": "text"})
    output = run_python("-m", "mocliplite", "init", f"cl{letter}ips")
    assert output.returncode == 0, output.stderr
    assert params.load("params.yaml").dataset.root == f"cl{letter}ips"


def test_one_class_and_a_class_of_one_clip_and_no_usable_clip_are_stops(plain):
    shutil.rmtree("clips/run")
    assert any("has the class hop alone" in stop for stop in _init.look("clips").stops)
    put("clips/sit", {})
    Path("clips/sit").mkdir()
    shutil.copy("one.mp4", "clips/sit")
    assert any("class sit has a single clip" in stop for stop in _init.look("clips").stops)
    for path in Path("clips").rglob("*.mp4"):
        path.write_text("text")
    assert any("clips cannot be read" in stop for stop in _init.look("clips").stops)
