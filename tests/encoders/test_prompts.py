"""Prompt templates and class names in text files."""

import unicodedata
from pathlib import Path

import pytest
from builders import CHECKOUT, UCF101_LISTS, sentence_of

from mocliplite.encoders.prompts import flatten_names, read_names, read_templates, readable_name

pytestmark = pytest.mark.usefixtures("folder")


# Class names


def error_of_names(text):
    Path("names.txt").write_text(text)
    return sentence_of(read_names, "names.txt")


def test_a_class_may_have_several_names():
    Path("names.txt").write_text("# comment\n\nYoYo: a yo-yo , yo-yo tricks\nTaiChi: tai chi\n")
    assert read_names("names.txt") == {"YoYo": ["a yo-yo", "yo-yo tricks"], "TaiChi": ["tai chi"]}


@pytest.mark.parametrize("line", ["YoYo", "YoYo:", ": a yo-yo", "YoYo: a, ,b"])
def test_a_line_in_another_format_is_refused(line):
    expected = f"names.txt, line 2: {line!r} is not `folder: name, other name`; correct it."
    assert error_of_names(f"# comment\n{line}\n") == expected


def test_a_class_that_is_listed_twice_is_refused():
    expected = "names.txt, line 2: YoYo is listed twice; put all its names on one line."
    assert error_of_names("YoYo: a\nYoYo: b\n") == expected


def test_a_missing_file_of_names_is_refused():
    expected = "params.yaml: encoder.names is nowhere.txt, which is not a file; see prompts/ for examples."
    assert sentence_of(read_names, "nowhere.txt") == expected


def test_flattened_names_come_with_the_index_of_their_class():
    assert flatten_names(["Run", "Hop"], {"Hop": ["hopping"], "Run": ["running", "a run"]}) == (
        ["running", "a run", "hopping"],
        [0, 0, 1],
    )


def test_every_class_of_ucf101_has_a_unique_name():
    if not UCF101_LISTS.is_dir():
        pytest.skip(f"UCF101's class list is not at {UCF101_LISTS}")
    names = read_names(CHECKOUT / "prompts/names.txt")
    classes = [line.split()[1] for line in (UCF101_LISTS / "classInd.txt").read_text().splitlines() if line.strip()]
    assert set(classes) <= names.keys()
    flat, _ = flatten_names(classes, names)
    assert len(set(flat)) == len(flat) >= 101


# Classes without a name


@pytest.mark.parametrize(
    ("name", "expected"),
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
def test_readable_name_splits_a_folder_name_into_words(name, expected):
    assert readable_name(name) == expected


# Templates


def test_comments_and_blank_lines_are_not_templates():
    Path("a.txt").write_text("# after CLIP\na video of {}.\n\n  a photo of {} \n", encoding="utf-8")
    assert read_templates("a.txt") == ["a video of {}.", "a photo of {}"]


def test_a_byte_order_mark_is_not_part_of_a_template():
    Path("a.txt").write_text("a vidéo of {}.\n", encoding="utf-8-sig")
    assert read_templates("a.txt") == ["a vidéo of {}."]


@pytest.mark.parametrize("template", ["a video", "{} and {}", "a {name}", "a {0}", "{{}}", "a {", "a }{"])
def test_a_template_without_exactly_one_placeholder_is_refused(template):
    Path("a.txt").write_text(f"a video of {{}}.\n{template}\n")
    expected = f"a.txt: {template!r} must contain {{}} exactly once, where the class name goes."
    assert sentence_of(read_templates, "a.txt") == expected


@pytest.mark.parametrize("text", ["", "\n\n", "# a video of {}\n"])
def test_a_file_without_templates_is_refused(text):
    Path("a.txt").write_text(text)
    expected = "a.txt has no template; write one per line, such as: a video of {}."
    assert sentence_of(read_templates, "a.txt") == expected


@pytest.mark.parametrize("name", ["missing.txt", "directory"])
def test_a_missing_file_or_a_folder_of_templates_is_refused(name):
    Path("directory").mkdir()
    expected = f"params.yaml: encoder.prompts is {name}, which is not a file; see prompts/ for examples."
    assert sentence_of(read_templates, name) == expected


def test_templates_that_are_not_utf8_are_refused():
    Path("a.txt").write_bytes("a vidéo of {}.\n".encode("latin-1"))
    assert sentence_of(read_templates, "a.txt") == "a.txt is not UTF-8 text; save it as UTF-8."


@pytest.mark.parametrize("read", [read_templates, read_names])
def test_a_file_with_a_character_that_no_text_contains_is_refused(read):
    Path("a.txt").write_bytes("Run: a {}\n".encode("utf-16-le"))
    assert sentence_of(read, "a.txt") == "a.txt is not UTF-8 text; save it as UTF-8."


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_found_by_the_same_letters_however_they_are_written(tmp_path, form):
    file = tmp_path / "names.txt"
    file.write_text(unicodedata.normalize(form, "Café au lait: coffee\n"), encoding="utf-8")
    assert read_names(file) == {"Caf\u00e9 au lait": ["coffee"]}
