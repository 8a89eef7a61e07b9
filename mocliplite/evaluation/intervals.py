"""Bootstrap intervals over groups, and paired tests."""

from collections.abc import Callable
from functools import lru_cache
from math import comb

import numpy as np

DRAWS = 2000  # bootstrap resamples


def mean_over_seeds(correct: np.ndarray) -> np.ndarray:
    """Share of seeds that are right about each clip, float64 [N]."""
    return correct.mean(axis=0) if correct.ndim == 2 else correct.astype(float)


def bootstrapped(counts: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """A statistic of sums over groups: counts [..., G, C] go in as [..., 1, C], or [..., DRAWS, C] for its interval."""
    times = _times_drawn(counts.shape[-2])
    low, high = np.quantile(statistic(times @ counts), _levels(counts.shape[-2]))
    mean = statistic(counts.sum(axis=-2, keepdims=True))
    return {"mean": float(mean.mean()), "low": float(low), "high": float(high)}


@lru_cache(maxsize=4)
def _times_drawn(groups: int) -> np.ndarray:
    """How often each group is in each resample, float64 [DRAWS, G]."""
    chances = np.full(groups, 1 / groups)
    return np.random.default_rng(0).multinomial(groups, chances, size=DRAWS).astype(np.float64)


def _levels(groups: int) -> tuple[float, float]:
    """The quantiles to read an interval of 95 % at.

    With few groups the plain 2.5 and 97.5 % lie too near: a resample spreads by (G - 1) / G too little, and Student's t
    with G - 1 degrees has longer tails than the normal (Hesterberg 2015, "expanded percentile interval").
    """
    from scipy.special import ndtr, stdtrit  # 0.2 s, which only those who ask for intervals should pay

    if groups < 2:
        return 0.0, 1.0
    level = float(ndtr((groups / (groups - 1)) ** 0.5 * stdtrit(groups - 1, 0.025)))
    return level, 1 - level


def interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of values [N], drawing whole groups [N]."""
    _, member = np.unique(groups, return_inverse=True)
    sums = np.stack([np.bincount(member, weights=values), np.bincount(member)], axis=1)
    drawn = _times_drawn(len(sums)) @ sums
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], _levels(len(sums)))
    return float(low), float(high)


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share seen in `count` independent draws; sound near 0 and 1 too."""
    z2 = 1.959964**2
    middle = share + z2 / (2 * count)
    half = (z2 * share * (1 - share) / count + z2**2 / (4 * count**2)) ** 0.5
    return float((middle - half) / (1 + z2 / count)), float((middle + half) / (1 + z2 / count))


def summary(correct: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Mean and 95 % interval of correctness [N], or [S, N] with the deviation over seeds as well.

    Where fewer than 3 groups hold an error, or a right answer, drawing groups again shows too little spread, none at
    all at 100 %: the interval is then Wilson's, each group counted as one draw.
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
    """Two-sided exact p of McNemar's test on paired correctness, bool [N] each."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    trials = only_first + only_second
    tail = sum(comb(trials, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**trials)


def difference(first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Paired difference of two correctness arrays, [N] or [S, N] each: mean and interval over groups.

    p is McNemar's, on whether most seeds are right about a clip.
    """
    one, other = mean_over_seeds(first), mean_over_seeds(second)
    values = one - other
    low, high = interval(values, groups)
    p = mcnemar(one > 0.5, other > 0.5)
    return {"mean": float(values.mean()), "low": low, "high": high, "p": p}
