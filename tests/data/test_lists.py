from collections import Counter
from pathlib import Path

import pytest
from builders import UCF101_LISTS, hmdb51, put, sentence_of, settings_of, ucf101

from mocliplite.data.clips import class_names
from mocliplite.data.lists import formats
from mocliplite.data.lists.entry import Entry
from mocliplite.data.lists.ucf101 import order_by_class_list

pytestmark = pytest.mark.usefixtures("folder")


def entries_of(settings):
    return list(formats.read_split_lists(settings))


def counts_of(settings):
    return Counter(entry.split for entry in entries_of(settings))


# UCF101


def test_a_folder_without_lists_is_refused():
    put("lists", {"readme.txt": ""})
    wanted = (
        "dataset.lists is lists, which contains neither classInd.txt (UCF101), *_test_split*.txt (HMDB51) nor another"
        " known list; set it to a folder or file as in docs/lists.md, or configs/none."
    )
    assert sentence_of(formats.list_format, settings_of(lists="lists")) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "1 Jump\n",
            "class folder root/run is not in lists/classInd.txt, whose nearest class is Jump; rename or remove"
            " the folder.",
        ),
        (
            "1 Jump\n2 run\n3 runs\n",
            "class runs of lists/classInd.txt has no folder in root (the nearest is run); add or rename it.",
        ),
        (
            "1 Jump\nrun\n",
            "lists/classInd.txt line 2: 'run' does not have the form '37 HandstandPushups'; correct it.",
        ),
        ("1 Jump\n1 run\n", "lists/classInd.txt line 2: '1 run' repeats a number or a class; correct it."),
        ("", "lists/classInd.txt has no classes; replace it with the original list."),
    ],
)
def test_a_class_list_that_does_not_match_the_folders_is_refused(text, wanted):
    put("lists", {"classInd.txt": text})
    assert sentence_of(order_by_class_list, ["Jump", "run"], settings_of(lists="lists")) == wanted


def test_a_ucf101_entry_has_path_split_and_location():
    _, settings = ucf101()
    entries = entries_of(settings)
    assert entries[0] == Entry("Run/v_g2_c1.avi", "Run", "lists/trainlist01.txt line 1", "train")
    assert entries[-1] == Entry("Hop/v_g1_c2.avi", "Hop", "lists/testlist01.txt line 4", "test")
    assert counts_of(settings) == {"train": 16, "test": 4}


def test_ucf101_test_list_may_carry_numbers_and_windows_line_ends():
    _, settings = ucf101()
    Path("lists/testlist01.txt").write_bytes(
        b"Run/v_g1_c1.avi 1\r\nRun/v_g1_c2.avi\r\nHop/v_g1_c1.avi 2\r\n\r\nHop/v_g1_c2.avi\r\n"
    )
    assert counts_of(settings) == {"train": 16, "test": 4}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {"trainlist01.txt": "Run/v_g9_c1.avi 2\n"},
            "lists/trainlist01.txt line 17: Run/v_g9_c1.avi has the number 2, but Run is 1 in classInd.txt;"
            " correct one of the two files.",
        ),
        (
            {"trainlist01.txt": "Rum/v_g9_c1.avi 1\n"},
            "lists/trainlist01.txt line 17: Rum is not in classInd.txt (the nearest is Run); correct one of"
            " the two files.",
        ),
        (
            {"trainlist01.txt": "Run/v_g9_c1.avi\n"},
            "lists/trainlist01.txt line 17: 'Run/v_g9_c1.avi' does not have the form 'Run/v_g9_c1.avi 1'; correct it.",
        ),
        (
            {"trainlist01.txt": "nonsense\n"},
            "lists/trainlist01.txt line 17: 'nonsense' does not have the form"
            " 'Archery/v_Archery_g01_c01.avi 3'; correct it.",
        ),
        (
            {"testlist01.txt": "../Run/v_g1_c1.avi\n"},
            "lists/testlist01.txt line 5: '../Run/v_g1_c1.avi' is outside dataset.root; use a path relative to"
            " dataset.root.",
        ),
        (
            {"testlist01.txt": "/Run/v_g1_c1.avi\n"},
            "lists/testlist01.txt line 5: '/Run/v_g1_c1.avi' is outside dataset.root; use a path relative to"
            " dataset.root.",
        ),
    ],
)
def test_an_invalid_line_of_a_ucf101_list_is_refused(changes, wanted):
    assert sentence_of(entries_of, ucf101(changes)[1]) == wanted


def test_a_split_without_lists_is_refused():
    wanted = "lists has no testlist04.txt; set dataset.split to a split with all lists (1) or add the list."
    assert sentence_of(entries_of, ucf101(split=4)[1]) == wanted


def test_a_split_with_a_missing_list_is_refused():
    _, settings = ucf101()
    Path("lists/testlist01.txt").unlink()
    wanted = "lists has no testlist01.txt; set dataset.split to a split with all lists (none) or add the list."
    assert sentence_of(entries_of, settings) == wanted


def test_ucf101_labels_are_in_the_order_of_the_class_list(ucf101_clips):
    clips, _ = ucf101_clips
    labels = class_names(clips)
    assert labels == [line.split()[1] for line in (UCF101_LISTS / "classInd.txt").read_text().splitlines()]
    assert labels[34:37] == ["Hammering", "HammerThrow", "HandstandPushups"]


# HMDB51


def test_hmdb51_numbers_mean_train_test_and_unused():
    entries = entries_of(hmdb51()[1])
    assert [entry.split for entry in entries] == 2 * (["train"] * 5 + ["test"] * 2 + ["unused"])
    assert entries[8] == Entry("climb/#2 (x)_0.avi", "climb", "lists/climb_test_split1.txt line 1", "train")


@pytest.mark.parametrize(
    ("changes", "split", "wanted"),
    [
        (
            {},
            3,
            "lists has no brush_hair_test_split3.txt; set dataset.split to a split with all lists (1, 2) or"
            " add the list.",
        ),
        (
            {"run_test_split1.txt": "a.avi 1\n"},
            2,
            "lists has no run_test_split2.txt; set dataset.split to a split with all lists (1) or add the list.",
        ),
        (
            {"climb_test_split1.txt": "a.avi 3\n"},
            1,
            "lists/climb_test_split1.txt line 1: 'a.avi 3' must end with 1 (train), 2 (test) or 0 (unused);"
            " correct it.",
        ),
        (
            {"climb_test_split1.txt": "a.avi\n"},
            1,
            "lists/climb_test_split1.txt line 1: 'a.avi' must end with 1 (train), 2 (test) or 0 (unused); correct it.",
        ),
        (
            {"climb_test_split1.txt": "\n../x/a.avi 1\n"},
            1,
            "lists/climb_test_split1.txt line 2: '../x/a.avi' is outside dataset.root; use a path relative"
            " to dataset.root.",
        ),
    ],
)
def test_invalid_hmdb51_lists_are_refused(changes, split, wanted):
    assert sentence_of(entries_of, hmdb51(changes, split=split)[1]) == wanted
