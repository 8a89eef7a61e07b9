import numpy as np
import pytest

from mocliplite.evaluation import method_table
from mocliplite.evaluation.rows import METHODS


def test_by_class_has_clips_accuracy_of_each_method_and_the_gain_of_fusion():
    labels, classes = np.array([0, 0, 2, 2]), np.array(["Run", "Hop", "Jump"])
    guesses = {"motion": [0, 0, 0, 1], "keyframe": [0, 1, 2, 0], "fusion": [0, 0, 0, 1]}
    logits = {name: np.eye(3)[guess] for name, guess in guesses.items()}
    outcomes = {name: method_table.outcomes(values, labels) for name, values in logits.items()}
    assert method_table.by_class(outcomes, labels, classes) == [
        {"class": "Run", "clips": 2, "motion": 1.0, "keyframe": 0.5, "fusion": 1.0, "gain": 0.5},
        {"class": "Jump", "clips": 2, "motion": 0.0, "keyframe": 0.5, "fusion": 0.0, "gain": -0.5},
    ]


def test_reliability_by_method_has_no_row_for_an_empty_bin():
    confidence = {
        "motion": (np.array([0.95, 0.95]), np.array([True, False])),
        "fusion": (np.array([0.95, 0.7]), np.array([True, True])),
    }
    rows = method_table.reliability_by_method(confidence)
    assert [tuple(row.values()) for row in rows] == [
        (0.0, "calibrated", 0.0),
        (1.0, "calibrated", 1.0),
        (14.5 / 15, "motion", 0.5),
        (10.5 / 15, "fusion", 1.0),
        (14.5 / 15, "fusion", 1.0),
    ]


def metrics_of(**changes):
    row = {"mean": 0.6654, "low": 0.61, "high": 0.72}
    by_method = dict.fromkeys(METHODS, row)
    gain = {"mean": 0.041, "low": -0.01, "high": 0.09, "p": 0.0321}
    metrics = {
        "clips": 96,
        "top1": by_method,
        "top5": by_method,
        "mean_class": by_method,
        "macro_f1": by_method,
        "calibration": {method: {"ece": 0.0213} for method in METHODS},
        "answer": "blend",
        "best_single": "motion",
        "fusion_minus_keyframe": gain,
        "fusion_minus_best_single": gain,
        "near_duplicates": {"clips": 0, "fusion_without": 0.66},
        "test_set": "0a1b2c3d",
    }
    return metrics | changes


@pytest.mark.parametrize(("p", "p_text"), [(0.0321, "p = 0.0321"), (0.0, "p < 0.0001")])
def test_table_has_a_line_per_method_and_a_line_per_difference(p, p_text):
    gain = {"mean": 0.041, "low": -0.01, "high": 0.09, "p": p}
    head, *methods, keyframe, best_single, mark = method_table.table(
        metrics_of(fusion_minus_keyframe=gain)
    ).splitlines()
    assert " ".join(head.split()) == "96 test clips top-1 95 % interval top-5 mean class F1 ECE"
    assert [line.split()[0] for line in methods] == list(METHODS)
    assert methods[0].split() == ["zero_shot", "0.665", "0.610-0.720", "0.665", "0.665", "0.665", "0.021"]
    assert keyframe.split(maxsplit=3)[3] == f"+0.041 (-0.010 to +0.090), {p_text}"
    assert best_single.startswith("fusion minus motion ")
    assert [line.split()[0] for line in methods if line.split()[1] == "*"] == ["blend"]
    assert mark == "* the method with which predict answers"


def test_table_has_the_difference_to_the_keyframe_once_where_it_is_the_best_single_stream():
    lines = method_table.table(metrics_of(best_single="keyframe")).splitlines()
    assert sum(line.startswith("fusion minus") for line in lines) == 1


def test_table_warns_of_near_duplicates():
    duplicates = {"clips": 3, "fusion_without": 0.61}
    assert method_table.table(metrics_of(near_duplicates=duplicates)).splitlines()[-1] == (
        "warning: near duplicates of a train clip among the test clips: 3 (features/near_duplicates.csv); "
        "without them, the top-1 of fusion is 0.610"
    )
    assert "warning" not in method_table.table(metrics_of())


def test_by_clip_has_the_guess_its_probability_and_the_share_of_each_stream():
    data = {"ids": np.array(["a", "b"]), "label": np.array([0, 1]), "classes": np.array(["Run", "Hop"])}
    probabilities = np.array([[0.8, 0.2], [0.3, 0.7]])
    share = {"keyframe": np.array([1.0, -1.0]), "motion": np.array([0.5, 2.0])}
    first, second = method_table.by_clip(data, probabilities, share)
    expected = {"id": "a", "label": "Run", "guess": "Run", "probability": 0.8}
    expected |= {"keyframe_share": 1.0, "motion_share": 0.5}
    assert first == pytest.approx(expected)
    assert second["probability"] == pytest.approx(0.7)


def test_table_has_no_intervals_where_the_test_clips_are_of_one_group():
    labels = np.arange(8) % 2
    outcomes = dict.fromkeys(("motion", "keyframe", "fusion"), method_table.outcomes(np.eye(2)[labels], labels))
    calibration = {"best_single": "motion", "answer": "fusion"}
    text = method_table.table(method_table.all_metrics(outcomes, labels, np.zeros(8), calibration))
    assert text.count("1.000   none  ") == 3
    assert text.count("+0.000 (no interval), p = 1.0000") == 2
    assert text.endswith(
        "there are no intervals: all test clips are of one group, which says nothing about other groups"
    )


def test_summary_has_the_answer_the_streams_and_the_gain_with_its_interval():
    top1 = {
        name: {"mean": mean} for name, mean in (("blend", 0.9), ("fusion", 0.8), ("keyframe", 0.5), ("motion", 0.4))
    }
    assert method_table.summary(metrics_of(top1=top1)) == {
        "top1": 0.9,
        "fusion": 0.8,
        "keyframe": 0.5,
        "motion": 0.4,
        "gain": 0.041,
        "gain_low": -0.01,
        "gain_high": 0.09,
        "ece": 0.0213,
        "test_clips": 96,
        "test_set": "0a1b2c3d",
    }
