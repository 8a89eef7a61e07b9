from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from builders import clip_of, hmdb51, put_params, run_python, sentence_of, settings_of, ucf101

from mocliplite.data.clips import write_clips
from mocliplite.data.splits import check_splits, cut, official_split, read_splits, split_clips, write_splits

pytestmark = pytest.mark.usefixtures("folder")


# Official lists


def test_ucf101_lists_say_what_is_for_test():
    clips, settings = ucf101()
    splits = official_split(clips, settings)
    assert {clip.group for clip in clips if splits[clip.id] == "test"} == {"g1"}
    assert Counter(splits.values()) == {"train": 16, "test": 4}


def test_lists_name_clips_that_became_another_container():
    clips, settings = ucf101()
    recoded = [replace(clip, path=clip.path.replace(".avi", ".mp4")) for clip in clips]
    assert official_split(recoded, settings) == official_split(clips, settings)


def test_lists_may_name_clips_that_include_leaves_out():
    clips, settings = ucf101(include="**/*_c1.*")
    splits = official_split([clip for clip in clips if "_c1" in clip.path], settings)
    assert Counter(splits.values()) == {"train": 8, "test": 2}


def test_groups_of_one_name_in_two_classes_are_two_groups():
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
            "lists/trainlist01.txt line 17: Run/v_g9_c1.avi is not in root (2 such clips in all);"
            " add the clips or correct the list.",
        ),
        (
            {"trainlist01.txt": "Run/v_g2_c1.avi 1\n"},
            "lists/trainlist01.txt line 17: Run/v_g2_c1.avi is for train here and for train in"
            " lists/trainlist01.txt line 1; delete one of the two lines.",
        ),
        (
            {"testlist01.txt": "Run/v_g2_c1.avi\n"},
            "lists/testlist01.txt line 5: Run/v_g2_c1.avi is for test here and for train in"
            " lists/trainlist01.txt line 1; delete one of the two lines.",
        ),
    ],
)
def test_list_that_does_not_fit_the_clips(changes, wanted):
    assert sentence_of(split_clips, *ucf101(changes)) == wanted


def test_clips_that_no_list_names():
    clips, settings = ucf101()
    more = [clip_of("Run/v_g9_c2.avi", "g9"), clip_of("Run/v_g9_c1.avi", "g9")]
    wanted = (
        "lists: no list of split 1 names Run/v_g9_c1.avi (2 such clips in all);"
        " narrow dataset.include or correct the lists."
    )
    assert sentence_of(split_clips, clips + more, settings) == wanted


def test_empty_test_list():
    clips, settings = ucf101()
    Path("lists/testlist01.txt").write_text("")
    train = [clip for clip in clips if clip.group != "g1"]
    wanted = "no clip is for test; change dataset.split, seed or val, or the lists."
    assert sentence_of(split_clips, train, settings) == wanted


def test_group_on_both_sides_of_official_lists():
    clips, settings = ucf101({"testlist01.txt": "Run/v_g2_c3.avi\n"})
    wanted = (
        "group Run/g2 straddles: Run/v_g2_c1.avi is for train and Run/v_g2_c3.avi for test;"
        " correct dataset.group or the lists."
    )
    assert sentence_of(split_clips, [*clips, clip_of("Run/v_g2_c3.avi", "g2")], settings) == wanted


def test_class_that_is_all_test():
    clips, settings = ucf101({"classInd.txt": "3 Sit\n", "testlist01.txt": "Sit/1.avi\n"})
    remedy = "add clips of it, or change dataset.split, seed or val, or the lists."
    wanted = f"class Sit has no train clip (test 1); {remedy}"
    assert sentence_of(split_clips, [*clips, clip_of("Sit/1.avi", "g1", 2)], settings) == wanted


def test_hmdb51_validation_comes_out_of_train_alone():
    assert Counter(split_clips(*hmdb51(val=0.2)).values()) == {"train": 8, "val": 2, "test": 4, "unused": 2}


