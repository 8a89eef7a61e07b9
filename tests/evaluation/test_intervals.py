from fractions import Fraction
from math import comb

import numpy as np
import pytest
from scipy.stats import binomtest

from benchmarks.coverage import holds, simulate
from mocliplite.evaluation import intervals

RIGHT, WRONG = True, False


@pytest.mark.parametrize(("truth", "groups"), [(0.7, 20), (0.9, 40)])
def test_interval_contains_the_true_accuracy_in_about_95_of_100_data_sets(truth, groups):
    rng = np.random.default_rng(groups)
    sets = [simulate(rng, truth, groups) for _ in range(500)]
    coverage = np.mean([holds(intervals.summary(*one), truth) for one in sets])
    by_clip = [holds(intervals.summary(correct, np.arange(len(correct))), truth) for correct, _ in sets[:150]]
    assert 0.92 <= coverage <= 0.98
    # Resampling single clips treats the clips of a group as independent: the interval is too narrow.
    assert np.mean(by_clip) < 0.92


def test_copies_of_a_clip_in_its_group_do_not_narrow_the_interval():
    values = (np.arange(100) % 5 < 4).astype(float)
    low, high = intervals.interval(values, np.arange(100))
    assert intervals.interval(values.repeat(10), np.arange(100).repeat(10)) == pytest.approx((low, high))


def test_interval_of_equal_values_has_no_width():
    assert intervals.interval(np.ones(6), np.array(list("aaabbc"))) == (1.0, 1.0)


def test_interval_does_not_depend_on_the_order_of_clips():
    correct, groups = simulate(np.random.default_rng(1), 0.7, 20)
    values = correct.astype(float)
    order = np.random.default_rng(2).permutation(len(values))
    assert intervals.interval(values[order], groups[order]) == pytest.approx(
        intervals.interval(values, groups), abs=1e-12
    )


def test_interval_of_many_single_clips_is_the_normal_interval():
    values = np.arange(400) % 5 < 4
    low, high = intervals.interval(values.astype(float), np.arange(400))
    assert (low, high) == pytest.approx((0.8 - 1.96 * 0.02, 0.8 + 1.96 * 0.02), abs=0.004)


def test_summary_without_seeds_has_no_standard_deviation():
    row = intervals.summary(np.array([RIGHT, RIGHT, RIGHT, WRONG]), np.arange(4))
    assert row.keys() == {"mean", "low", "high"}
    assert row["mean"] == 0.75


def test_std_over_seeds_is_the_sample_standard_deviation():
    correct = np.array([[RIGHT, RIGHT, RIGHT, RIGHT], [RIGHT, RIGHT, WRONG, WRONG], [RIGHT, RIGHT, RIGHT, WRONG]])
    row = intervals.summary(correct, np.arange(4))
    assert row.keys() == {"mean", "low", "high", "std"}
    # Accuracies 1, 0.5 and 0.75.
    assert (row["mean"], row["std"]) == (0.75, 0.25)


def test_std_of_one_seed_is_0():
    assert intervals.summary(np.array([[RIGHT, WRONG]]), np.arange(2))["std"] == 0.0


def test_seeds_do_not_narrow_the_interval():
    correct, groups = np.arange(40) % 4 > 0, np.arange(40)
    one_seed, nine_seeds = intervals.summary(correct, groups), intervals.summary(np.stack([correct] * 9), groups)
    assert (nine_seeds["low"], nine_seeds["high"]) == (one_seed["low"], one_seed["high"])


@pytest.mark.parametrize(
    ("only_first", "only_second"), [(0, 1), (1, 0), (5, 0), (3, 9), (9, 3), (6, 6), (6, 7), (700, 800)]
)
def test_mcnemar_is_twice_the_exact_binomial_tail_of_the_discordant_clips(only_first, only_second):
    concordant = [RIGHT] * 4 + [WRONG] * 3
    first = np.array(concordant + [RIGHT] * only_first + [WRONG] * only_second)
    second = np.array(concordant + [WRONG] * only_first + [RIGHT] * only_second)
    trials = only_first + only_second
    tail = Fraction(sum(comb(trials, count) for count in range(min(only_first, only_second) + 1)), 2**trials)
    assert intervals.mcnemar(first, second) == pytest.approx(float(min(1, 2 * tail)), rel=1e-9)


def test_mcnemar_of_equal_outcomes_is_1():
    assert intervals.mcnemar(np.array([RIGHT, WRONG]), np.array([RIGHT, WRONG])) == 1.0


def test_difference_is_paired_over_seeds_and_clips():
    first = np.array([[RIGHT] * 8 + [WRONG] * 2, [RIGHT] * 10])
    second = np.array([[RIGHT] * 4 + [WRONG] * 6, [RIGHT] * 4 + [WRONG] * 6])
    row = intervals.difference(first, second, np.arange(10))
    assert row.keys() == {"mean", "low", "high", "p"}
    assert row["mean"] == pytest.approx(0.5)
    assert 0 < row["low"] < 0.5 < row["high"] < 1
    # Of clips 4 to 7, both seeds of only the first are correct; of 8 and 9, half of its seeds, which is not a majority.
    assert row["p"] == pytest.approx(binomtest(4, 4, 0.5).pvalue)


def test_difference_to_a_method_without_seeds_equals_that_to_one_seed():
    first, second = np.array([[RIGHT] * 9 + [WRONG]]), np.array([WRONG] * 5 + [RIGHT] * 5)
    row = intervals.difference(first, second, np.arange(10))
    assert row == intervals.difference(first, second[None], np.arange(10))
    assert row["p"] == pytest.approx(binomtest(1, 6).pvalue)


def test_difference_of_equal_outcomes_is_0():
    same = np.array([[RIGHT, WRONG, RIGHT]])
    assert intervals.difference(same, same, np.arange(3)) == {"mean": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


@pytest.mark.parametrize("wrong", [0, 1, 2, 8, 10])
def test_interval_is_wilsons_by_groups_where_fewer_than_3_groups_have_an_error_or_a_correct_answer(wrong):
    groups = np.repeat(np.arange(10), 3)
    correct = np.repeat(np.arange(10) >= wrong, 3)
    expected = binomtest(10 - wrong, 10).proportion_ci(0.95, "wilson")
    row = intervals.summary(correct, groups)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), abs=1e-6)
