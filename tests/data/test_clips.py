"""Clips found in class folders, and the file features/clips.csv."""

import inspect
import os
import sys
import unicodedata
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from builders import clip_of, put, put_clips, put_params, run_python, sentence_of, settings_of

from mocliplite.data.clips import Clip, read_clips, write_clips
from mocliplite.data.folders import find_videos
from mocliplite.data.index import find_clips
from mocliplite.data.names import included, is_below_root

pytestmark = pytest.mark.usefixtures("folder")


def paths_of(**changes):
    return [clip.path for clip in find_clips(settings_of(**changes))]


# Clips in folders


def test_a_clip_has_id_label_index_group_size_and_hash():
    put("root", {"run/deep/a.b.avi": "12345", "hop/x.mp4": ""})

    hop, run = find_clips(settings_of())

    assert run == Clip(
        "run__deep__a.b", "run/deep/a.b.avi", "run", (1,), "run__deep__a.b", 5, sha256(b"12345").hexdigest()
    )
    assert (hop.id, hop.label, hop.index, hop.bytes) == ("hop__x", "hop", 0, 0)


def test_file_extensions_are_matched_in_any_case_and_other_files_are_ignored():
    put_clips("a/1.AVI", "a/2.mp4", "a/3.Mkv", "a/4.mov", "a/5.webm", "a/6.txt", "a/avi", "a/7.avi.part")
    assert paths_of() == ["a/1.AVI", "a/2.mp4", "a/3.Mkv", "a/4.mov", "a/5.webm"]


def test_a_class_folder_may_be_named_like_a_file():
    put_clips("a.avi/1.avi")
    assert paths_of() == ["a.avi/1.avi"]


def test_hidden_files_and_folders_are_ignored():
    put_clips("a/1.avi", "a/._1.avi", "a/.cache/2.avi", ".trash/3.avi", ".4.avi")
    assert paths_of() == ["a/1.avi"]


def test_linked_folders_are_followed():
    put("elsewhere", {"1.avi": "", "deep/2.avi": ""})
    Path("root/b").mkdir(parents=True)
    Path("root/a").symlink_to(Path("elsewhere").resolve())
    Path("root/b/more").symlink_to(Path("elsewhere/deep").resolve())
    assert paths_of() == ["a/1.avi", "a/deep/2.avi", "b/more/2.avi"]


def test_folders_may_be_deeper_than_python_calls_itself():
    put_clips("b/x/" * 40 + "1.avi", "b/x/2.avi")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 60)
    try:
        found = find_videos(Path("root/b"))
    finally:
        sys.setrecursionlimit(limit)
    assert found == ["x/2.avi", "x/" + "b/x/" * 39 + "1.avi"]


def test_a_link_to_itself_is_no_folder():
    put_clips("a/1.avi")
    Path("root/a/again").symlink_to("again")
    assert paths_of() == ["a/1.avi"]
    Path("root/a/2.avi").symlink_to("2.avi")
    assert sentence_of(find_clips, settings_of()) == "root/a/2.avi is a broken link; fix or remove it."


@pytest.mark.parametrize(
    ("include", "matched"),
    [
        ("**/*", ["a/1.avi", "a/x/2.avi", "a/x/y/10.mp4"]),
        ("**", ["a/1.avi", "a/x/2.avi", "a/x/y/10.mp4"]),
        ("*/*", ["a/1.avi"]),
        ("**/*.avi", ["a/1.avi", "a/x/2.avi"]),
        ("**/1*", ["a/1.avi", "a/x/y/10.mp4"]),
        ("a/**/x/**", ["a/x/2.avi", "a/x/y/10.mp4"]),
        ("*/x/?.avi", ["a/x/2.avi"]),
        ("**/[!1].avi", ["a/x/2.avi"]),
    ],
)
def test_include_is_a_glob_pattern_for_the_path_relative_to_root(include, matched):
    put_clips("a/1.avi", "a/x/2.avi", "a/x/y/10.mp4")
    assert paths_of(include=include) == matched


