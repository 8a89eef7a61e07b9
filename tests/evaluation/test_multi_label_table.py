"""Tables of methods where a clip may have several classes."""

import numpy as np

from mocliplite.evaluation import cross_split, method_table, multi_label_table

LABELS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=np.uint8)
CLASSES = np.array(["Run", "Hop", "Jump"])
GROUPS = np.array(["a", "a", "b", "c"])
# The keyframe finds both classes of a clip, the fusion the first alone; two seeds of fusion differ.
RIGHT, WRONG = 4.0 * LABELS - 2, 2 - 4.0 * LABELS
LOGITS = {"keyframe": RIGHT, "motion": RIGHT * [1, -1, 1], "fusion": np.stack([RIGHT * [1, -1, 1], WRONG])}
CALIBRATION = {
    "f1_threshold": dict.fromkeys(LOGITS, 0.5),
    "answer": "fusion",
    "best_single": "motion",
}


def test_by_class_has_average_precision_of_the_classes_with_a_positive_clip():
    run, hop = multi_label_table.by_class(LOGITS, LABELS, CLASSES)
    wrong = 0.5  # both positive clips rank last, as a tie: precision 2 of 4
    assert run == {"class": "Run", "clips": 2, "keyframe": 1.0, "motion": 1.0, "fusion": 0.75, "gain": -0.25}
    assert hop == {"class": "Hop", "clips": 2, "keyframe": 1.0, "motion": wrong, "fusion": wrong, "gain": wrong - 1}


def test_metrics_and_their_table_have_a_row_per_method():
    metrics = multi_label_table.all_metrics(LOGITS, LABELS, GROUPS, CALIBRATION)
    assert metrics["map"]["keyframe"]["mean"] == metrics["macro_f1"]["keyframe"]["mean"] == 1.0
    assert metrics["map"]["fusion"]["std"] > 0
    assert metrics["fusion_minus_keyframe"]["mean"] == metrics["map"]["fusion"]["mean"] - 1
    head, keyframe, _, fusion, *gains, mark = method_table.table(metrics).splitlines()
    assert " ".join(head.split()) == "4 test clips mAP 95 % interval macro F1 threshold ECE"
    assert keyframe.split()[:4] == ["keyframe", "1.000", "1.000-1.000", "1.000"]
    assert fusion.split()[:3] == ["fusion", "*", "0.625"]
    assert [line.split()[2] for line in gains] == ["keyframe", "motion"]
    assert mark == "* the method with which predict answers"


def test_by_clip_joins_the_classes_that_reach_the_threshold():
    data = {"ids": np.array(["a", "b"]), "label": LABELS[1:3], "classes": CLASSES}
    probabilities = np.array([[0.6, 0.9, 0.1], [0.2, 0.1, 0.3]])
    first, second = multi_label_table.by_clip(data, probabilities, {"motion": np.array([1.5, -1.0])}, 0.5)
    wanted = {"id": "a", "label": "Run|Hop", "guess": "Run|Hop", "probability": "0.600000|0.900000"}
    assert first == wanted | {"motion_share": 1.5}
    assert (second["label"], second["guess"], second["probability"]) == ("Hop", "", "")


def test_the_mean_over_splits_is_that_of_mean_average_precision():
    by_split = {1: {"map": {"fusion": {"mean": 0.9}}}, 2: {"map": {"fusion": {"mean": 0.7}}}}
    (table,) = cross_split._tables(by_split)
    head, fusion = table.splitlines()
    assert head.split()[0] == "mAP"
    assert fusion.split()[-2:] == ["0.800", "0.141"]
