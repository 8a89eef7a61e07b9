import os
import unicodedata
from hashlib import sha256
from pathlib import Path

import pytest
from builders import clip_of, put, put_clips, put_params, run_python, sentence_of, settings_of

from mocliplite.data.clips import Clip, find_clips, included, read_clips, write_clips

pytestmark = pytest.mark.usefixtures("folder")


def paths_of(**changes):
    return [clip.path for clip in find_clips(settings_of(**changes))]


# What is a clip


def test_clip_carries_id_label_index_group_size_and_hash():
    put("root", {"run/deep/a.b.avi": "12345", "hop/x.mp4": ""})

    hop, run = find_clips(settings_of())

    assert run == Clip(
        "run__deep__a.b", "run/deep/a.b.avi", "run", 1, "run__deep__a.b", 5, sha256(b"12345").hexdigest()
    )
    assert (hop.id, hop.label, hop.index, hop.bytes) == ("hop__x", "hop", 0, 0)


def test_endings_count_in_any_case_and_other_files_do_not():
    put_clips("a/1.AVI", "a/2.mp4", "a/3.Mkv", "a/4.mov", "a/5.webm", "a/6.txt", "a/avi", "a/7.avi.part")
    assert paths_of() == ["a/1.AVI", "a/2.mp4", "a/3.Mkv", "a/4.mov", "a/5.webm"]


def test_class_may_be_named_like_a_file():
    put_clips("a.avi/1.avi")
    assert paths_of() == ["a.avi/1.avi"]


def test_hidden_files_and_folders_are_passed_over():
    put_clips("a/1.avi", "a/._1.avi", "a/.cache/2.avi", ".trash/3.avi", ".4.avi")
    assert paths_of() == ["a/1.avi"]


def test_linked_folders_are_followed():
    put("elsewhere", {"1.avi": "", "deep/2.avi": ""})
    Path("root/b").mkdir(parents=True)
    Path("root/a").symlink_to(Path("elsewhere").resolve())
    Path("root/b/more").symlink_to(Path("elsewhere/deep").resolve())
    assert paths_of() == ["a/1.avi", "a/deep/2.avi", "b/more/2.avi"]


