import warnings

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from benchmarks.coverage import holds, simulate
from mocliplite.evaluation import intervals
from mocliplite.evaluation.metrics import macro_f1, mean_class, softmax, within_top

RIGHT, WRONG = True, False


# Probabilities


def test_softmax_is_the_share_of_each_power():
    assert softmax(np.log([[1.0, 2.0, 5.0]])) == pytest.approx(np.array([[0.125, 0.25, 0.625]]))


def test_softmax_of_huge_logits_overflows_nowhere():
    with warnings.catch_warnings(action="error"):
        out = softmax(np.array([[1e6, 1e6, -1e6]], dtype=np.float32))
    assert out.tolist() == [[0.5, 0.5, 0.0]]


# Right or wrong


def test_label_is_within_top_by_its_rank():
    logits, labels = np.array([[0.1, 0.7, 0.2]]).repeat(3, axis=0), np.array([0, 1, 2])
    assert within_top(logits, labels, 1).tolist() == [WRONG, RIGHT, WRONG]
    assert within_top(logits, labels, 2).tolist() == [WRONG, RIGHT, RIGHT]
    assert within_top(logits, labels, 3).tolist() == [RIGHT, RIGHT, RIGHT]


def test_a_tie_counts_against_the_label():
    logits = np.array([[1.0, 1.0, 0.0]])
    assert within_top(logits, np.array([0]), 1).tolist() == [WRONG]
    assert within_top(logits, np.array([1]), 1).tolist() == [WRONG]
    assert within_top(logits, np.array([1]), 2).tolist() == [RIGHT]


def test_logits_that_are_no_numbers_count_as_wrong():
    logits = np.array([[np.nan, np.nan, np.nan], [2.0, np.nan, 1.0]])
    assert within_top(logits, np.array([0, 0]), 1).tolist() == [WRONG, WRONG]


def test_each_seed_is_judged_on_its_own():
    logits = np.array([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]])
    assert within_top(logits, np.array([0, 1]), 1).tolist() == [[RIGHT, WRONG], [WRONG, WRONG]]


def test_mean_class_gives_rare_classes_the_weight_of_common_ones():
    correct, labels, groups = np.array([RIGHT, RIGHT, RIGHT, WRONG]), np.array([0, 0, 0, 7]), np.arange(4)
    assert mean_class(correct, labels, groups)["mean"] == 0.5
    assert mean_class(np.stack([correct, ~correct, correct, correct]), labels, groups)["mean"] == 0.5
    assert mean_class(np.stack([correct, np.ones(4, bool)]), labels, groups)["mean"] == 0.75