def test_include_is_case_sensitive():
    assert not included("a/x.avi", "**/*.AVI")


@pytest.mark.parametrize(
    ("path", "include", "matched"),
    [
        ("a/b/a/b/c", "**/a/**/b/c", True),
        ("a/b/c/b/d", "**/b/d/**/x", False),
        ("a/a/b", "**/a/b", True),
        ("a/" * 5000 + "a.avi", "**/*", True),
        ("a/" * 5000 + "a.avi", "**/" * 5000 + "*.mp4", False),
        ("a/" * 5000 + "a.avi", "**/a/" * 40 + "b", False),
        ("a/" * 5000 + "a.avi", "a/" * 5000 + "*", True),
        ("a.avi", "**/" * 5000 + "*", True),
    ],
)
def test_paths_and_patterns_of_any_depth_are_matched(path, include, matched):
    assert included(path, include) is matched


def test_the_group_is_the_first_capture_group_of_the_pattern():
    put_clips("a/s1_x.avi", "b/s2_x.avi")
    clips = find_clips(settings_of(group=r"/(s\d)_"))
    assert [clip.group for clip in clips] == ["s1", "s2"]


def test_the_order_of_the_file_system_does_not_matter(monkeypatch):
    put_clips("b/2.avi", "a/1.avi", "b/x/3.avi", "b/w/3.avi")
    walk, iterdir = os.walk, Path.iterdir
    before = find_clips(settings_of())

    def reversed_walk(*arguments, **options):
        for folder, folders, names in walk(*arguments, **options):
            folders.reverse()
            yield folder, folders, names[::-1]

    monkeypatch.setattr(os, "walk", reversed_walk)
    monkeypatch.setattr(Path, "iterdir", lambda path: reversed(list(iterdir(path))))
    assert find_clips(settings_of()) == before


def test_clips_are_sorted_by_id_and_have_the_right_hash():
    put_clips("a/x.avi", "aA/x.avi")  # in reverse order of paths
    clips = find_clips(settings_of())
    assert [clip.id for clip in clips] == ["aA__x", "a__x"]
    assert [clip.sha256 for clip in clips] == [sha256(path).hexdigest() for path in (b"aA/x.avi", b"a/x.avi")]


def test_the_class_list_sets_the_index_and_may_have_windows_line_ends():
    put_clips("Hammering/1.avi", "HammerThrow/2.avi")
    Path("lists").mkdir()
    Path("lists/classInd.txt").write_bytes(b"\xef\xbb\xbf1 Hammering\r\n2 HammerThrow\r\n")
    clips = find_clips(settings_of(lists="lists"))
    indices = {clip.path: (clip.label, clip.index) for clip in clips}
    assert indices == {"Hammering/1.avi": ("Hammering", 0), "HammerThrow/2.avi": ("HammerThrow", 1)}


def test_folder_and_file_names_of_ucf101_may_differ_in_case(ucf101_clips):
    clips, _ = ucf101_clips
    (clip,) = [clip for clip in clips if clip.path == "HandstandPushups/v_HandStandPushups_g01_c01.avi"]
    assert (clip.label, clip.index, clip.group) == ("HandstandPushups", 36, "g01")
    assert clip.id == "HandstandPushups__v_HandStandPushups_g01_c01"


# Errors


def test_a_missing_root_is_refused():
    expected = (
        "dataset.root is root, which cannot be read as a folder (No such file or directory);"
        " set it to the folder that has one subfolder per class."
    )
    assert sentence_of(find_clips, settings_of()) == expected


def test_a_root_without_class_folders_is_refused():
    put("root", {"readme.txt": ""})
    expected = "root has no class folders; put the clips of each class into a folder with the name of the class."
    assert sentence_of(find_clips, settings_of()) == expected


def test_clips_outside_of_class_folders_are_refused():
    put_clips("a/1.avi", "3.avi", "2.AVI")
    expected = "root/2.AVI is not in a class folder (2 such files); move it to the folder of its class."
    assert sentence_of(find_clips, settings_of()) == expected