@pytest.mark.parametrize(
    ("include", "taken"),
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
def test_include_is_a_glob_on_the_path_below_root(include, taken):
    put_clips("a/1.avi", "a/x/2.avi", "a/x/y/10.mp4")
    assert paths_of(include=include) == taken


def test_include_minds_case():
    assert not included("a/x.avi", "**/*.AVI")


def test_group_is_the_first_bracket_found_in_the_path():
    put_clips("a/s1_x.avi", "b/s2_x.avi")
    clips = find_clips(settings_of(group=r"/(s\d)_"))
    assert [clip.group for clip in clips] == ["s1", "s2"]


def test_order_of_the_file_system_plays_no_part(monkeypatch):
    put_clips("b/2.avi", "a/1.avi", "b/x/3.avi", "b/w/3.avi")
    walk, iterdir = os.walk, Path.iterdir
    before = find_clips(settings_of())

    def turned(*arguments, **options):
        for folder, folders, names in walk(*arguments, **options):
            folders.reverse()
            yield folder, folders, names[::-1]

    monkeypatch.setattr(os, "walk", turned)
    monkeypatch.setattr(Path, "iterdir", lambda path: reversed(list(iterdir(path))))
    assert find_clips(settings_of()) == before


def test_clips_are_in_order_of_id_each_with_its_own_hash():
    put_clips("a/x.avi", "aA/x.avi")  # by path the other way round
    clips = find_clips(settings_of())
    assert [clip.id for clip in clips] == ["aA__x", "a__x"]
    assert [clip.sha256 for clip in clips] == [sha256(path).hexdigest() for path in (b"aA/x.avi", b"a/x.avi")]


def test_class_list_gives_the_index_and_bears_windows_line_ends():
    put_clips("Hammering/1.avi", "HammerThrow/2.avi")
    Path("lists").mkdir()
    Path("lists/classInd.txt").write_bytes(b"\xef\xbb\xbf1 Hammering\r\n2 HammerThrow\r\n")
    clips = find_clips(settings_of(lists="lists"))
    indices = {clip.path: (clip.label, clip.index) for clip in clips}
    assert indices == {"Hammering/1.avi": ("Hammering", 0), "HammerThrow/2.avi": ("HammerThrow", 1)}


def test_ucf101_folder_and_file_names_may_differ_in_case(ucf101_clips):
    clips, _ = ucf101_clips
    (clip,) = [clip for clip in clips if clip.path == "HandstandPushups/v_HandStandPushups_g01_c01.avi"]
    assert (clip.label, clip.index, clip.group) == ("HandstandPushups", 36, "g01")
    assert clip.id == "HandstandPushups__v_HandStandPushups_g01_c01"


# What is none


def test_absent_root():
    wanted = (
        "dataset.root is root, which cannot be read as a folder (No such file or directory);"
        " give the folder that holds a folder a class."
    )
    assert sentence_of(find_clips, settings_of()) == wanted


def test_root_without_class_folders():
    put("root", {"readme.txt": ""})
    wanted = "root has no class folders; put the clips of each class into a folder of its name."
    assert sentence_of(find_clips, settings_of()) == wanted


def test_loose_files_have_no_class():
    put_clips("a/1.avi", "3.avi", "2.AVI")
    wanted = "root/2.AVI is in no class folder (2 in all); move it into its class's."
    assert sentence_of(find_clips, settings_of()) == wanted


def test_class_folder_without_clips():
    put_clips("a/1.avi", "b/notes.txt")
    endings = ".avi, .mp4, .mkv, .mov, .webm and others"
    wanted = f"root/b has no clip ({endings}) that dataset.include takes; add clips or remove it."
    assert sentence_of(find_clips, settings_of()) == wanted


def test_class_folder_of_which_include_takes_nothing():
    put_clips("a/1.avi", "b/2.avi")
    endings = ".avi, .mp4, .mkv, .mov, .webm and others"
    wanted = f"root/b has no clip ({endings}) that dataset.include takes; add clips or remove it."
    assert sentence_of(find_clips, settings_of(include="**/1.avi")) == wanted


@pytest.mark.parametrize(("first", "second"), [("a/x.avi", "a/x.mp4"), ("a/x/y.avi", "a/x__y.avi")])
def test_two_clips_of_one_id(first, second):
    put_clips(second, first)
    wanted = f"root/{first} and root/{second} would have one id; rename or remove one of them."
    assert sentence_of(find_clips, settings_of()) == wanted


@pytest.mark.parametrize("pattern", [r"(g\d+)", "(g?)"])
def test_path_without_a_group(pattern):
    put_clips("a/x.avi")
    wanted = f"dataset.group {pattern!r} finds no group in a/x.avi; correct it, or set it to null."
    assert sentence_of(find_clips, settings_of(group=pattern)) == wanted


def test_broken_link():
    put_clips("a/1.avi")
    Path("root/a/2.avi").symlink_to("gone.avi")
    wanted = "root/a/2.avi is a link to nothing; mend or remove it."
    assert sentence_of(find_clips, settings_of()) == wanted


def test_link_in_a_circle():
    put_clips("a/1.avi")
    Path("root/a/again").symlink_to(Path("root/a").resolve())
    wanted = "root/a/again links to a folder that was read already; remove the link."
    assert sentence_of(find_clips, settings_of()) == wanted


def test_a_pipe_is_refused_and_never_waited_for():
    put_clips("a/1.avi")
    os.mkfifo("root/a/2.mp4")
    wanted = "root/a/2.mp4 is no file (a pipe, a socket or a device); remove it."
    assert sentence_of(find_clips, settings_of()) == wanted


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_class_is_called_by_the_same_letters_however_its_folder_is_written(form):
    put_clips(unicodedata.normalize(form, "Café/1.avi"), "Tea/2.avi")
    put("lists", {"classInd.txt": unicodedata.normalize("NFD", "1 Café\n2 Tea\n")})
    clips = find_clips(settings_of(lists="lists"))
    assert [clip.label for clip in clips] == ["Caf\u00e9", "Tea"]
    assert all(Path("root", clip.path).is_file() for clip in clips)


def test_two_folders_of_one_name_written_differently_are_refused():
    put_clips(*(unicodedata.normalize(form, "Café/1.avi") for form in ("NFC", "NFD")))
    assert sentence_of(find_clips, settings_of()).startswith("root has two class folders Café, written differently")


def test_name_that_is_not_utf8():
    put_clips("a/1.avi")
    Path(os.fsdecode(b"root/a/\xff.avi")).write_text("")
    wanted = r"root/'a/\udcff.avi' has a name that is not UTF-8; rename it."
    assert sentence_of(find_clips, settings_of()) == wanted


# Files


def test_clips_are_read_as_written_whatever_their_names():
    names = ["a/ü 日本.avi", 'a/one, "two".avi', "a/new\nline.avi", "a/re\rturn.avi", "a/both\r\n.avi", "a/ .avi"]
    put_clips(*names)
    clips = find_clips(settings_of())

    write_clips("features/clips.csv", clips)

    assert {clip.path for clip in clips} == set(names)
    assert read_clips("features/clips.csv") == clips


def test_clips_file_is_sorted_by_id_whatever_the_order():
    clips = [clip_of("b/1.avi", index=1), clip_of("a/1.avi")]
    write_clips("clips.csv", clips)
    wanted = b"id,path,label,index,group,bytes,sha256\na__1,a/1.avi,a,0,g,1,0\nb__1,b/1.avi,b,1,g,1,0\n"
    assert Path("clips.csv").read_bytes() == wanted


def test_absent_clips_file():
    assert sentence_of(read_clips, "clips.csv") == "clips.csv does not exist; run `dvc repro`."


def test_clips_file_with_a_number_that_is_none():
    Path("clips.csv").write_text("id,path,label,index,group,bytes,sha256\na__1,a/1.avi,a,x,g,1,0\n")
    wanted = "clips.csv: clip a__1 has index 'x' and bytes '1'; run `dvc repro` to renew it."
    assert sentence_of(read_clips, "clips.csv") == wanted


# The stage


def test_index_writes_the_clips():
    put_params(group=r"/(.)")
    put_clips("hop/a1.avi", "hop/b1.avi", "run/a2.avi")

    stage = run_python("-m", "stages.index")

    assert (stage.returncode, stage.stdout) == (0, "3 clips, 2 classes, 2 groups, 0.0 MB\n")
    assert "3/3" in stage.stderr
    assert [clip.id for clip in read_clips("features/clips.csv")] == ["hop__a1", "hop__b1", "run__a2"]


def test_index_loads_no_heavy_library():
    put_params()
    put_clips("hop/1.avi")
    heavy = "{'av', 'h5py', 'numpy', 'sklearn', 'torch', 'transformers', 'mocliplite.data.splits'}"
    code = f"import sys; from stages import index; index.main(); print(sorted({heavy} & set(sys.modules)))"
    assert run_python("-c", code).stdout == "1 clips, 1 classes, 1 groups, 0.0 MB\n[]\n"


def test_stage_of_a_bad_folder_ends_with_a_sentence_and_status_1():
    put_params(root="gone")
    stage = run_python("-m", "stages.index")
    sentence = (
        "dataset.root is gone, which cannot be read as a folder (No such file or directory);"
        " give the folder that holds a folder a class."
    )
    assert (stage.returncode, stage.stdout, stage.stderr) == (1, "", f"error: {sentence}\n")
