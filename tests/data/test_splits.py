from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from builders import clip_of, hmdb51, put_params, run_python, sentence_of, settings_of, ucf101

from mocliplite.data import splits
from mocliplite.data.clips import write_clips
from mocliplite.data.groups import group_of
from mocliplite.data.splits import (
    check_splits,
    official_split,
    read_splits,
    split_by_group,
    split_clips,
    split_validation,
    write_splits,
)

pytestmark = pytest.mark.usefixtures("folder")


# Official lists


def test_ucf101_lists_decide_the_test_clips():
    clips, settings = ucf101()
    splits = official_split(clips, settings)
    assert {clip.group for clip in clips if splits[clip.id] == "test"} == {"g1"}
    assert Counter(splits.values()) == {"train": 16, "test": 4}


def test_lists_match_clips_with_another_file_name_extension():
    clips, settings = ucf101()
    reencoded = [replace(clip, path=clip.path.replace(".avi", ".mp4")) for clip in clips]
    assert official_split(reencoded, settings) == official_split(clips, settings)


def test_lists_may_contain_clips_that_include_excludes():
    clips, settings = ucf101(include="**/*_c1.*")
    splits = official_split([clip for clip in clips if "_c1" in clip.path], settings)
    assert Counter(splits.values()) == {"train": 8, "test": 2}


def test_groups_with_the_same_name_in_two_classes_are_different_groups():
    clips, settings = ucf101({"testlist01.txt": "Run/v_g6_c1.avi\n", "trainlist01.txt": "Hop/v_g6_c1.avi 2\n"})
    more = [clip_of("Run/v_g6_c1.avi", "g6", 0), clip_of("Hop/v_g6_c1.avi", "g6", 1)]
    splits = split_clips(clips + more, settings)
    assert (splits["Run__v_g6_c1"], splits["Hop__v_g6_c1"]) in {("test", "train"), ("test", "val")}


def test_validation_of_official_lists_is_whole_groups_of_each_class():
    clips, settings = ucf101()
    splits = split_clips(clips, settings)
    assert Counter(splits.values()) == {"train": 12, "val": 4, "test": 4}
    assert Counter(clip.label for clip in clips if splits[clip.id] == "val") == {"Run": 2, "Hop": 2}
    assert len({(clip.label, clip.group) for clip in clips if splits[clip.id] == "val"}) == 2


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            {"trainlist01.txt": "Run/v_g9_c1.avi 1\nRun/v_g9_c2.avi 1\n"},
            "lists/trainlist01.txt line 17: Run/v_g9_c1.avi is not in root (2 missing in total);"
            " add the clips or correct the list.",
        ),
        (
            {"trainlist01.txt": "Run/v_g2_c1.avi 1\n"},
            "lists/trainlist01.txt line 17: Run/v_g2_c1.avi is listed here (train, Run) and in"
            " lists/trainlist01.txt line 1 (train, Run); delete one of the two.",
        ),
        (
            {"testlist01.txt": "Run/v_g2_c1.avi\n"},
            "lists/testlist01.txt line 5: Run/v_g2_c1.avi is listed here (test, Run) and in"
            " lists/trainlist01.txt line 1 (train, Run); delete one of the two.",
        ),
    ],
)
def test_lists_that_do_not_match_the_clips_are_refused(changes, wanted):
    assert sentence_of(split_clips, *ucf101(changes)) == wanted


def test_clips_in_no_list_are_refused():
    clips, settings = ucf101()
    more = [clip_of("Run/v_g9_c2.avi", "g9"), clip_of("Run/v_g9_c1.avi", "g9")]
    wanted = (
        "lists: Run/v_g9_c1.avi is in no list of split 1 (2 unlisted in total);"
        " narrow dataset.include or correct the lists."
    )
    assert sentence_of(split_clips, clips + more, settings) == wanted


def test_an_empty_test_list_is_refused():
    clips, settings = ucf101()
    Path("lists/testlist01.txt").write_text("")
    train = [clip for clip in clips if clip.group != "g1"]
    wanted = "there is no test clip; change dataset.split, seed or val, or the lists."
    assert sentence_of(split_clips, train, settings) == wanted


def test_a_group_in_two_splits_of_official_lists_is_refused():
    clips, settings = ucf101({"testlist01.txt": "Run/v_g2_c3.avi\n"})
    wanted = (
        "group Run/g2 is in both train (Run/v_g2_c1.avi) and test (Run/v_g2_c3.avi);"
        " correct dataset.group or the lists."
    )
    assert sentence_of(split_clips, [*clips, clip_of("Run/v_g2_c3.avi", "g2")], settings) == wanted


def test_a_class_with_test_clips_only_is_refused():
    clips, settings = ucf101({"classInd.txt": "3 Sit\n", "testlist01.txt": "Sit/1.avi\nSit/2.avi\n"})
    advice = "add clips to it, or change dataset.split, seed or val, or the lists."
    wanted = f"class Sit has no train clip (test 2); {advice}"
    sitting = [clip_of(f"Sit/{number}.avi", "g1", 2) for number in (1, 2)]
    assert sentence_of(split_clips, [*clips, *sitting], settings) == wanted