def test_macro_f1_is_scikit_learns():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(6, size=50), rng.normal(size=(3, 50, 8))
    wanted = [f1_score(labels, one.argmax(axis=1), average="macro") for one in logits]
    row = macro_f1(logits, labels, np.arange(50) // 5)
    assert row["mean"] == pytest.approx(np.mean(wanted), abs=1e-12)
    assert row["low"] < row["mean"] < row["high"]


def test_intervals_of_shares_by_class_draw_whole_groups():
    rng = np.random.default_rng(0)
    labels, correct = np.arange(60) % 3, rng.random(60) < 0.7
    row = mean_class(correct, labels, np.arange(60))
    thrice = mean_class(correct.repeat(3), labels.repeat(3), np.arange(60).repeat(3))
    assert thrice == pytest.approx(row)
    assert row["low"] < row["mean"] < row["high"]


# Intervals


def grouped(rng, groups):
    """Correctness of clips in groups of 1 to 7, each group with its own chance, 0.7 in the mean; and their groups."""
    correct, member = simulate(rng, 0.7, groups)
    return correct.astype(float), member


@pytest.mark.parametrize(("truth", "groups"), [(0.7, 20), (0.9, 40)])
def test_interval_covers_the_truth_as_often_as_it_says(truth, groups):
    rng = np.random.default_rng(groups)
    sets = [simulate(rng, truth, groups) for _ in range(500)]
    inside = np.mean([holds(intervals.summary(*one), truth) for one in sets])
    alone = np.mean([holds(intervals.summary(correct, np.arange(len(correct))), truth) for correct, _ in sets[:150]])
    assert 0.92 <= inside <= 0.98
    # Clips drawn one by one, as if those of a group told apart: too narrow.
    assert alone < 0.92


def test_ten_clips_that_share_a_source_tell_no_more_than_one():
    values = (np.arange(100) % 5 < 4).astype(float)
    low, high = intervals.interval(values, np.arange(100))
    assert intervals.interval(values.repeat(10), np.arange(100).repeat(10)) == pytest.approx((low, high))


def test_interval_without_doubt_is_a_point():
    assert intervals.interval(np.ones(6), np.array(list("aaabbc"))) == (1.0, 1.0)


def test_interval_does_not_depend_on_the_order_of_clips():
    values, groups = grouped(np.random.default_rng(1), 20)
    order = np.random.default_rng(2).permutation(len(values))
    assert intervals.interval(values[order], groups[order]) == pytest.approx(
        intervals.interval(values, groups), abs=1e-12
    )


def test_interval_of_single_clips_is_the_normal_one():
    values = np.arange(400) % 5 < 4
    low, high = intervals.interval(values.astype(float), np.arange(400))
    assert (low, high) == pytest.approx((0.8 - 1.96 * 0.02, 0.8 + 1.96 * 0.02), abs=0.004)


def test_summary_of_one_outcome_has_no_deviation_over_seeds():
    row = intervals.summary(np.array([RIGHT, RIGHT, RIGHT, WRONG]), np.arange(4))
    assert row.keys() == {"mean", "low", "high"}
    assert row["mean"] == 0.75


def test_deviation_over_seeds_is_the_sample_one():
    correct = np.array([[RIGHT, RIGHT, RIGHT, RIGHT], [RIGHT, RIGHT, WRONG, WRONG], [RIGHT, RIGHT, RIGHT, WRONG]])
    row = intervals.summary(correct, np.arange(4))
    assert row.keys() == {"mean", "low", "high", "std"}
    # Accuracies 1, 0.5 and 0.75.
    assert (row["mean"], row["std"]) == (0.75, 0.25)


def test_one_seed_deviates_by_nothing():
    assert intervals.summary(np.array([[RIGHT, WRONG]]), np.arange(2))["std"] == 0.0


def test_seeds_do_not_narrow_the_interval():
    correct, groups = np.arange(40) % 4 > 0, np.arange(40)
    alone, repeated = intervals.summary(correct, groups), intervals.summary(np.stack([correct] * 9), groups)
    assert (repeated["low"], repeated["high"]) == (alone["low"], alone["high"])


# Comparisons


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 1), (5, 0), (3, 9), (9, 3), (6, 6), (700, 800)])
def test_mcnemar_is_the_exact_binomial_test_of_the_clips_that_differ(only_first, only_second):
    both = [RIGHT] * 4 + [WRONG] * 3
    first = np.array(both + [RIGHT] * only_first + [WRONG] * only_second)
    second = np.array(both + [WRONG] * only_first + [RIGHT] * only_second)
    wanted = binomtest(only_first, only_first + only_second, 0.5).pvalue
    assert intervals.mcnemar(first, second) == pytest.approx(wanted, rel=1e-9)


def test_mcnemar_of_equal_outcomes_is_one():
    assert intervals.mcnemar(np.array([RIGHT, WRONG]), np.array([RIGHT, WRONG])) == 1.0


def test_difference_is_paired_over_seeds_and_clips():
    first = np.array([[RIGHT] * 8 + [WRONG] * 2, [RIGHT] * 10])
    second = np.array([[RIGHT] * 4 + [WRONG] * 6, [RIGHT] * 4 + [WRONG] * 6])
    row = intervals.difference(first, second, np.arange(10))
    assert row.keys() == {"mean", "low", "high", "p"}
    assert row["mean"] == pytest.approx(0.5)
    assert 0 < row["low"] < 0.5 < row["high"] < 1
    # Clips 4 to 7 are right in both seeds of the first alone; 8 and 9 in half of its seeds, which is no majority.
    assert row["p"] == pytest.approx(binomtest(4, 4, 0.5).pvalue)


def test_difference_to_what_has_no_seeds_is_clip_by_clip():
    first, alone = np.array([[RIGHT] * 9 + [WRONG]]), np.array([WRONG] * 5 + [RIGHT] * 5)
    assert intervals.difference(first, alone, np.arange(10)) == intervals.difference(first, alone[None], np.arange(10))
    assert intervals.difference(first, alone, np.arange(10))["p"] == pytest.approx(binomtest(1, 6).pvalue)


def test_difference_of_a_thing_and_itself_is_nothing():
    same = np.array([[RIGHT, WRONG, RIGHT]])
    assert intervals.difference(same, same, np.arange(3)) == {"mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


@pytest.mark.parametrize("wrong", [0, 1, 2, 8, 10])
def test_near_the_ends_each_group_counts_as_one_draw(wrong):
    groups = np.repeat(np.arange(10), 3)
    correct = np.repeat(np.arange(10) >= wrong, 3)
    expected = binomtest(10 - wrong, 10).proportion_ci(0.95, "wilson")
    row = intervals.summary(correct, groups)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), abs=1e-6)
