import subprocess
import sys
import warnings

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, norm
from sklearn.metrics import f1_score

from benchmarks.coverage import bootstrap, bootstrap_or_wilson, holds, simulate, simulate_pair
from mocliplite.evaluation import intervals, metrics

RIGHT, WRONG = True, False


def bounds(row):
    return row["low"], row["high"]


def width(row):
    return row["high"] - row["low"]


# One clip per group


@pytest.mark.parametrize("right", [0, 1, 5, 9, 10])
def test_with_one_clip_per_group_the_interval_is_wilsons(right):
    expected = binomtest(right, 10).proportion_ci(0.95, "wilson")
    row = intervals.summary(np.arange(10) < right, np.arange(10))
    # Not exactly: the level is that of z = 1.959964, to rounding.
    assert bounds(row) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_with_one_clip_per_group_the_difference_is_tangos():
    """Fagerland, Lydersen and Laake (2014), airway hyper-responsiveness: -0.517 to -0.026."""
    pairs = [(RIGHT, RIGHT)] + [(RIGHT, WRONG)] + [(WRONG, RIGHT)] * 7 + [(WRONG, WRONG)] * 12
    first, second = np.array(pairs).T
    assert bounds(intervals.difference(first, second, np.arange(21))) == pytest.approx((-0.517, -0.026), abs=5e-4)


@pytest.mark.parametrize(("gains", "losses", "same"), [(5, 2, 30), (0, 4, 20), (12, 9, 3)])
def test_bounds_of_a_difference_are_just_rejected_by_a_score_test(gains, losses, same):
    first = np.array([RIGHT] * gains + [WRONG] * losses + [RIGHT] * same)
    second = np.array([WRONG] * gains + [RIGHT] * losses + [RIGHT] * same)
    row, clips = intervals.difference(first, second, np.arange(len(first))), len(first)
    for bound in bounds(row):
        # The likeliest share of losses, found numerically.
        def loss_of(share, bound=bound):
            chances = np.array([share + bound, share, 1 - bound - 2 * share])
            return -(np.array([gains, losses, same]) * np.log(np.maximum(chances, 1e-300))).sum()

        share = minimize_scalar(
            loss_of, bounds=(max(0, -bound), (1 - bound) / 2), method="bounded", options={"xatol": 1e-10}
        ).x
        error = ((2 * share + bound - bound**2) / clips) ** 0.5
        assert abs(row["mean"] - bound) / error == pytest.approx(norm.ppf(0.975), abs=1e-3)


# Groups


def test_three_errors_in_150_clips_of_five_groups_leave_a_useful_interval():
    groups = np.arange(150) // 30
    together, apart = np.arange(150) > 2, ~np.isin(np.arange(150), [0, 50, 100])
    old = bootstrap_or_wilson(together, groups)
    assert old["low"] == pytest.approx(0.543, abs=5e-4)
    assert bounds(intervals.summary(together, groups)) == pytest.approx((0.762, 0.999), abs=1e-3)
    assert bounds(intervals.summary(apart, groups)) == pytest.approx((0.893, 0.997), abs=1e-3)