def test_hmdb51_validation_clips_are_taken_from_train():
    assert Counter(split_clips(*hmdb51(val=0.2)).values()) == {"train": 8, "val": 2, "test": 4, "unused": 2}


@pytest.mark.parametrize(("split", "train", "test"), [(1, 9537, 3783), (2, 9586, 3734), (3, 9624, 3696)])
def test_ucf101_splits_have_the_published_sizes_and_whole_groups(ucf101_clips, split, train, test):
    clips, settings = ucf101_clips
    splits = split_clips(clips, replace(settings, split=split))
    counts = Counter(splits.values())
    assert (counts["train"] + counts["val"], counts["test"]) == (train, test)
    assert abs(counts["val"] - train / 10) < 20
    splits_by_group = defaultdict(set)
    for clip in clips:
        splits_by_group[clip.label, clip.group].add(splits[clip.id])
    assert len(splits_by_group) == 101 * 25
    assert {len(found) for found in splits_by_group.values()} == {1}
    assert len({clip.label for clip in clips if splits[clip.id] == "val"}) == 101


# Folders without lists


def subjects(count, classes=("hop", "run"), clips_each=1):
    """Clips of count subjects, each with clips_each clips of every class."""
    return [
        clip_of(f"{label}/s{s}_{i}.avi", f"s{s}", index)
        for index, label in enumerate(classes)
        for s in range(1, count + 1)
        for i in range(clips_each)
    ]


def groups_of(clips, splits):
    """The groups of each split."""
    groups = defaultdict(set)
    for clip in clips:
        groups[splits[clip.id]].add(clip.group)
    return groups


def test_splits_are_whole_groups_stratified_by_class():
    clips = subjects(8, clips_each=3)
    splits = split_clips(clips, settings_of(test=0.25, val=0.33))
    groups = groups_of(clips, splits)
    assert {split: len(names) for split, names in groups.items()} == {"train": 4, "val": 2, "test": 2}
    assert len(set.union(*groups.values())) == 8  # no group is in two splits
    assert Counter(clip.label for clip in clips if splits[clip.id] == "test") == {"hop": 6, "run": 6}


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_clips():
    clips = subjects(12)
    first, *others = (split_clips(clips, settings_of(seed=seed)) for seed in range(5))
    assert split_clips(clips[::-1], settings_of(seed=0)) == first
    assert any(splits != first for splits in others)


def test_each_group_is_in_one_test_fold():
    clips = subjects(10)
    folds = [groups_of(clips, split_by_group(clips, settings_of(folds=3, split=split)))["test"] for split in (1, 2, 3)]
    assert sorted(group for fold in folds for group in fold) == sorted({clip.group for clip in clips})
    assert {len(fold) for fold in folds} == {3, 4}


def test_as_many_folds_as_groups_is_leave_one_group_out_in_natural_order():
    clips = subjects(10)
    tests = [
        groups_of(clips, split_by_group(clips, settings_of(folds=10, split=split)))["test"] for split in range(1, 11)
    ]
    assert tests == [{f"s{s}"} for s in range(1, 11)]


def test_natural_order_knows_leading_zeros_and_thousands_of_digits():
    names = ["sx", f"s{'2' * 5000}", f"s{'1' * 5000}", "s10", "s9", "s02", "s1", "10", "9"]
    assert sorted(names, key=splits._natural_sort_key) == list(reversed(names))


@pytest.mark.parametrize(
    ("count", "changes", "wanted"),
    [
        (
            3,
            {"folds": 4},
            "dataset.folds is 4, but there are 3 groups;"
            " set it to 3 or fewer, or define more groups with dataset.group.",
        ),
        (
            1,
            {},
            "no class has two groups in the clips, so dataset.test cannot be cut off in whole groups;"
            " add clips, or define more groups with dataset.group.",
        ),
        (
            2,
            {"folds": 2},
            "no class has two groups left for train and validation, so dataset.val cannot be cut off in whole groups;"
            " add clips, or define more groups with dataset.group.",
        ),
    ],
)
def test_too_few_groups_are_refused(count, changes, wanted):
    assert sentence_of(split_clips, subjects(count, clips_each=2), settings_of(**changes)) == wanted


@pytest.mark.parametrize(("test", "val"), [(0.01, 0.01), (0.2, 0.1667), (0.4, 0.99)])
def test_three_groups_are_one_of_each_split(test, val):
    clips = subjects(3)
    groups = groups_of(clips, split_clips(clips, settings_of(test=test, val=val)))
    assert {split: len(names) for split, names in groups.items()} == {"train": 1, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("train_groups", "val", "wanted"),
    [
        (
            4,
            0.1,
            "dataset.val is 0.1, which needs 10 groups and 10 clips per class,"
            " but train has 4 groups and at most 8 clips per class; set it to 0.25.",
        ),
        (
            1,
            0.5,
            "dataset.val is 0.5, which needs 2 groups and 2 clips per class,"
            " but train has 1 groups and at most 2 clips per class; add clips, or define more groups with"
            " dataset.group.",
        ),
        (4, 0.01, "dataset.val is 0.01, which is rounded to 0; set it to at least 0.1."),
        (4, 0.99, "dataset.val is 0.99, which is rounded to 1; set it to at most 0.9."),
    ],
)
def test_validation_of_lists_that_needs_more_groups_is_refused(train_groups, val, wanted):
    clips = subjects(5, clips_each=2)
    splits = {clip.id: "train" if int(clip.group[1:]) <= train_groups else "test" for clip in clips}
    assert sentence_of(split_validation, clips, splits, settings_of(val=val)) == wanted


