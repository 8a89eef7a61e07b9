"""Bootstrap intervals over groups of clips, and paired tests."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

DRAWS = 2000  # bootstrap resamples


def mean_over_seeds(correct: np.ndarray) -> np.ndarray:
    """Share of seeds that classify each clip correctly, float64 [N]."""
    return correct.mean(axis=0) if correct.ndim == 2 else correct.astype(float)


def bootstrapped(counts: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Return a statistic of sums over groups, and its 95 % bootstrap interval.

    counts: [..., G, C]. The statistic gets the sums of all groups, [..., 1, C], and those of each resample,
    [..., DRAWS, C].
    """
    times = _times_drawn(counts.shape[-2])
    low, high = np.quantile(statistic(times @ counts), _levels(counts.shape[-2]))
    mean = statistic(counts.sum(axis=-2, keepdims=True))
    return {"mean": float(mean.mean()), "low": float(low), "high": float(high)}


@lru_cache(maxsize=4)
def _times_drawn(groups: int) -> np.ndarray:
    """Number of times that each group occurs in each resample, float64 [DRAWS, G]."""
    chances = np.full(groups, 1 / groups)
    return np.random.default_rng(0).multinomial(groups, chances, size=DRAWS).astype(np.float64)


def _levels(groups: int) -> tuple[float, float]:
    """The two quantiles of the resamples that bound a 95 % interval.

    With few groups, the plain 2.5 % and 97.5 % quantiles give an interval that is too narrow: the variance over
    resamples is too small by a factor of (G - 1) / G, and Student's t distribution with G - 1 degrees of freedom has
    longer tails than the normal distribution (Hesterberg 2015, "expanded percentile interval").
    """
    from scipy.special import ndtr, stdtrit  # importing scipy.special takes 0.2 s, only where intervals are computed

    if groups < 2:
        return 0.0, 1.0
    level = float(ndtr((groups / (groups - 1)) ** 0.5 * stdtrit(groups - 1, 0.025)))
    return level, 1 - level


def interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the mean of values [N]; whole groups [N] are resampled."""
    _, member = np.unique(groups, return_inverse=True)
    sums = np.stack([np.bincount(member, weights=values), np.bincount(member)], axis=1)
    drawn = _times_drawn(len(sums)) @ sums
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], _levels(len(sums)))
    return float(low), float(high)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a proportion observed in `count` independent trials.

    It also holds near 0 and 1.
    """
    z2 = 1.959964**2
    middle = share + z2 / (2 * count)
    half = (z2 * share * (1 - share) / count + z2**2 / (4 * count**2)) ** 0.5
    return float((middle - half) / (1 + z2 / count)), float((middle + half) / (1 + z2 / count))


def summary(correct: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Return mean and 95 % interval of correctness [N]; for [S, N] also `std`, the standard deviation over seeds.

    Where fewer than 3 groups have an error, or fewer than 3 a correct answer, the bootstrap underestimates the spread;
    at 100 % accuracy it gives no spread at all. The interval is then Wilson's, with each group as one trial.
    """
    values = mean_over_seeds(correct)
    low, high = interval(values, groups) if _varied(values, groups) else wilson(values.mean(), len(np.unique(groups)))
    row = {"mean": float(values.mean()), "low": low, "high": high}
    if correct.ndim == 2:
        row["std"] = float(correct.mean(axis=1).std(ddof=1)) if len(correct) > 1 else 0.0
    return row


def _varied(values: np.ndarray, groups: np.ndarray) -> bool:
    wrong, right = (len(np.unique(groups[chosen])) for chosen in (values < 1, values > 0))
    return min(wrong, right) >= 3


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the exact two-sided p-value of McNemar's test on paired correctness, bool [N] each."""
    from scipy.stats import binomtest  # importing scipy.stats takes 0.5 s, only where a test is asked for

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    trials = only_first + only_second
    return float(binomtest(only_first, trials).pvalue) if trials else 1.0


def difference(first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Return the paired difference of two correctness arrays, [N] or [S, N] each: mean, 95 % interval over groups, p.

    p is the p-value of McNemar's test; a clip counts as correct where more than half of the seeds are correct.
    """
    one, other = mean_over_seeds(first), mean_over_seeds(second)
    values = one - other
    low, high = interval(values, groups)
    p = mcnemar(one > 0.5, other > 0.5)
    return {"mean": float(values.mean()), "low": low, "high": high, "p": p}
