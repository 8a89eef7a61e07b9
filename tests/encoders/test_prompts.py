from pathlib import Path

import pytest
from builders import CHECKOUT, UCF101_LISTS, sentence_of

from mocliplite.encoders.prompts import flatten_names, read_names, read_templates, readable_name

pytestmark = pytest.mark.usefixtures("folder")


def said(text):
    Path("names.txt").write_text(text)
    return sentence_of(read_names, "names.txt")


def test_a_class_may_have_several_names():
    Path("names.txt").write_text("# remark\n\nYoYo: a yo-yo , yo-yo tricks\nTaiChi: tai chi\n")
    assert read_names("names.txt") == {"YoYo": ["a yo-yo", "yo-yo tricks"], "TaiChi": ["tai chi"]}


@pytest.mark.parametrize("line", ["YoYo", "YoYo:", ": a yo-yo", "YoYo: a, ,b"])
def test_a_line_that_is_no_names_is_refused(line):
    assert said(f"# remark\n{line}\n") == f"names.txt, line 2: {line!r} is not `folder: name, other name`; correct it."


def test_a_class_named_twice_is_refused():
    assert said("YoYo: a\nYoYo: b\n") == "names.txt, line 2: YoYo has names already; put them on one line."


def test_no_file():
    assert sentence_of(read_names, "nowhere.txt").startswith("params.yaml: clip.names names nowhere.txt")


def test_names_of_all_classes_in_a_row_with_the_number_of_their_class():
    assert flatten_names(["Run", "Hop"], {"Hop": ["hopping"], "Run": ["running", "a run"]}) == (
        ["running", "a run", "hopping"],
        [0, 0, 1],
    )


def test_every_class_of_ucf101_has_a_name_of_its_own():
    if not UCF101_LISTS.is_dir():
        pytest.skip(f"UCF101's class list is not at {UCF101_LISTS}")
    known = read_names(CHECKOUT / "prompts/names.txt")
    classes = [line.split()[1] for line in (UCF101_LISTS / "classInd.txt").read_text().splitlines() if line.strip()]
    assert set(classes) <= known.keys()
    spoken, _ = flatten_names(classes, known)
    assert len(set(spoken)) == len(spoken)


# Classes without a name, and templates


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("HandstandPushups", "handstand pushups"),
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("YoYo", "yo yo"),
        ("brush_hair", "brush hair"),
        ("sit-up", "sit up"),
        ("Salsa Spin", "salsa spin"),
        ("_draw__sword_", "draw sword"),
        ("golf", "golf"),
    ],
)
def test_a_folders_name_is_spoken_in_words(name, wanted):
    assert readable_name(name) == wanted


def test_templates_are_lines_with_remarks_and_blanks_left_out():
    Path("a.txt").write_text("# after CLIP\na video of {}.\n\n  a photo of {} \n", encoding="utf-8")
    assert read_templates("a.txt") == ["a video of {}.", "a photo of {}"]


def test_templates_saved_with_a_byte_order_mark():
    Path("a.txt").write_text("a vidéo of {}.\n", encoding="utf-8-sig")
    assert read_templates("a.txt") == ["a vidéo of {}."]


@pytest.mark.parametrize("template", ["a video", "{} and {}", "a {name}", "a {0}", "{{}}", "a {", "a }{"])
def test_a_template_without_one_place_for_the_class(template):
    Path("a.txt").write_text(f"a video of {{}}.\n{template}\n")
    wanted = f"a.txt: {template!r} must hold {{}} exactly once, where the class name goes."
    assert sentence_of(read_templates, "a.txt") == wanted


@pytest.mark.parametrize("text", ["", "\n\n", "# a video of {}\n"])
def test_a_file_without_templates(text):
    Path("a.txt").write_text(text)
    wanted = "a.txt holds no template; write one a line, such as: a video of {}."
    assert sentence_of(read_templates, "a.txt") == wanted


@pytest.mark.parametrize("name", ["missing.txt", "directory"])
def test_templates_that_are_not_there(name):
    Path("directory").mkdir()
    wanted = f"params.yaml: clip.prompts names {name}, which is not there; see prompts/."
    assert sentence_of(read_templates, name) == wanted


def test_templates_that_are_no_text():
    Path("a.txt").write_bytes("a vidéo of {}.\n".encode("latin-1"))
    assert sentence_of(read_templates, "a.txt") == "a.txt is not text in UTF-8; save it so."