def test_more_groups_narrow_the_interval():
    correct = np.arange(150) > 2
    widths = [width(intervals.summary(correct, np.arange(150) * groups // 150)) for groups in (2, 5, 31, 150)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] < 0.5


def test_clips_that_are_right_or_wrong_with_their_group_count_about_once():
    groups = np.arange(100)
    correct = groups % 5 > 0
    alone, repeated = intervals.summary(correct, groups), intervals.summary(correct.repeat(10), groups.repeat(10))
    assert bounds(repeated) == pytest.approx(bounds(alone), abs=0.005)


def test_independent_clips_of_large_groups_count_nearly_once_each():
    rng, groups = np.random.default_rng(0), np.arange(2000) // 40
    sets = [rng.random(2000) < 0.8 for _ in range(20)]
    grouped = np.mean([width(intervals.summary(correct, groups)) for correct in sets])
    alone = np.mean([width(intervals.summary(correct, np.arange(2000))) for correct in sets])
    assert alone <= grouped < 1.2 * alone


@pytest.mark.parametrize("correct", [np.ones(40, bool), np.arange(40) > 0, np.arange(40) % 3 > 0])
def test_errors_and_right_answers_are_treated_alike(correct):
    groups = np.arange(40) // 4
    low, high = bounds(intervals.summary(correct, groups))
    assert bounds(intervals.summary(~correct, groups)) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_all_right_is_not_certainty():
    few, many = (intervals.summary(np.ones(4 * n, bool), np.arange(4 * n) // 4) for n in (10, 100))
    assert few["mean"] == few["high"] == many["high"] == 1
    assert 0.75 < few["low"] < 0.9 < many["low"] < 1


def test_one_group_says_nothing_about_others():
    correct, groups = np.array([RIGHT, RIGHT, WRONG]), np.zeros(3)
    assert bounds(intervals.summary(correct, groups)) == (0, 1)
    assert bounds(intervals.difference(correct, ~correct, groups)) == (-1, 1)


@pytest.mark.parametrize("correct", [np.array([RIGHT]), np.array([RIGHT, WRONG]), np.array([WRONG, WRONG])])
def test_tiny_sets_have_an_interval_without_a_warning(correct):
    with warnings.catch_warnings(action="error"):
        low, high = bounds(intervals.summary(correct, np.arange(len(correct))))
    assert 0 <= low <= correct.mean() <= high <= 1


def test_interval_does_not_depend_on_the_order_of_clips_or_the_names_of_groups():
    correct, groups = simulate(np.random.default_rng(1), 0.7, 20)
    order = np.random.default_rng(2).permutation(len(correct))
    names = np.array([f"g{group}" for group in groups])
    expected = intervals.summary(correct, groups)
    assert intervals.summary(correct[order], names[order]) == pytest.approx(expected, abs=1e-9)


# Coverage


@pytest.mark.parametrize(("truth", "groups"), [(0.7, 20), (0.9, 10), (0.97, 20), (0.97, 40)])
def test_interval_covers_the_truth_as_often_as_it_says(truth, groups):
    rng = np.random.default_rng(groups)
    sets = [simulate(rng, truth, groups) for _ in range(300)]
    covered = np.mean([holds(intervals.summary(*one), truth) for one in sets])
    alone = np.mean([holds(intervals.summary(correct, np.arange(len(correct))), truth) for correct, _ in sets])
    # 300 sets have a standard error of 0.012; the seeds are fixed.
    assert 0.92 <= covered <= 0.985
    assert alone < 0.92


@pytest.mark.parametrize(("truth", "groups"), [(0.9, 10), (0.97, 20), (0.97, 40)])
def test_bootstrap_is_too_wide_where_few_groups_err(truth, groups):
    rng = np.random.default_rng(groups)
    covered = np.mean([holds(bootstrap_or_wilson(*simulate(rng, truth, groups)), truth) for _ in range(300)])
    assert covered > 0.985


@pytest.mark.parametrize(("gains", "losses", "groups"), [(0.3, 0.3, 20), (0.3, 0.1, 40), (0.1, 0.1, 40)])
def test_interval_of_a_difference_covers_the_truth_as_often_as_it_says(gains, losses, groups):
    rng = np.random.default_rng(groups)
    rows = [intervals.difference(*simulate_pair(rng, gains, losses, groups)) for _ in range(300)]
    assert 0.92 <= np.mean([holds(row, gains - losses) for row in rows]) <= 0.985


def test_difference_of_methods_that_rarely_disagree_is_covered_where_the_bootstrap_is_not():
    rng = np.random.default_rng(0)
    sets = [simulate_pair(rng, 0.05, 0.02, 10) for _ in range(300)]
    ours = np.mean([holds(intervals.difference(*one), 0.03) for one in sets])
    drawn = np.mean([holds(bootstrap(first.astype(float) - second, groups), 0.03) for first, second, groups in sets])
    assert ours >= 0.93
    assert drawn < 0.85


# Seeds


def test_seeds_that_agree_do_not_narrow_the_interval():
    correct, groups = np.arange(40) % 4 > 0, np.arange(40) // 2
    alone, repeated = intervals.summary(correct, groups), intervals.summary(np.stack([correct] * 9), groups)
    assert bounds(repeated) == bounds(alone)


def test_seeds_that_disagree_narrow_the_interval():
    rng = np.random.default_rng(0)
    seeds, groups = rng.random((5, 400)) < 0.7, np.arange(400)
    row = intervals.summary(seeds, groups)
    # Five independent answers per clip.
    assert width(row) == pytest.approx(2 * 1.96 * (0.7 * 0.3 / 2000) ** 0.5, rel=0.1)


def test_summary_of_one_outcome_has_no_deviation_over_seeds():
    row = intervals.summary(np.array([RIGHT, RIGHT, RIGHT, WRONG]), np.arange(4))
    assert row.keys() == {"mean", "low", "high"}
    assert row["mean"] == 0.75


def test_deviation_over_seeds_is_the_sample_one():
    correct = np.array([[RIGHT, RIGHT, RIGHT, RIGHT], [RIGHT, RIGHT, WRONG, WRONG], [RIGHT, RIGHT, RIGHT, WRONG]])
    row = intervals.summary(correct, np.arange(4))
    # Accuracies 1, 0.5 and 0.75.
    assert (row["mean"], row["std"]) == (0.75, 0.25)
    assert intervals.summary(np.array([[RIGHT, WRONG]]), np.arange(2))["std"] == 0.0


# Comparisons


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 1), (5, 0), (3, 9), (6, 6)])
def test_p_of_a_difference_is_the_exact_binomial_test_of_the_clips_that_differ(only_first, only_second):
    first = np.array([RIGHT] * only_first + [WRONG] * only_second + [RIGHT] * 4)
    second = np.array([WRONG] * only_first + [RIGHT] * only_second + [RIGHT] * 4)
    tails = binomtest(min(only_first, only_second), only_first + only_second, alternative="less").pvalue
    row = intervals.difference(first, second, np.arange(len(first)))
    assert row["p"] == pytest.approx(min(1, 2 * tails), rel=1e-9)


def test_difference_is_mirrored_when_the_methods_swap():
    first, second, groups = simulate_pair(np.random.default_rng(3), 0.2, 0.1, 15)
    there, back = intervals.difference(first, second, groups), intervals.difference(second, first, groups)
    assert (back["mean"], back["p"]) == (-there["mean"], there["p"])
    assert bounds(back) == pytest.approx((-there["high"], -there["low"]), abs=1e-9)


def test_difference_to_a_method_that_is_always_wrong_is_nearly_the_accuracy():
    correct, groups = simulate(np.random.default_rng(0), 0.7, 60)
    row, accuracy = intervals.difference(correct, np.zeros_like(correct), groups), intervals.summary(correct, groups)
    assert row["mean"] == accuracy["mean"]
    assert bounds(row) == pytest.approx(bounds(accuracy), abs=0.03)


def test_methods_that_agree_on_all_clips_may_differ_on_others():
    same, groups = np.arange(40) % 3 > 0, np.arange(40) // 4
    row = intervals.difference(same, same, groups)
    assert (row["mean"], row["p"]) == (0, 1)
    assert -0.3 < row["low"] < 0 < row["high"] < 0.3


def test_difference_is_paired_over_seeds_and_clips():
    first = np.array([[RIGHT] * 8 + [WRONG] * 2, [RIGHT] * 10])
    second = np.array([[RIGHT] * 4 + [WRONG] * 6] * 2)
    row = intervals.difference(first, second, np.arange(10))
    assert row.keys() == {"mean", "low", "high", "p"}
    assert row["mean"] == pytest.approx(0.5)
    assert 0 < row["low"] < 0.5 < row["high"] < 1
    # Clips 4 to 7 are right in both seeds of the first alone; 8 and 9 in half of its seeds, which is no majority.
    assert row["p"] == pytest.approx(binomtest(4, 4, 0.5).pvalue)


# Means over classes


def test_mean_class_of_classes_of_equal_size_is_the_accuracy():
    correct, labels, groups = np.arange(60) % 7 > 0, np.arange(60) % 5, np.arange(60) // 4
    assert metrics.mean_class(correct, labels, groups) == pytest.approx(intervals.summary(correct, groups), abs=1e-9)


def test_mean_class_of_a_small_class_is_less_certain():
    labels, groups = np.array([0] * 90 + [1] * 10), np.arange(100)
    correct = np.arange(100) % 5 > 0
    row = metrics.mean_class(correct, labels, groups)
    assert row["mean"] == pytest.approx((72 / 90 + 8 / 10) / 2)
    # The weights of the clips are worth 1 / (0.25 / 90 + 0.25 / 10) = 36 equal ones.
    assert width(row) == pytest.approx(2 * 1.96 * (0.8 * 0.2 / 36) ** 0.5, rel=0.1)


def test_macro_f1_is_scikit_learns():
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(6, size=50), rng.normal(size=(3, 50, 8))
    wanted = [f1_score(labels, one.argmax(axis=1), average="macro") for one in logits]
    row = metrics.macro_f1(logits.argmax(axis=-1), labels, np.arange(50) // 5)
    assert row["mean"] == pytest.approx(np.mean(wanted), abs=1e-12)
    assert row["low"] < row["mean"] < row["high"]


@pytest.mark.parametrize("shares", [(0.25, 0.25, 0.25, 0.25), (0.55, 0.3, 0.1, 0.05)])
def test_interval_of_macro_f1_is_about_that_of_a_bootstrap_where_clips_are_many(shares):
    rng = np.random.default_rng(0)
    labels, logits = rng.choice(4, size=1000, p=shares), rng.normal(size=(1000, 4))
    logits[np.arange(1000), labels] += 1.5
    guess = logits.argmax(axis=1)
    drawn = [f1_score(labels[rows], guess[rows], average="macro") for rows in rng.integers(1000, size=(300, 1000))]
    row = metrics.macro_f1(guess, labels, np.arange(1000))
    # Wider where a class is rare. The deviation over 300 resamples is known to 4 %.
    assert 0.9 < width(row) / (2 * 1.96 * np.std(drawn)) < 1.35


def test_perfect_answers_have_the_same_interval_in_all_measures():
    labels, groups = np.arange(40) % 4, np.arange(40) // 4
    expected = intervals.summary(np.ones(40, bool), groups)
    assert metrics.mean_class(np.ones(40, bool), labels, groups) == pytest.approx(expected, abs=1e-9)
    assert metrics.macro_f1(labels, labels, groups) == pytest.approx(expected, abs=1e-9)


def test_importing_does_not_load_scipy():
    code = "import sys, mocliplite.evaluation.metrics; print('scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