def test_a_class_folder_without_clips_is_refused():
    put_clips("a/1.avi", "b/notes.txt")
    endings = ".avi, .mp4, .mkv, .mov, .webm and others"
    expected = f"root/b has no clip ({endings}) that dataset.include matches; add clips or remove the folder."
    assert sentence_of(find_clips, settings_of()) == expected


def test_a_class_folder_without_included_clips_is_refused():
    put_clips("a/1.avi", "b/2.avi")
    endings = ".avi, .mp4, .mkv, .mov, .webm and others"
    expected = f"root/b has no clip ({endings}) that dataset.include matches; add clips or remove the folder."
    assert sentence_of(find_clips, settings_of(include="**/1.avi")) == expected


@pytest.mark.parametrize(("first", "second"), [("a/x.avi", "a/x.mp4"), ("a/x/y.avi", "a/x__y.avi")])
def test_two_clips_with_the_same_id_are_refused(first, second):
    put_clips(second, first)
    expected = f"root/{first} and root/{second} have the same id; rename or remove one of them."
    assert sentence_of(find_clips, settings_of()) == expected


@pytest.mark.parametrize("pattern", [r"(g\d+)", "(g?)"])
def test_a_path_without_a_group_is_refused(pattern):
    put_clips("a/x.avi")
    expected = f"dataset.group {pattern!r} finds no group in a/x.avi; correct the pattern, or set it to null."
    assert sentence_of(find_clips, settings_of(group=pattern)) == expected


def test_a_broken_link_is_refused():
    put_clips("a/1.avi")
    Path("root/a/2.avi").symlink_to("gone.avi")
    expected = "root/a/2.avi is a broken link; fix or remove it."
    assert sentence_of(find_clips, settings_of()) == expected


def test_a_link_to_a_parent_folder_is_refused():
    put_clips("a/1.avi")
    Path("root/a/again").symlink_to(Path("root/a").resolve())
    expected = "root/a/again links to a folder that was read already; remove the link."
    assert sentence_of(find_clips, settings_of()) == expected


def test_a_pipe_is_refused_without_opening_it():
    put_clips("a/1.avi")
    os.mkfifo("root/a/2.mp4")
    expected = "root/a/2.mp4 is not a regular file; remove it."
    assert sentence_of(find_clips, settings_of()) == expected


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_class_names_are_in_unicode_form_nfc(form):
    put_clips(unicodedata.normalize(form, "Café/1.avi"), "Tea/2.avi")
    put("lists", {"classInd.txt": unicodedata.normalize("NFD", "1 Café\n2 Tea\n")})
    clips = find_clips(settings_of(lists="lists"))
    assert [clip.label for clip in clips] == ["Caf\u00e9", "Tea"]
    assert all(Path("root", clip.path).is_file() for clip in clips)


def test_two_class_folders_with_the_same_name_in_nfc_are_refused():
    put_clips(*(unicodedata.normalize(form, "Café/1.avi") for form in ("NFC", "NFD")))
    assert sentence_of(find_clips, settings_of()).startswith(
        "root has two class folders Café in different Unicode forms; merge them."
    )


def test_a_name_that_is_not_utf8_is_refused():
    put_clips("a/1.avi")
    Path(os.fsdecode(b"root/a/\xff.avi")).write_text("")
    expected = r"root/'a/\udcff.avi' has a name that is not UTF-8; rename it."
    assert sentence_of(find_clips, settings_of()) == expected


def test_a_utf8_name_in_an_ascii_locale_is_refused_with_the_setting_to_change(monkeypatch):
    put_clips("a/caf\u00e9.avi")
    put_params()
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}.items():
        monkeypatch.setenv(name, value)
    done = run_python("-m", "stages.index")
    name, problem = r"'a/caf\udcc3\udca9.avi'", "has a name that is UTF-8, but Python reads names as ascii"
    assert done.stderr == f"error: root/{name} {problem}; set PYTHONUTF8=1 in the environment.\n"


