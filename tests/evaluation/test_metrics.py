import warnings

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mocliplite.evaluation.metrics import macro_f1, mean_class, softmax, within_top

RIGHT, WRONG = True, False


def test_softmax_is_the_normalised_exponential():
    assert softmax(np.log([[1.0, 2.0, 5.0]])) == pytest.approx(np.array([[0.125, 0.25, 0.625]]))


def test_softmax_of_huge_logits_does_not_overflow():
    with warnings.catch_warnings(action="error"):
        out = softmax(np.array([[1e6, 1e6, -1e6]], dtype=np.float32))
    assert out.tolist() == [[0.5, 0.5, 0.0]]


def test_within_top_compares_the_rank_of_the_label():
    logits, labels = np.array([[0.1, 0.7, 0.2]]).repeat(3, axis=0), np.array([0, 1, 2])
    assert within_top(logits, labels, 1).tolist() == [WRONG, RIGHT, WRONG]
    assert within_top(logits, labels, 2).tolist() == [WRONG, RIGHT, RIGHT]
    assert within_top(logits, labels, 3).tolist() == [RIGHT, RIGHT, RIGHT]


def test_a_tie_counts_as_wrong():
    logits = np.array([[1.0, 1.0, 0.0]])
    assert within_top(logits, np.array([0]), 1).tolist() == [WRONG]
    assert within_top(logits, np.array([1]), 1).tolist() == [WRONG]
    assert within_top(logits, np.array([1]), 2).tolist() == [RIGHT]


def test_nan_counts_as_wrong():
    logits = np.array([[np.nan, np.nan, np.nan], [2.0, np.nan, 1.0]])
    assert within_top(logits, np.array([0, 0]), 1).tolist() == [WRONG, WRONG]


def test_within_top_is_per_seed():
    logits = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])
    assert within_top(logits, np.array([0, 1]), 1).tolist() == [[RIGHT, WRONG], [WRONG, WRONG]]


def test_mean_class_weighs_all_classes_equally():
    correct, labels, groups = np.array([RIGHT, RIGHT, RIGHT, WRONG]), np.array([0, 0, 0, 7]), np.arange(4)
    assert mean_class(correct, labels, groups)["mean"] == 0.5
    assert mean_class(np.stack([correct, ~correct, correct, correct]), labels, groups)["mean"] == 0.5
    assert mean_class(np.stack([correct, np.ones(4, bool)]), labels, groups)["mean"] == 0.75


def test_macro_f1_equals_scikit_learns():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(6, size=50), rng.normal(size=(3, 50, 8))
    expected = [f1_score(labels, seed.argmax(axis=1), average="macro") for seed in logits]
    row = macro_f1(logits.argmax(axis=-1), labels, np.arange(50) // 5)
    assert row["mean"] == pytest.approx(np.mean(expected), abs=1e-12)
    assert row["low"] < row["mean"] < row["high"]