@pytest.mark.parametrize(("split", "train", "test"), [(1, 9537, 3783), (2, 9586, 3734), (3, 9624, 3696)])
def test_ucf101_splits_have_the_published_sizes_and_whole_groups(names_of_ucf101, split, train, test):
    clips, settings = names_of_ucf101
    splits = split_clips(clips, replace(settings, split=split))
    counts = Counter(splits.values())
    assert (counts["train"] + counts["val"], counts["test"]) == (train, test)
    assert abs(counts["val"] - train / 10) < 20
    sides = defaultdict(set)
    for clip in clips:
        sides[clip.label, clip.group].add(splits[clip.id])
    assert len(sides) == 101 * 25
    assert {len(side) for side in sides.values()} == {1}
    assert len({clip.label for clip in clips if splits[clip.id] == "val"}) == 101


# Folders without lists


def subjects(count, classes=("hop", "run"), each=1):
    """Each subject does each class."""
    return [
        clip_of(f"{label}/s{s}_{i}.avi", f"s{s}", index)
        for index, label in enumerate(classes)
        for s in range(1, count + 1)
        for i in range(each)
    ]


def parts_of(clips, splits):
    """Groups by split."""
    parts = defaultdict(set)
    for clip in clips:
        parts[splits[clip.id]].add(clip.group)
    return parts


def test_shares_are_whole_groups_spread_over_the_classes():
    clips = subjects(8, each=3)
    splits = split_clips(clips, settings_of(test=0.25, val=0.33))
    parts = parts_of(clips, splits)
    assert {part: len(groups) for part, groups in parts.items()} == {"train": 4, "val": 2, "test": 2}
    assert not parts["train"] & parts["val"] | parts["train"] & parts["test"] | parts["val"] & parts["test"]
    assert Counter(clip.label for clip in clips if splits[clip.id] == "test") == {"hop": 6, "run": 6}


def test_share_above_a_half_takes_several_parts():
    clips = subjects(10)
    parts = parts_of(clips, cut(clips, settings_of(test=0.7)))
    assert {part: len(groups) for part, groups in parts.items()} == {"train": 3, "test": 7}


def test_cut_depends_on_the_seed_and_on_nothing_else():
    clips = subjects(12)
    cuts = [split_clips(clips, settings_of(seed=seed)) for seed in range(5)]
    assert split_clips(clips[::-1], settings_of(seed=0)) == cuts[0]
    assert any(cut != cuts[0] for cut in cuts)


def test_each_group_is_in_the_test_fold_once():
    clips = subjects(10)
    folds = [parts_of(clips, cut(clips, settings_of(folds=3, split=split)))["test"] for split in (1, 2, 3)]
    assert sorted(group for fold in folds for group in fold) == sorted({clip.group for clip in clips})
    assert {len(fold) for fold in folds} == {3, 4}


def test_as_many_folds_as_groups_leave_one_group_out_in_natural_order():
    clips = subjects(10)
    tests = [parts_of(clips, cut(clips, settings_of(folds=10, split=split)))["test"] for split in range(1, 11)]
    assert tests == [{f"s{s}"} for s in range(1, 11)]


@pytest.mark.parametrize(
    ("count", "changes", "wanted"),
    [
        (
            3,
            {"folds": 4},
            "dataset.folds is 4, which takes 4 groups and 4 clips in a class,"
            " but there are 3 groups and at most 3 clips in a class; set it to 3 or fewer.",
        ),
        (
            3,
            {"test": 0.25},
            "dataset.test is 0.25, which takes 4 groups and 4 clips in a class,"
            " but there are 3 groups and at most 3 clips in a class; set it to 0.33.",
        ),
        (
            4,
            {"test": 0.25, "val": 0.1},
            "dataset.val is 0.1, which takes 10 groups and 10 clips in a class,"
            " but train has 3 groups and at most 3 clips in a class; set it to 0.33.",
        ),
        (
            2,
            {"folds": 2, "val": 0.5},
            "dataset.val is 0.5, which takes 2 groups and 2 clips in a class,"
            " but train has 1 groups and at most 1 clips in a class; add clips, or groups by dataset.group.",
        ),
        (4, {"test": 0.01}, "dataset.test is 0.01, nearer to 0 than to a tenth; set it to 0.1 or more."),
        (4, {"val": 0.99}, "dataset.val is 0.99, nearer to 1 than to a tenth; set it to 0.9 or less."),
    ],
)
def test_too_few_groups_for_the_cut(count, changes, wanted):
    assert sentence_of(split_clips, subjects(count), settings_of(**changes)) == wanted


