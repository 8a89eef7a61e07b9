"""The rule of docs/defaults.md on made-up losses and pairs, and the shipped defaults against its record."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import CHECKOUT, sentence_of
from test_heads import HEAD
from toy import pairs_of, split_of

from benchmarks import defaults
from mocliplite import params
from mocliplite.fusion import methods
from mocliplite.fusion.pairs import keyframe_views

torch.set_num_threads(1)
RECORD = json.loads(defaults.RECORD.read_text(encoding="utf-8"))
CHOICES = {question["question"]: question["choice"] for question in RECORD["questions"]}
FILES = ["params.yaml", *sorted(f"configs/{path.name}" for path in (CHECKOUT / "configs").glob("*.yaml"))]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("key", defaults.SETTINGS)
def test_the_shipped_setting_is_the_one_that_the_rule_chose(file, key):
    assert getattr(params.load(CHECKOUT / file).head, key) == CHOICES[f"head.{key}"]


def test_the_members_of_the_blend_and_the_answer_are_those_that_the_rule_chose():
    assert methods.MIXED["blend"] == defaults.BLENDS[CHOICES["members of blend"]]
    assert CHOICES["answer"] == methods.ANSWER


def test_the_choices_in_the_record_follow_from_its_comparisons():
    for question in RECORD["questions"]:
        choice = str(question["comparisons"][0]["to"])
        for row in question["comparisons"]:
            assert str(row["to"]) == choice
            choice = str(row["candidate"]) if row["difference"] < -row["error"] else choice
        assert str(question["choice"]) == choice
    assert len(RECORD["questions"]) == len(defaults.SETTINGS) + 2


# The comparison


def folds_of(groups):
    val = {"label": np.zeros(len(groups), dtype=int), "group": np.array(groups)}
    return [defaults.Fold({}, val)]


def choose(groups, *candidates):
    """The choice among candidates "0", "1", ... with these losses by data set."""
    folds = {name: folds_of(names) for name, names in groups.items()}
    losses = {
        str(number): {
            name: defaults.Scores(np.array(values, dtype=float), np.zeros(len(values))) for name, values in by.items()
        }
        for number, by in enumerate(candidates)
    }
    return defaults.choose(folds, "question", losses)["choice"]


GROUPS = {"a": ["g1", "g1", "g2", "g2", "g3", "g3"]}


def test_a_later_candidate_replaces_the_first_only_by_more_than_one_standard_error():
    first = {"a": [1.0] * 6}
    # Differences of the groups: -0.2, -0.2, -0.2 (error 0), and -1, +0.5, -0.1 (mean -0.2, error above 0.2).
    assert choose(GROUPS, first, {"a": [0.8] * 6}) == "1"
    assert choose(GROUPS, first, {"a": [0, 0, 1.5, 1.5, 0.9, 0.9]}) == "0"


def test_equal_candidates_leave_the_earlier_one():
    assert choose(GROUPS, {"a": [1.0] * 6}, {"a": [1.0] * 6}) == "0"
    assert choose(GROUPS, {"a": [1.0] * 6}, {"a": [0.5] * 6}, {"a": [0.5] * 6}) == "1"


def test_data_sets_have_equal_weight():
    groups = GROUPS | {"b": ["h1", "h2"]}
    first = {"a": [1.0] * 6, "b": [1.0] * 2}
    # Better by 0.2 on six clips, worse by 0.3 on two.
    assert choose(groups, first, {"a": [0.8] * 6, "b": [1.3] * 2}) == "0"
    assert choose(groups, first, {"a": [0.7] * 6, "b": [1.2] * 2}) == "1"


def test_the_standard_error_treats_the_clips_of_a_group_as_one_observation():
    values = np.array([1.0, 1.0, 3.0, 3.0, 5.0, 5.0])
    mean, squared_error = defaults.difference(values, np.array(GROUPS["a"]))
    assert mean == 3.0
    # Three groups with the means 1, 3 and 5: standard deviation 2, over the root of 3.
    assert squared_error == pytest.approx(4 / 3)


def test_a_data_set_with_one_group_is_refused():
    assert "all validation clips are in the group g1" in sentence_of(
        lambda: defaults.difference(np.ones(3), np.array(["g1"] * 3))
    )


# The halves


def test_halves_have_whole_groups_and_clips_of_every_class():
    arrays = split_of(pairs_of(groups=20), "val")
    labels, groups = arrays["label"], arrays["group"]
    for seed in range(3):
        half = defaults.halve(labels, groups, seed)
        assert not set(groups[half]) & set(groups[~half])
        assert np.bincount(labels[half]).tolist() == np.bincount(labels[~half]).tolist() == [4] * 6
    assert not np.array_equal(defaults.halve(labels, groups, 0), defaults.halve(labels, groups, 1))


def test_a_class_with_a_single_group_is_divided_by_clips():
    labels, groups = np.repeat([0, 1, 2], 4), np.repeat(["a", "b", "c"], 4)
    assert np.bincount(labels[defaults.halve(labels, groups, 0)]).tolist() == [2, 2, 2]


def test_groups_shared_by_classes_stay_whole():
    labels, groups = np.tile([0, 1, 2], 4), np.repeat(["a", "b", "c", "d"], 3)
    half = defaults.halve(labels, groups, 0)
    assert half.sum() == 6
    assert not set(groups[half]) & set(groups[~half])


# All questions on small pairs


def with_keyframes(arrays, count):
    """The arrays with `count` keyframes per clip, which differ by noise."""
    frames = arrays["keyframe"] + np.random.default_rng(1).normal(scale=0.3, size=(len(arrays["ids"]), count, 8))
    return {**arrays, "keyframe": keyframe_views(frames.astype(np.float32))}


def fold_of(arrays):
    return defaults.Fold(split_of(arrays, "train"), split_of(arrays, "val"))


def test_the_rule_on_small_pairs_prefers_the_methods_with_both_streams():
    arrays = pairs_of(groups=20)
    settings = replace(HEAD, seeds=1, hidden=16, epochs=10, lr=0.01)
    folds = {"toy": [fold_of(arrays), fold_of(with_keyframes(arrays, 3))]}
    record = defaults.answer_questions(folds, settings)
    assert [question["question"] for question in record["questions"]] == [
        "head.start",
        "head.label_smoothing",
        "head.views",
        "head.pooling",
        "members of blend",
        "answer",
    ]
    scores = record["questions"][-1]["scores"]
    assert list(scores) == [*defaults.ANSWERS, defaults.PER_DATA_SET]
    assert min(row["toy"]["top1"] for row in scores.values()) > 0.8
    assert list(record["data"]) == ["one keyframe", "several keyframes"]
    for data in record["data"].values():
        assert data == {"toy": {"folds": 1, "validation clips": 48}}


def test_scores_do_not_depend_on_test_clips():
    arrays = pairs_of()
    changed = {**arrays, "keyframe": arrays["keyframe"].copy()}
    changed["keyframe"][arrays["split"] == "test"] *= -3
    settings = replace(HEAD, seeds=1, epochs=2)
    first, second = (defaults.nested_scores(fold_of(data), settings) for data in (arrays, changed))
    assert first["fusion"].loss.tolist() == second["fusion"].loss.tolist()
