import numpy as np
import pytest

from mocliplite.evaluation import method_table


def test_each_class_has_its_clips_accuracies_and_what_fusion_gains():
    labels, classes = np.array([0, 0, 2, 2]), np.array(["Run", "Hop", "Jump"])
    # Of three classes; the guess is the label, or another.
    guesses = {"motion": [0, 0, 0, 1], "keyframe": [0, 1, 2, 0], "fusion": [0, 0, 0, 1]}
    logits = {name: np.eye(3)[guess] for name, guess in guesses.items()}
    assert method_table.by_class(logits, labels, classes) == [
        {"class": "Run", "clips": 2, "motion": 1.0, "keyframe": 0.5, "fusion": 1.0, "gain": 0.5},
        {"class": "Jump", "clips": 2, "motion": 0.0, "keyframe": 0.5, "fusion": 0.0, "gain": -0.5},
    ]


def metrics_of(**changes):
    one = {"mean": 0.6654, "low": 0.61, "high": 0.72}
    every = dict.fromkeys(method_table.METHODS, one)
    gain = {"mean": 0.041, "low": -0.01, "high": 0.09, "p": 0.0321}
    plain = {"clips": 96, "top1": every, "top5": every, "mean_class": every, "macro_f1": every}
    plain |= {
        "calibration": {way: {"ece": 0.0213, "temperature": 1.0} for way in method_table.METHODS},
        "best_single": "motion",
    }
    plain |= {"fusion_minus_keyframe": gain, "fusion_minus_best_single": gain}
    return plain | {"near_duplicates": {"clips": 0, "fusion_without": 0.66}} | changes


@pytest.mark.parametrize(("p", "said"), [(0.0321, "p = 0.0321"), (0.0, "p < 0.0001")])
def test_table_has_a_line_for_each_way_and_one_for_each_gain(p, said):
    gain = {"mean": 0.041, "low": -0.01, "high": 0.09, "p": p}
    head, *ways, keyframe, single = method_table.table(metrics_of(fusion_minus_keyframe=gain)).splitlines()
    assert head.split() == [
        "96",
        "test",
        "clips",
        "top-1",
        "95",
        "%",
        "interval",
        "top-5",
        "mean",
        "class",
        "F1",
        "ECE",
    ]
    assert [line.split()[0] for line in ways] == list(method_table.METHODS)
    assert ways[0].split() == ["zero_shot", "0.665", "0.610-0.720", "0.665", "0.665", "0.665", "0.021"]
    assert keyframe.split(maxsplit=3)[3] == f"+0.041 (-0.010 to +0.090), {said}"
    assert single.startswith("fusion minus motion ")


def test_table_says_a_difference_once_and_warns_of_near_duplicates():
    twins = {"clips": 3, "fusion_without": 0.61}
    lines = method_table.table(metrics_of(best_single="keyframe", near_duplicates=twins)).splitlines()
    assert sum(line.startswith("fusion minus") for line in lines) == 1
    assert lines[-1] == (
        "warning: 3 test clips are nearly a train clip (features/near_duplicates.csv); without them fusion has 0.610"
    )


def test_each_test_clip_has_a_row_with_what_each_stream_adds():
    data = {"ids": np.array(["a", "b"]), "label": np.array([0, 1]), "classes": np.array(["Run", "Hop"])}
    probabilities = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.7, 0.3], [0.2, 0.8]]])
    share = {"keyframe": np.array([1.0, -1.0]), "motion": np.array([0.5, 2.0])}
    first, second = method_table.by_clip(data, np.array([0, 1]), probabilities, share)
    wanted = {"id": "a", "label": "Run", "guess": "Run", "probability": 0.8, "keyframe_share": 1.0, "motion_share": 0.5}
    assert first == pytest.approx(wanted)
    assert second["probability"] == pytest.approx(0.7)
