"""Average precision, F1 and thresholds of clips with several classes, against scikit-learn; intervals over groups."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from mocliplite.evaluation import multi_label


def scores_and_labels(clips=60, classes=4):
    """Random scores with ties, which are higher for the classes of a clip; class 3 has no positive clip."""
    rng = np.random.default_rng(0)
    labels = (rng.random((clips, classes)) < 0.3).astype(np.uint8)
    labels[:, 3] = 0
    return np.round(rng.normal(size=labels.shape) + labels, 1), labels


def test_average_precision_is_that_of_scikit_learn_with_and_without_weights():
    scores, labels = scores_and_labels()
    weights = np.stack([np.ones(60), np.random.default_rng(1).integers(0, 3, 60)])

    found = multi_label.class_average_precision(scores, labels, weights)

    wanted = [
        [average_precision_score(labels[:, c], scores[:, c], sample_weight=weight) for c in range(3)]
        for weight in weights
    ]
    np.testing.assert_allclose(found[:, :3], wanted)
    assert np.isnan(found[:, 3]).all()
    assert multi_label.mean_average_precision(scores, labels) == pytest.approx(np.mean(wanted[0]), abs=1e-6)


def test_macro_f1_is_the_mean_over_classes_with_a_positive_clip():
    scores, labels = scores_and_labels()
    wanted = f1_score(labels[:, :3], scores[:, :3] >= 0.5, average="macro")
    assert multi_label.macro_f1(scores, labels, 0.5) == pytest.approx(wanted, abs=1e-6)


def test_the_threshold_has_the_highest_macro_f1():
    scores, labels = scores_and_labels()
    probabilities = multi_label.sigmoid(np.stack([scores - 1, scores]))
    figures = [multi_label.macro_f1(probabilities, labels, threshold) for threshold in multi_label.THRESHOLDS]

    found = multi_label.best_threshold(probabilities, labels)

    assert multi_label.macro_f1(probabilities, labels, found) == max(figures) > min(figures)


def test_the_middle_of_equally_good_thresholds_is_chosen():
    assert multi_label.best_threshold(np.array([[0.2], [0.8]]), np.array([[0], [1]])) == 0.51


def intervals_of(groups, seeds=1):
    scores, labels = scores_and_labels()
    weights = multi_label.resampled(groups)
    figures = multi_label.over_seeds(multi_label.class_average_precision, np.stack([scores] * seeds), labels, weights)
    return multi_label.summary(figures, groups)


def test_the_interval_is_that_of_data_sets_of_resampled_groups():
    scores, labels = scores_and_labels()
    groups = np.arange(60) // 2
    rng = np.random.default_rng(1)
    rows = [
        np.concatenate([np.flatnonzero(groups == group) for group in rng.integers(30, size=30)]) for _ in range(400)
    ]
    figures = [np.mean([average_precision_score(labels[r, c], scores[r, c]) for c in range(3)]) for r in rows]

    row = intervals_of(groups)

    assert row["high"] - row["mean"] == pytest.approx(1.96 * np.std(figures), rel=0.2)
    assert row["mean"] - row["low"] == pytest.approx(row["high"] - row["mean"])


def test_a_single_group_says_nothing_about_others():
    row = intervals_of(np.zeros(60), seeds=2)
    assert (row["low"], row["high"], row["std"]) == (0.0, 1.0, 0.0)


def test_a_copy_of_every_clip_in_the_same_group_leaves_the_interval_unchanged():
    scores, labels = scores_and_labels()
    groups = np.arange(60)

    def row(copies):
        clips = np.repeat(groups, copies)
        weights = multi_label.resampled(clips)
        figures = multi_label.over_seeds(multi_label.class_f1, scores[clips] > 0.5, labels[clips], weights)
        return multi_label.summary(figures, clips)

    assert row(3) == pytest.approx(row(1))
