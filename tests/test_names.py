from pathlib import Path

import pytest
from builders import CHECKOUT, UCF101_LISTS, sentence_of

from mocliplite import names

pytestmark = pytest.mark.usefixtures("folder")


def said(text):
    Path("names.txt").write_text(text)
    return sentence_of(names.read_names, "names.txt")


def test_a_class_may_have_several_names():
    Path("names.txt").write_text("# remark\n\nYoYo: a yo-yo , yo-yo tricks\nTaiChi: tai chi\n")
    assert names.read_names("names.txt") == {"YoYo": ["a yo-yo", "yo-yo tricks"], "TaiChi": ["tai chi"]}


@pytest.mark.parametrize("line", ["YoYo", "YoYo:", ": a yo-yo", "YoYo: a, ,b"])
def test_a_line_that_is_no_names_is_refused(line):
    assert said(f"# remark\n{line}\n") == f"names.txt, line 2: {line!r} is not `folder: name, other name`; correct it."


def test_a_class_named_twice_is_refused():
    assert said("YoYo: a\nYoYo: b\n") == "names.txt, line 2: YoYo has names already; put them on one line."


def test_no_file():
    assert sentence_of(names.read_names, "nowhere.txt").startswith("params.yaml: clip.names names nowhere.txt")


def test_names_of_all_classes_in_a_row_with_the_number_of_their_class():
    assert names.flat(["Run", "Hop"], {"Hop": ["hopping"], "Run": ["running", "a run"]}) == (
        ["running", "a run", "hopping"],
        [0, 0, 1],
    )


def test_every_class_of_ucf101_has_a_name_of_its_own():
    if not UCF101_LISTS.is_dir():
        pytest.skip(f"UCF101's class list is not at {UCF101_LISTS}")
    known = names.read_names(CHECKOUT / "prompts/names.txt")
    classes = [line.split()[1] for line in (UCF101_LISTS / "classInd.txt").read_text().splitlines() if line.strip()]
    assert set(classes) <= known.keys()
    spoken, _ = names.flat(classes, known)
    assert len(set(spoken)) == len(spoken)
