"""The predictions on the test clips, and the figures that the report derives from them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mocliplite.csv_files import read_csv, write_rows
from mocliplite.data.clips import Clip, read_clips
from mocliplite.report.predictions import (
    NEIGHBOURS,
    Predictions,
    confusion_matrix,
    frame_size_accuracy,
    frequent_errors,
    predict_test_clips,
)
from mocliplite.store import stores


def predictions_of(labels, predicted, classes="abc"):
    labels, size = np.array(labels), len(classes)
    ids = [f"clip{row}" for row in range(len(labels))]
    probabilities = np.eye(size)[predicted]
    return Predictions(ids, labels, probabilities, {}, probabilities, list(classes))


def test_predictions_are_those_that_evaluate_wrote(small_project):
    predictions, written = predict_test_clips(), read_csv("features/test_clips.csv")
    assert predictions.ids == [row["id"] for row in written]
    assert [predictions.classes[index] for index in predictions.predicted] == [row["guess"] for row in written]
    confidence = [float(row["probability"]) for row in written]
    np.testing.assert_allclose(predictions.probabilities.max(axis=1), confidence, atol=1e-5)
    for stream, shares in predictions.shares.items():
        np.testing.assert_allclose(shares, [float(row[f"{stream}_share"]) for row in written], atol=1e-5)


def test_a_row_of_the_confusion_matrix_has_the_numbers_of_clips_of_one_true_class():
    matrix = confusion_matrix(predictions_of([0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 2, 2]))
    assert matrix.tolist() == [[3, 1, 0], [0, 0, 2], [0, 0, 0]]


def test_errors_are_listed_by_frequency_and_then_by_name():
    predictions = predictions_of([0, 0, 1, 2, 2, 1], [1, 1, 0, 2, 0, 1])
    assert frequent_errors(predictions, 2) == [
        {"label": "a", "predicted": "b", "clips": 2},
        {"label": "b", "predicted": "a", "clips": 1},
    ]


def test_clips_of_one_size_have_no_accuracy_by_size(small_project, monkeypatch):
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    set_sizes(monkeypatch, dict.fromkeys(clips, (96, 128)))
    assert frame_size_accuracy(predict_test_clips(), clips) == {"only_size": "128x96"}


@pytest.mark.parametrize(("by_class", "lowest", "highest"), [(True, 1, 1), (False, 0, 0.9)])
def test_the_accuracy_from_the_size_alone_is_high_only_where_sizes_depend_on_the_class(
    small_project, monkeypatch, by_class, lowest, highest
):
    clips = {clip.id: clip for clip in read_clips("features/clips.csv")}
    number = {key: clip.index if by_class else row % 2 for row, (key, clip) in enumerate(clips.items())}
    set_sizes(monkeypatch, {key: (96, 128 + 64 * number[key]) for key in clips})
    found = frame_size_accuracy(predict_test_clips(), clips)
    assert lowest <= found["top1"] <= highest
    assert found["chance"] == pytest.approx(1 / 3)
    assert set(found["classes"]) <= {"Falling", "Resting", "Rolling"}


def test_the_accuracy_from_the_size_is_that_of_a_comparison_of_all_clips(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"clip{row}" for row in range(90)]
    # Sizes in one ratio, so that several are equally far from others.
    sizes = {key: (100 * 2 ** rng.integers(3), 100 * 2 ** rng.integers(3)) for key in ids}
    clips = {key: Clip(key, key, "a", (int(rng.integers(3)),), "g", 0, "") for key in ids}
    monkeypatch.chdir(tmp_path)
    write_rows(
        "features/splits.csv", ["id", "split"], [(key, "train" if row < 60 else "test") for row, key in enumerate(ids)]
    )
    monkeypatch.setattr(stores, "open_store", lambda _: SimpleNamespace(ids=ids, sizes=sizes))

    def nearest(size):
        distances = [float(((np.log(sizes[key]) - np.log(size)) ** 2).sum()) for key in ids[:60]]
        rows = sorted(range(60), key=lambda row: (distances[row], row))[:NEIGHBOURS]
        return np.bincount([clips[ids[row]].index for row in rows]).argmax()

    wanted = np.mean([nearest(sizes[key]) == clips[key].index for key in ids[60:]])
    predictions = replace(predictions_of([clips[key].index for key in ids[60:]], [0] * 30), ids=ids[60:])
    assert frame_size_accuracy(predictions, clips)["top1"] == pytest.approx(wanted)


def set_sizes(monkeypatch, frame_sizes):
    """Give the clips of the motion store other frame sizes, (height, width) by id."""
    opened = stores.open_store("features/motion")
    opened.sizes = frame_sizes
    monkeypatch.setattr(stores, "open_store", lambda _: opened)