def test_too_few_clips_in_every_class_for_the_cut():
    clips = [clip_of(f"{label}/{i}.avi", f"{label}{i}") for label in "abcde" for i in range(3)]
    wanted = (
        "dataset.test is 0.25, which takes 4 groups and 4 clips in a class,"
        " but there are 15 groups and at most 3 clips in a class; set it to 0.33."
    )
    assert sentence_of(split_clips, clips, settings_of()) == wanted


def test_class_with_fewer_clips_than_parts_is_cut_without_a_warning(recwarn):
    clips = subjects(8) + [clip_of(f"wave/{i}.avi", f"s{i}", 2) for i in (1, 2, 3)]
    assert Counter(cut(clips, settings_of()).values()).keys() == {"train", "test"}
    assert recwarn.list == []


@pytest.mark.parametrize("share", [0.1, 0.15, 0.3, 0.7, 0.9])
def test_share_that_is_advised_is_accepted(share):
    clips = subjects(6)
    advised = sentence_of(cut, clips, settings_of(test=share)).rpartition(" ")[2].rstrip(".")
    assert {"train", "test"} == set(cut(clips, settings_of(test=float(advised))).values())


def test_class_that_one_group_alone_shows_cannot_be_learnt_without_it():
    clips = [*subjects(4), clip_of("wave/s1_0.avi", "s1", 2)]
    wanted = "class wave has no train clip (test 1); add clips of it, or change dataset.split, seed or val."
    assert sentence_of(split_clips, clips, settings_of(folds=4, val=0.33)) == wanted


def test_group_that_straddles_is_named_where_groups_span_classes():
    clips = [clip_of("hop/1.avi", "s1"), clip_of("run/1.avi", "s1")]
    wanted = "group s1 straddles: hop/1.avi is for val and run/1.avi for train; correct dataset.group or the lists."
    splits = {"hop__1": "val", "run__1": "train"}
    assert sentence_of(check_splits, clips, splits, settings_of(), ("train", "val")) == wanted


def test_unused_clips_straddle_nothing():
    clips = [clip_of("hop/1.avi"), clip_of("hop/2.avi"), clip_of("hop/3.avi")]
    splits = {"hop__1": "unused", "hop__2": "train", "hop__3": "train"}
    check_splits(clips, splits, settings_of(), ("train",))


def test_no_clips_at_all():
    wanted = (
        "dataset.test is 0.25, which takes 4 groups and 4 clips in a class,"
        " but there are 0 groups and at most 0 clips in a class; add clips, or groups by dataset.group."
    )
    assert sentence_of(split_clips, [], settings_of()) == wanted


# The file and the stage


def test_splits_are_read_as_written():
    write_splits("splits.csv", {"b": "test", "a": "unused"})
    assert Path("splits.csv").read_bytes() == b"id,split\na,unused\nb,test\n"
    assert read_splits("splits.csv") == {"a": "unused", "b": "test"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("id,part\n", "x.csv has not the columns id,split throughout; run `dvc repro` to renew it."),
        ("id,split\na\n", "x.csv has not the columns id,split throughout; run `dvc repro` to renew it."),
        ("id,split\na,dev\n", "x.csv: a is 'dev', an unknown or second split; run `dvc repro` to renew it."),
        ("id,split\na,val\na,val\n", "x.csv: a is 'val', an unknown or second split; run `dvc repro` to renew it."),
    ],
)
def test_splits_file_that_is_another(text, wanted):
    Path("x.csv").write_text(text)
    assert sentence_of(read_splits, "x.csv") == wanted


def test_split_writes_the_splits():
    put_params()
    clips = subjects(8)
    write_clips("features/clips.csv", clips)

    stage = run_python("-m", "stages.split")

    assert (stage.returncode, stage.stdout, stage.stderr) == (0, "train 8, val 4, test 4\n", "")
    assert read_splits("features/splits.csv") == split_clips(clips, settings_of())