def test_a_class_with_one_group_that_is_for_test_is_refused():
    clips = [*subjects(4), *(clip_of(f"wave/s1_{number}.avi", "s1", 2) for number in (0, 1))]
    wanted = "class wave has no train clip (test 2); add clips to it, or change dataset.split, seed or val."
    assert sentence_of(split_clips, clips, settings_of(folds=4, val=0.33)) == wanted


def test_a_group_of_several_classes_in_two_splits_is_refused():
    clips = [clip_of("hop/1.avi", "s1"), clip_of("run/1.avi", "s1")]
    wanted = "group s1 is in both val (hop/1.avi) and train (run/1.avi); correct dataset.group or the lists."
    splits = {"hop__1": "val", "run__1": "train"}
    assert sentence_of(check_splits, clips, splits, settings_of(), ("train", "val")) == wanted


@pytest.mark.parametrize(("third", "accepted"), [("train", True), ("unused", True), ("val", False)])
def test_only_unused_clips_may_be_outside_the_split_of_their_group(third, accepted):
    clips = [clip_of("hop/1.avi"), clip_of("hop/2.avi"), clip_of("hop/3.avi")]
    splits = {"hop__1": "unused", "hop__2": "train", "hop__3": third}
    if accepted:
        assert check_splits(clips, splits, settings_of(), ("train",)) is None
    else:
        assert sentence_of(check_splits, clips, splits, settings_of(), ("train",)).startswith("group g is in both ")


def test_no_clips_are_refused():
    assert sentence_of(split_clips, [], settings_of()).startswith("no class has two groups in the clips, so ")


# The file and the stage


def test_splits_are_read_back_as_written():
    write_splits("splits.csv", {"b": "test", "a": "unused"})
    assert Path("splits.csv").read_bytes() == b"id,split\na,unused\nb,test\n"
    assert read_splits("splits.csv") == {"a": "unused", "b": "test"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("id,part\n", "x.csv does not have the columns id,split in every row; run `dvc repro` to write it again."),
        ("id,split\na\n", "x.csv does not have the columns id,split in every row; run `dvc repro` to write it again."),
        (
            "id,split\na,dev\n",
            "x.csv: clip a has the unknown or repeated split 'dev'; run `dvc repro` to write it again.",
        ),
        (
            "id,split\na,val\na,val\n",
            "x.csv: clip a has the unknown or repeated split 'val'; run `dvc repro` to write it again.",
        ),
    ],
)
def test_a_file_that_is_not_a_splits_file_is_refused(text, wanted):
    Path("x.csv").write_text(text)
    assert sentence_of(read_splits, "x.csv") == wanted


def test_the_split_stage_writes_the_splits():
    put_params()
    clips = subjects(8)
    write_clips("features/clips.csv", clips)

    stage = run_python("-m", "stages.split")

    assert (stage.returncode, stage.stdout, stage.stderr) == (0, "train 10, val 2, test 4\n", "")
    assert read_splits("features/splits.csv") == split_clips(clips, settings_of())


def test_the_split_stage_does_not_import_scikit_learn():
    put_params()
    write_clips("features/clips.csv", subjects(8))
    code = "import sys; from stages import split; split.main(); print(sorted({'sklearn', 'scipy'} & set(sys.modules)))"
    assert run_python("-c", code).stdout == "train 10, val 2, test 4\n[]\n"


def test_a_class_alone_is_refused_before_any_training():
    clips = [clip for clip in subjects(6) if clip.label == "hop"]
    wanted = "root has the class hop alone; add clips of another class."
    assert sentence_of(split_clips, clips, settings_of()) == wanted


def test_a_class_of_a_single_clip_cannot_be_tested():
    clips, settings = ucf101({"classInd.txt": "3 Sit\n", "trainlist01.txt": "Sit/1.avi 3\n"})
    wanted = "class Sit has a single clip, so it cannot be tested; add clips of it or remove it."
    assert sentence_of(split_clips, [*clips, clip_of("Sit/1.avi", "g2", 2)], settings) == wanted


@pytest.mark.parametrize(("shared", "wanted"), [(False, 4), (True, 2)])
def test_a_group_belongs_to_its_class_unless_the_settings_say_otherwise(shared, wanted):
    clips = [
        clip_of(f"{label}/g{number}_c{take}.avi", f"g{number}") for label in "ab" for number in "12" for take in "12"
    ]
    assert len({group_of(clip, settings_of(shared_groups=shared)) for clip in clips}) == wanted
