"""Accuracy with few train clips: what the rows are of, and the command."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import sentence_of
from toy import pairs_of, put_pairs, split_of

from mocliplite import params
from mocliplite.cli._main import main
from mocliplite.fusion import ridge
from mocliplite.fusion.few_shot import METHODS, few_shot, table
from mocliplite.fusion.pairs import features

pytestmark = pytest.mark.usefixtures("folder")
torch.set_num_threads(1)


def splits_of(arrays):
    return tuple(split_of(arrays, split) for split in ("train", "val", "test"))


def rows_of(arrays, shots=(2,), draws=2, **options):
    put_pairs(arrays, epochs=10, seeds=1)
    return few_shot(splits_of(arrays), shots, draws, params.load().head, torch.device("cpu"), **options)


def test_accuracy_rises_with_the_number_of_clips_per_class():
    few, many = rows_of(pairs_of(groups=20), (1, 16))
    assert (few["clips"], few["draws"], many["clips"], many["draws"]) == (6, 2, 96, 2)
    for name in ("ridge", "fusion"):
        assert many[f"top1_{name}"] > few[f"top1_{name}"] + 0.1
    assert few["top1_ridge_std"] > 0 == few["top1_zero_shot_std"]


def test_one_draw_is_enough_where_it_takes_all_clips_and_its_ridge_is_that_of_all_clips():
    arrays = pairs_of()
    (row,) = rows_of(arrays, (99,), draws=3)
    train, _, test = splits_of(arrays)
    x = features(train, ("keyframe", "motion"))
    alpha = ridge.left_out_penalty(x, train["label"], train["group"], 6)
    scores = ridge.scores_of((x, train["label"]), 6, alpha, features(test, ("keyframe", "motion")))
    assert (row["draws"], row["clips"], row["top1_ridge_std"]) == (1, len(train["label"]), 0)
    assert row["top1_ridge"] == (scores.argmax(axis=1) == test["label"]).mean()


def test_validation_clips_influence_the_head_alone():
    first, other = pairs_of(noise=1.5), pairs_of(noise=1.5)
    other["label"][other["split"] == "val"] = 0
    (before,), (after,) = rows_of(first), rows_of(other)
    assert {key for key in before if before[key] != after[key]} <= {key for key in before if "fusion" in key}


def test_labels_of_test_clips_change_no_answer():
    """Of all shifts of the labels of the test clips by a number of classes, one makes an answer right."""
    shifted = [pairs_of() for _ in range(6)]
    for shift, arrays in enumerate(shifted):
        test = arrays["split"] == "test"
        arrays["label"][test] = (arrays["label"][test] + shift) % 6
    rows = [row for arrays in shifted for row in rows_of(arrays, draws=1)]
    for name in METHODS[1:]:
        assert sum(row[f"top1_{name}"] for row in rows) == pytest.approx(1)


def test_mean_class_accuracy_weighs_classes_equally():
    arrays = pairs_of()
    test = np.flatnonzero(arrays["split"] == "test")
    # All test clips but two are of the classes 0 and 1.
    rows = np.setdiff1d(np.arange(120), test[(arrays["label"][test] > 1) & (np.arange(len(test)) < 22)])
    (row,) = rows_of(
        arrays | {name: values[rows] for name, values in arrays.items() if values.ndim and len(values) == 120}
    )
    assert row["mean_class_keyframe_probe"] != row["top1_keyframe_probe"]


def test_another_motion_network_sees_the_drawn_clips_alone():
    seen = []

    def without_motion(splits):
        seen.append(splits[0]["ids"].tolist())
        return tuple({**split, "motion": np.zeros_like(split["motion"])} for split in splits)

    (row,) = rows_of(pairs_of(), (1,), draws=2, prepare=without_motion)
    assert [len(ids) for ids in seen] == [6, 6]
    assert row["top1_motion_probe"] == 0  # all classes are equally likely, and ties count as wrong
    assert row["top1_keyframe_probe"] > 0


def test_the_command_prints_both_figures_and_writes_a_file(capsys):
    put_pairs(pairs_of(), epochs=5, seeds=1)
    main(["few-shot", "--shots", "16,1", "--draws", "2", "--csv", "few.csv"])
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert lines[0] == "top-1 on 24 test clips: mean (standard deviation over draws)"
    assert lines[1].split() == ["clips", "per", "class", "clips", "draws", *METHODS]
    assert [line.split()[:3] for line in lines[2:4]] == [["1", "6", "2"], ["16", "72", "1"]]
    assert lines[4].startswith("mean class on 24 test clips")
    assert "note: BallFalling has 12 train clips; a class with fewer clips contributes all it has" in printed.err
    with Path("few.csv").open(encoding="utf-8", newline="") as file:
        assert [row["shots"] for row in csv.DictReader(file)] == ["1", "16"]


def test_pairs_without_embeddings_of_the_classes_have_no_zero_shot_column():
    arrays = pairs_of()
    del arrays["prompts"], arrays["logit_scale"]
    rows = rows_of(arrays)
    assert "zero_shot" not in table(rows, "top1")


def test_a_missing_folder_of_the_file_is_an_error():
    assert sentence_of(main, ["few-shot", "--csv", "no/few.csv"]) == (
        "--csv is no/few.csv, but the folder no does not exist; create it or correct the path."
    )


@pytest.mark.parametrize("shots", ["0", "1,,2", "two"])
def test_shots_that_are_not_whole_numbers_are_an_error(shots, capsys):
    with pytest.raises(SystemExit):
        main(["few-shot", "--shots", shots])
    assert "is not a whole number of at least 1" in capsys.readouterr().err
