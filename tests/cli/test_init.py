"""The command `init`: settings for your own clips."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from builders import CHECKOUT, put, run_command, run_python, sentence_of
from footage import UT_INTERACTION, encode, moving, real

from mocliplite import params
from mocliplite.cli import _findings, _init
from mocliplite.cli._group_guess import guess_group
from mocliplite.cli._main import main
from mocliplite.data.index import find_clips
from mocliplite.errors import Failure

UCF101 = [
    f"{label}/v_{label}_g{g:02d}_c{c:02d}.avi" for label in ("Run", "Hop") for g in range(1, 6) for c in (1, 2, 3)
]
UT = [f"{label}/set{1 + s // 11}_{i + 3 * s}_{s}_{i}.avi" for i, label in enumerate("abcdef") for s in range(1, 21)]

CLIP_FILES = ["config.json", "preprocessor_config.json", "model.safetensors", "tokenizer.json"]


@pytest.mark.parametrize(
    ("paths", "pattern"),
    [
        (UCF101, r"([^_/]+)_[^_/]+\.\w+$"),
        # Fewer recordings than clips of a recording.
        ([path for path in UCF101 if "_g01" in path or "_g02" in path or "c01" in path], r"([^_/]+)_[^_/]+\.\w+$"),
        ([path.replace("_c03", "_c11") for path in UCF101 if int(path[-9:-8]) < 4], r"([^_/]+)_[^_/]+\.\w+$"),
        (UT, r"(\d+)_\d+\.\w+$"),
        ([f"{label}/{who}/{n}.mp4" for label in "ab" for who in ("ann", "bob") for n in range(3)], "^[^/]+/([^/]+)/"),
        (
            [f"{label}/VID-{day}-{n}.mp4" for n, label in enumerate("ababab") for day in (20, 21, 22)],
            r"(\d+)-\d+\.\w+$",
        ),
    ],
)
def test_the_part_of_the_names_that_identifies_scene_or_person_is_guessed(paths, pattern):
    assert guess_group(paths) == pattern


@pytest.mark.parametrize("unlike", ["Hop/holiday.mp4", "Hop/v_c04.avi", "Run/my clip.avi"])
def test_one_name_of_ten_may_be_unlike_the_others(unlike):
    assert guess_group([*UCF101, unlike]) == guess_group(UCF101)
    assert guess_group([*UCF101, *(f"Run/{n}.avi" for n in range(3)), unlike]) is None


def test_one_file_of_ten_may_be_in_no_folder_of_its_class():
    paths = [f"{label}/{who}/{n}.mp4" for label in "ab" for who in ("ann", "bob") for n in range(5)]
    assert guess_group([*paths, "a/x.mp4"]) == "^[^/]+/([^/]+)/"


@pytest.mark.parametrize(
    "paths",
    [
        [f"{label}/IMG_{n:04d}.mp4" for label in "abc" for n in range(20)],  # a counter
        [f"{label}/{label}_{n}.mp4" for label in "abc" for n in range(20)],  # the class, and a counter
        ["a/x.mp4", "b/x_1_2.mp4"],
    ],
)
def test_there_is_no_guess_for_names_without_such_a_part(paths):
    assert guess_group(paths) is None


def test_fill_changes_only_the_given_settings():
    template = (CHECKOUT / "configs/folder.yaml").read_text()
    values = {"dataset.root": "it's: here", "dataset.group": r"_(\d+)\.avi$", "motion_net.views": ["plain"]}
    filled = _init.fill(template, values)
    before, after = yaml.safe_load(template), yaml.safe_load(filled)
    before["dataset"] |= {"root": "it's: here", "group": r"_(\d+)\.avi$"}
    before["motion_net"]["views"] = ["plain"]
    assert after == before
    comments = [[line.split(" #")[1:] for line in text.splitlines()] for text in (template, filled)]
    assert comments[0] == comments[1]


def test_a_setting_that_is_not_in_the_template_is_a_key_error():
    with pytest.raises(KeyError, match=r"dataset\.rot"):
        _init.fill("dataset:\n  root: x\n", {"dataset.rot": "y"})


@pytest.fixture
def clips_folder(folder):
    """A project folder with two classes of clips, with one clip without vectors and one text file among them."""
    put(".", {"configs/folder.yaml": (CHECKOUT / "configs/folder.yaml").read_text(), "configs/none": ""})
    for label in ("wave left", "wave right"):
        Path("clips", label).mkdir(parents=True)
        for number in range(4):
            encode(Path("clips", label, f"{number}.mp4"), moving(frames=4, size=(32, 48)))
    put("clips/wave left", {"text.mp4": "text"})
    encode(Path("clips/wave left/new.mkv"), moving(frames=3, size=(64, 64)), codec="libx265")


def test_warnings_and_stops_describe_the_folder(clips_folder):
    found = _findings.inspect_folder("clips")
    assert found.codecs == {"mpeg4": 8, "hevc": 1}
    assert found.without_vectors == ["wave left/new.mkv"]
    small, sides, no_vectors = found.warnings
    (unreadable,) = found.stops
    assert small == "fewer than 10 clips in wave left 6, wave right 4; metrics of such classes are unreliable."
    assert sides.startswith("wave left and wave right distinguish left and right")
    assert no_vectors.startswith("clips without motion vectors: 1, such as wave left/new.mkv; they are re-encoded")
    head, first = unreadable.splitlines()
    allowed = "dataset.max_failed (0.02) allows"
    assert head == f"clips that cannot be read: 1, more than {allowed}; fix or remove them, or raise it in params.yaml:"
    assert first.startswith("  clips/wave left/text.mp4 cannot be decoded")


def test_ten_unreadable_clips_are_named_and_below_max_failed_they_are_a_warning(clips_folder, monkeypatch):
    put("clips/wave left", {f"bad{number:02d}.mp4": "text" for number in range(11)})
    (unreadable,) = _findings.inspect_folder("clips").stops
    assert len(unreadable.splitlines()) == 1 + 10 + 1
    assert unreadable.splitlines()[-1] == "  and 2 more"
    put(
        "configs",
        {"folder.yaml": Path("configs/folder.yaml").read_text().replace("max_failed: 0.02", "max_failed: 0.9")},
    )
    found = _findings.inspect_folder("clips")
    assert found.stops == []
    assert found.warnings[-1].startswith("clips that cannot be read: 12; they are left out:")


def test_an_error_of_the_disk_ends_init_and_nothing_is_written(clips_folder, monkeypatch):
    reason = "clips/wave left/0.mp4 could not be read (Input/output error); check its disk, then run again."
    failure = Failure(reason, retry=True, transient=True)
    monkeypatch.setattr(_findings, "crash_safe", lambda *_: lambda *_: failure)
    put("clip", dict.fromkeys(CLIP_FILES, "{}"))
    assert sentence_of(main, ["init", "clips", "--clip", "clip"]) == reason
    assert not Path("params.yaml").exists()


def test_a_guessed_group_is_printed_with_examples(folder):
    put(".", {"configs/folder.yaml": (CHECKOUT / "configs/folder.yaml").read_text(), "configs/none": ""})
    put("clips", dict.fromkeys(UT, "text"))
    assert (
        r"groups: (\d+)_\d+\.\w+$ finds 20, shared by all classes, such as a/set1_3_1_0.avi -> 1, "
        in _init.describe(_findings.inspect_folder("clips"))
    )


@pytest.mark.parametrize("names", [("x1", "x2"), ("IMG", "holiday_3")])
def test_names_without_a_group_are_said_to_have_none(folder, names):
    put(".", {"configs/folder.yaml": (CHECKOUT / "configs/folder.yaml").read_text(), "configs/none": ""})
    put("clips", {f"{label}/{name}.mp4": "text" for label in "ab" for name in names})
    lines = _init.describe(_findings.inspect_folder("clips")).splitlines()
    assert (
        "groups: no part of the names looks like a group, so every clip is a group; set dataset.group if some clips "
        "belong together"
    ) in lines


def test_a_name_without_the_guessed_group_is_a_stop_and_the_others_keep_theirs(folder):
    put(".", {"configs/folder.yaml": (CHECKOUT / "configs/folder.yaml").read_text(), "configs/none": ""})
    put("clips", dict.fromkeys([*UCF101, "Run/holiday.avi"], "text"))
    found = _findings.inspect_folder("clips")
    assert found.stops[0] == (
        "dataset.group fits the names of 30 of 31 clips, but not Run/holiday.avi; rename or remove such files, or set "
        "it to null, with which every clip is a group."
    )
    assert {clip.group for clip in found.clips} == {"g01", "g02", "g03", "g04", "g05", "Run__holiday"}
    assert " finds 10, each of one class, such as " in _init.describe(found)


def test_the_params_file_is_complete_and_has_the_warnings_as_comments(clips_folder):
    put("my_clip", dict.fromkeys(CLIP_FILES, "{}"))
    output = run_command("init", "clips", "--clip", "my_clip")
    assert output.returncode == 0
    assert output.stdout.splitlines()[-2:] == [
        "encoder my_clip is available",
        "wrote params.yaml; fix the problems marked `stops`, then run `dvc repro`.",
    ]
    settings = params.load("params.yaml")
    expected = params.load("configs/folder.yaml")
    assert settings.dataset == replace(expected.dataset, root="clips", files="clips")
    assert settings.motion == replace(expected.motion, reencode="auto")
    assert settings.encoder == replace(expected.encoder, model="my_clip", files="my_clip", revision=None)
    assert settings.motion_net == replace(expected.motion_net, flip=False, views=("plain",), histogram="directions")
    written = Path("params.yaml").read_text()
    assert "# Warning: fewer than 10 clips" in written
    assert "# Warning: clips that cannot be read: 1, more than" in written
    assert "\n#   clips/wave left/text.mp4 cannot be decoded" in written


def test_an_existing_file_is_replaced_only_with_force(clips_folder):
    put(".", {"params.yaml": "mine"})
    output = run_command("init", "clips")
    assert output.returncode == 2
    assert output.stderr == "error: params.yaml exists; give --force to replace it, or --out another file.\n"
    assert Path("params.yaml").read_text() == "mine"
    output = run_command("init", "clips/", "--force")
    wanted = "the old file could not be read (params.yaml contains no settings; copy a file from configs/)"
    assert output.returncode == 0
    assert f"{wanted}; its settings are not kept\n" in output.stdout
    assert params.load("params.yaml").dataset.root == "clips"


def test_a_folder_as_output_is_refused_before_the_clips_are_inspected(folder):
    sentence = sentence_of(main, ["init", "missing", "--out", ".", "--force"])
    assert sentence == "--out is ., which is a folder; give a file."


def test_force_names_the_settings_that_are_not_kept(clips_folder):
    own = {"dataset.group": "(.)[^/]*$", "motion_net.patience": 7, "motion_net.views": ["plain"], "head.hidden": 64}
    put(".", {"params.yaml": _init.fill(Path("configs/folder.yaml").read_text(), own)})
    found = _findings.inspect_folder("clips")
    assert _init.write(Path("params.yaml"), found, "clip") == [
        "settings of the old params.yaml that are not kept:",
        '  dataset.group: "(.)[^/]*$", now null',
        '  motion.reencode: null, now "auto"',
        '  encoder.model: "openai/clip-vit-base-patch32", now "clip"',
        '  encoder.revision: "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268", now null',
        '  encoder.files: "configs/none", now "clip"',
        '  motion_net.histogram: "boundaries", now "directions"',
        "  motion_net.patience: 7, now null",
        "  motion_net.flip: true, now false",
        "  head.hidden: 64, now 512",
    ]
    assert _init.write(Path("params.yaml"), found, "clip") == []


@pytest.mark.parametrize("arguments", [["s3://bucket/clips"], ["list.csv", "--root", "s3://bucket/clips"]])
def test_an_address_is_refused(clips_folder, arguments):
    output = run_command("init", *arguments)
    wanted = (
        "s3://bucket/clips is an address, but init looks at clips on this machine; copy configs/folder.yaml to"
        " params.yaml and set dataset.root, see docs/own-clips.md."
    )
    assert (output.returncode, output.stderr) == (2, f"error: {wanted}\n")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "nope",
            "encoder nope is neither an existing folder nor a hub id such as openai/clip-vit-base-patch32; check",
        ),
        ("configs/nope", "encoder configs/nope is neither an existing folder nor a hub id such as "),
        ("clips", "clips is not a checkpoint: config.json"),
    ],
)
def test_a_clip_checkpoint_that_cannot_be_found_is_refused_first(clips_folder, model, message):
    output = run_command("init", "clips", "--clip", model)
    assert (output.returncode, output.stdout) == (2, "")
    assert output.stderr.startswith(f"error: --clip: {message}")
    assert not Path("params.yaml").exists()


def test_a_clip_checkpoint_on_the_hub_will_be_downloaded(clips_folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", "hub")
    shutil.copy("clips/wave left/0.mp4", "clips/wave left/text.mp4")
    output = run_command("init", "clips", "--clip", "ann/vit")
    assert output.stdout.splitlines()[-2:] == [
        "encoder ann/vit is not available yet; it is downloaded when needed, as by `hf download ann/vit`",
        "wrote params.yaml; run `dvc repro`, which also downloads or creates the encoder.",
    ]
    expected = params.load("configs/folder.yaml").encoder
    assert params.load("params.yaml").encoder == replace(expected, model="ann/vit", revision=None)


def test_the_next_step_for_another_output_file_is_to_copy_it(clips_folder):
    shutil.copy("clips/wave left/0.mp4", "clips/wave left/text.mp4")
    put("my_clip", dict.fromkeys(CLIP_FILES, "{}"))
    output = run_command("init", "clips", "--clip", "my_clip", "--out", "mine.yaml")
    expected = "wrote mine.yaml; copy it to params.yaml, which DVC reads, then run `dvc repro`."
    assert output.stdout.splitlines()[-1] == expected


def test_classes_too_small_to_split_are_a_stop(clips_folder):
    for path in Path("clips/wave right").iterdir():
        path.unlink()
    shutil.copy("clips/wave left/0.mp4", "clips/wave right")
    assert any(
        reason.startswith("the clips cannot be split into train, val and test:")
        for reason in _findings.inspect_folder("clips").stops
    )


def test_a_folder_that_is_not_a_data_set_is_refused(clips_folder):
    assert sentence_of(_findings.inspect_folder, "nope") == (
        "nope does not exist; give a folder with one subfolder of clips per class, or a list."
    )
    assert sentence_of(_findings.inspect_folder, "clips/wave left") == (
        "clips/wave left/0.mp4 is not in a class folder (6 such files); move it to the folder of its class."
    )


def test_the_guess_for_ut_interaction_is_its_sequences(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    found = _findings.inspect_folder(str(real(UT_INTERACTION / "kick/set1_9_2_2.avi").parents[1]))
    assert len(found.clips) == 120
    assert {clip.group for clip in found.clips} == {str(number) for number in range(1, 21)}
    assert found.without_vectors == []
    assert found.warnings == []
    assert found.stops == []


# Unusual folders


@pytest.fixture
def large_folder(folder):
    """A project folder with two classes of 30 clips each, all with motion vectors."""
    put(".", {"configs/folder.yaml": (CHECKOUT / "configs/folder.yaml").read_text(), "configs/none": ""})
    encode("one.mp4", moving(frames=4, size=(32, 48)))
    for label in ("hop", "run"):
        Path("clips", label).mkdir(parents=True)
        for number in range(30):
            shutil.copy("one.mp4", Path("clips", label, f"{number}.mp4"))


def test_a_single_unusual_file_does_not_change_the_settings(large_folder):
    encode("clips/hop/picture.mov", moving(frames=1), "libx265")
    encode("clips/run/other.mkv", moving(frames=4, size=(64, 64)), "libx265")
    found = _findings.inspect_folder("clips")
    assert "motion.reencode" not in _init.settings_for(found, None)
    assert found.stops == []
    one, two = found.warnings
    assert one.startswith("clips without motion vectors: 1, such as run/other.mkv; ")
    assert two.splitlines()[1].startswith("  clips/hop/picture.mov has one frame, but")


@pytest.mark.parametrize("name", ["gone.mp4", "pipe.mp4"])
def test_a_broken_link_and_a_pipe_are_stops(large_folder, name):
    path = Path("clips/hop", name)
    if name == "pipe.mp4":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere.mp4")
    output = run_command("init", "clips")
    assert output.returncode == 0
    (stop,) = [line for line in output.stdout.splitlines() if line.startswith("stops: ")]
    assert stop.startswith(f"stops: clips/hop/{name} is ")


def test_a_name_that_is_not_utf8_is_a_stop_and_the_params_file_loads(large_folder):
    shutil.copy("one.mp4", os.fsencode("clips/hop/") + b"caf\xe9.mp4")
    output = run_python("-m", "mocliplite", "init", "clips")
    assert (output.returncode, output.stderr.count("Traceback")) == (0, 0)
    assert r"stops: clips/'hop/caf\udce9.mp4' has a name that is not UTF-8; rename it." in output.stdout
    assert params.load("params.yaml").dataset.root == "clips"


def test_hidden_files_are_ignored_and_links_and_unsupported_files_are_warnings(large_folder):
    put("clips/hop", {"._1.mp4": "what macOS leaves", "a.gif": "", "b.GIF": ""})
    Path("elsewhere").mkdir()
    shutil.copy("one.mp4", "elsewhere/far.mp4")
    Path("clips/run/more").symlink_to(Path("elsewhere").resolve())
    found = _findings.inspect_folder("clips")
    assert len(found.clips) == 61
    linked, unsupported = found.warnings
    assert linked.startswith(
        "folders that are links: 1, such as clips/run/more; DVC does not detect changes behind a link"
    )
    assert unsupported.startswith("videos with unsupported file extensions (.gif, ")


@pytest.mark.parametrize(
    "character", ["\x01", "\x07", "\x0b", "\x0c", "\r", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ufeff"]
)
def test_the_params_file_loads_for_unusual_names(large_folder, character):
    Path("clips").rename(f"cl{character}ips")
    put(f"cl{character}ips/hop", {f"bad{character}: [x].mp4": "text"})
    output = run_command("init", f"cl{character}ips")
    assert output.returncode == 0, output.stderr
    assert params.load("params.yaml").dataset.root == f"cl{character}ips"


def test_one_class_and_a_class_with_one_clip_and_no_usable_clip_are_stops(large_folder):
    shutil.rmtree("clips/run")
    assert any("has the class hop alone" in stop for stop in _findings.inspect_folder("clips").stops)
    put("clips/sit", {})
    Path("clips/sit").mkdir()
    shutil.copy("one.mp4", "clips/sit")
    assert any("class sit has a single clip" in stop for stop in _findings.inspect_folder("clips").stops)
    for path in Path("clips").rglob("*.mp4"):
        path.write_text("text")
    assert any("clips that cannot be read" in stop for stop in _findings.inspect_folder("clips").stops)


@pytest.mark.parametrize(("takes", "shared", "groups"), [(1, True, 8), (4, False, 16)])
def test_whether_classes_share_groups_is_guessed_and_written(folder, takes, shared, groups):
    put(".", {"configs/folder.yaml": (CHECKOUT / "configs/folder.yaml").read_text(), "configs/none": ""})
    numbers = [(group, take if takes > 1 else group) for group in range(8) for take in range(takes)]
    names = [f"v_{label}_g{group:02d}_c{take:02d}.avi" for label in "ab" for group, take in numbers]
    put("named", {f"{name[2]}/{name}": name for name in names})
    found = _findings.inspect_folder("named")
    assert _init.settings_for(found, None)["dataset.shared_groups"] is shared
    assert f"finds {groups}, {'shared by all classes' if shared else 'each of one class'}, " in _init.describe(found)


# Lists


def test_init_takes_labels_and_paths_from_a_list_and_dvc_watches_a_manifest_below_the_project(large_folder):
    rows = [f"clips/{label}/{n}.mp4,{label} {n % 2}" for label in ("hop", "run") for n in range(30)]
    put(".", {"mine.csv": "path,label\n" + "\n".join(rows)})

    output = run_command("init", "mine.csv")

    assert output.returncode == 0, output.stderr
    lines = output.stdout.splitlines()
    assert lines[:2] == ["mine.csv: 60 clips in 4 classes", "  hop 0  15"]
    assert lines[-2].startswith("wrote clips_manifest.csv, which DVC watches, because . contains the project; ")
    settings = params.load("params.yaml").dataset
    assert (settings.root, settings.files, settings.lists) == (".", "clips_manifest.csv", "mine.csv")
    clips = find_clips(settings)
    assert [clip.label for clip in clips[:2]] == ["hop 0", "hop 1"]
    assert {clip.label for clip in clips} == {"hop 0", "hop 1", "run 0", "run 1"}


def test_the_paths_of_a_list_may_begin_elsewhere_and_dvc_watches_that_folder(large_folder):
    rows = [f"{label}/g{n % 10}_{n}.mp4,{label}" for label in ("hop", "run") for n in range(30)]
    for row in rows:
        path = Path("clips", row.split(",")[0])
        path.with_name(path.name.partition("_")[2]).rename(path)
    put("notes", {"mine.csv": "path,label\n" + "\n".join(rows)})

    found = _findings.inspect_list("notes/mine.csv", "clips")

    values = _init.settings_for(found, None)
    assert [values[f"dataset.{key}"] for key in ("root", "files", "lists")] == ["clips", "clips", "notes/mine.csv"]
    assert values["dataset.group"] == r"([^_/]+)_\d+\.\w+$"
    assert {clip.group for clip in found.clips} == {f"g{n}" for n in range(10)}
    assert found.stops == []


def test_a_folder_with_root_is_a_folder_of_lists(large_folder):
    put("lists", {f"{label}_test_split1.txt": lines_of_hmdb51() for label in ("hop", "run")})

    output = run_command("init", "lists", "--root", "clips")

    assert output.returncode == 0, output.stderr
    settings = params.load("params.yaml").dataset
    assert (settings.root, settings.files, settings.lists) == ("clips", "clips", "lists")
    assert "stops" not in output.stdout


def lines_of_hmdb51():
    return "".join(f"{n}.mp4 {1 if n < 24 else 2}\n" for n in range(30))


def test_a_folder_with_root_that_has_no_lists_is_refused(large_folder):
    output = run_command("init", "clips", "--root", "clips")
    assert output.returncode == 2
    assert output.stderr.startswith("error: dataset.lists is clips, which contains neither classInd.txt (UCF101), ")