# clips.csv


def test_clips_with_unusual_names_are_read_as_written():
    names = ["a/ü 日本.avi", 'a/one, "two".avi', "a/new\nline.avi", "a/re\rturn.avi", "a/both\r\n.avi", "a/ .avi"]
    put_clips(*names)
    clips = find_clips(settings_of())

    write_clips("features/clips.csv", clips)

    assert {clip.path for clip in clips} == set(names)
    assert read_clips("features/clips.csv") == clips


def test_the_clips_file_is_sorted_by_id():
    clips = [clip_of("b/1.avi", index=1), clip_of("a/1.avi")]
    write_clips("clips.csv", clips)
    expected = b"id,path,label,index,group,bytes,sha256,start,end\na__1,a/1.avi,a,0,g,1,0,,\nb__1,b/1.avi,b,1,g,1,0,,\n"
    assert Path("clips.csv").read_bytes() == expected


def test_a_missing_clips_file_is_refused():
    assert (
        sentence_of(read_clips, "clips.csv")
        == "clips.csv does not exist; run `dvc pull --allow-missing`, or else `dvc repro`."
    )


def test_a_clips_file_with_an_invalid_number_is_refused():
    Path("clips.csv").write_text("id,path,label,index,group,bytes,sha256,start,end\na__1,a/1.avi,a,x,g,1,0,,\n")
    expected = "clips.csv: clip a__1 has index 'x' and bytes '1'; run `dvc repro` to create it again."
    assert sentence_of(read_clips, "clips.csv") == expected


# The stage


def test_index_writes_the_clips():
    put_params(group=r"/(.)")
    put_clips("hop/a1.avi", "hop/b1.avi", "run/a2.avi")

    stage = run_python("-m", "stages.index")

    assert (stage.returncode, stage.stdout) == (0, "3 clips, 2 classes, 2 groups, 0.0 MB\n")
    assert "3/3" in stage.stderr
    assert [clip.id for clip in read_clips("features/clips.csv")] == ["hop__a1", "hop__b1", "run__a2"]


def test_index_imports_no_heavy_library():
    put_params()
    put_clips("hop/1.avi")
    heavy = "{'av', 'h5py', 'numpy', 'sklearn', 'torch', 'transformers', 'mocliplite.data.splits'}"
    code = f"import sys; from stages import index; index.main(); print(sorted({heavy} & set(sys.modules)))"
    assert run_python("-c", code).stdout == "1 clips, 1 classes, 1 groups, 0.0 MB\n[]\n"


def test_index_exits_with_status_1_and_an_error_if_the_root_is_missing():
    put_params(root="gone")
    stage = run_python("-m", "stages.index")
    sentence = (
        "dataset.root is gone, which cannot be read as a folder (No such file or directory);"
        " set it to the folder that has one subfolder per class."
    )
    assert (stage.returncode, stage.stdout, stage.stderr) == (1, "", f"error: {sentence}\n")


@pytest.mark.parametrize("path", ["../secret.avi", "a/../../secret.avi", "/etc/secret.avi"])
def test_a_recorded_path_outside_of_the_root_is_refused(path):
    write_clips("clips.csv", [replace(clip_of("a/1.avi"), path=path)])
    assert sentence_of(read_clips, "clips.csv") == (
        f"clips.csv: {path!r} is outside dataset.root; run `dvc repro` to create it again."
    )


@pytest.mark.parametrize(
    ("path", "elsewhere"),
    [("a/b.mp4", False), ("a\\b.mp4", False), ("C:/b.mp4", True), ("C:b.mp4", True), ("..\\b.mp4", True)],
)
def test_under_windows_a_path_with_a_drive_or_a_backslash_may_be_outside_of_the_root(monkeypatch, path, elsewhere):
    assert is_below_root(path)  # here, both are characters of names
    with monkeypatch.context() as windows:
        windows.setattr("os.name", "nt")
        found = is_below_root(path)
    assert found is not elsewhere
