"""Confidence intervals over groups of clips, and paired tests.

Clips that share a source form a group; they are not independent, so every interval allows for the correlation within
groups. A 95 % interval holds the true values that the observed value does not reject at the 5 % level. The test is
Wilson's score test (1927) for an accuracy and Tango's (1998) for a paired difference, with the variance multiplied by
Kish's design effect, 1 + rho * (sum of squared group weights / sum of squared clip weights - 1), as in Saha, Miller and
Wang (2016). The intra-class correlation rho is not known, and few errors say little about it, so the p-value is
averaged over the posterior distribution of rho (Meng 1994): the prior density 2 * (1 - rho) times the
Dirichlet-multinomial likelihood of the outcomes by group. With one clip per group, the intervals are Wilson's and
Tango's. The computation is deterministic; no resampling is involved.
"""

from collections.abc import Callable

import numpy as np

NODES = 32  # values of rho; with more, an interval changes by less than 0.001
BISECTIONS = 32  # leave an error below 1e-9

Effects = tuple[np.ndarray, np.ndarray]  # design effects [NODES] and their posterior weights [NODES], sum 1


def mean_over_seeds(correct: np.ndarray) -> np.ndarray:
    """Share of seeds that classify each clip correctly, float64 [N]."""
    return correct.mean(axis=0) if correct.ndim == 2 else correct.astype(float)


def summary(correct: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Return mean and 95 % interval of correctness [N]; for [S, N] also `std`, the standard deviation over seeds.

    Seeds that agree on a clip count as one answer; where they disagree, the interval is narrower. From a single group
    nothing is known about other groups, so the interval is then 0 to 1.
    """
    shares = mean_over_seeds(correct)
    row = weighted_share(float(shares.mean()), shares, np.full(len(shares), 1 / len(shares)), groups)
    if correct.ndim == 2:
        row["std"] = float(correct.mean(axis=1).std(ddof=1)) if len(correct) > 1 else 0.0
    return row


def weighted_share(mean: float, shares: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Return a mean between 0 and 1 with the 95 % interval of a weighted sum of shares that has this value.

    shares: share of correct seeds for each clip, float64 [N]; weights: float64 [N], sum 1.
    """
    answers, effects = _design(np.stack([shares, 1 - shares], axis=1), weights, groups)
    factor = float((weights**2).sum()) / answers
    low, high = _accepted(mean, lambda truth: truth * (1 - truth) * factor, effects, lowest=0.0)
    return {"mean": mean, "low": low, "high": high}


def difference(first: np.ndarray, second: np.ndarray, groups: np.ndarray) -> dict[str, float]:
    """Return the paired difference of two correctness arrays, [N] or [S, N] each: mean, 95 % interval over groups, p.

    Two methods that agree on all clips may disagree on others, so the interval is never empty. From a single group it
    is -1 to 1. p is the p-value of McNemar's test, which treats clips as independent; a clip counts as correct where
    more than half of the seeds are correct.
    """
    one, other = mean_over_seeds(first), mean_over_seeds(second)
    gains, losses = np.maximum(one - other, 0), np.maximum(other - one, 0)
    gain, loss, mean = float(gains.mean()), float(losses.mean()), float((one - other).mean())
    answers, effects = _design(np.stack([gains, losses, 1 - gains - losses], axis=1), np.ones(len(one)), groups)

    def variance(truth: float) -> float:
        # Tango's test uses the most likely share of losses given the true difference.
        slope = (2 - gain + loss) * truth - gain - loss
        root = max(slope**2 + 8 * loss * truth * (1 - truth), 0.0) ** 0.5
        return ((root - slope) / 2 + truth * (1 - truth)) / (answers * len(one))

    low, high = _accepted(mean, variance, effects, lowest=-1.0)
    return {"mean": mean, "low": low, "high": high, "p": mcnemar(one > 0.5, other > 0.5)}


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Return the exact two-sided p-value of McNemar's test on paired correctness, bool [N] each."""
    from scipy.special import bdtr  # scipy.stats would take 0.3 s to import

    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def _design(outcomes: np.ndarray, weights: np.ndarray, groups: np.ndarray) -> tuple[float, Effects | None]:
    """Return the number of independent answers that a clip is worth, and the design effects, None for a single group.

    outcomes: share of seeds with each of K outcomes for each clip, float64 [N, K], rows sum to 1; weights: float64 [N].
    """
    clips, kinds = outcomes.shape
    likely = (outcomes.sum(axis=0) + 2) / (clips + 2 * kinds)  # never 0 or 1, as Agresti and Coull (1998) do
    # Seeds that disagree on a clip vary around its mean, which leaves less variance between clips.
    within = float((1 - (outcomes**2).sum(axis=1)).sum()) / (clips + 2 * kinds)
    answers = 1 / (1 - within / float(1 - (likely**2).sum()))
    _, group = np.unique(groups, return_inverse=True)
    if group.max() == 0:
        return answers, None
    counts = answers * np.stack([np.bincount(group, column) for column in outcomes.T], axis=1)
    # Values of rho are evenly spaced in its square root: with many clips, the posterior is narrow near 0.
    root = (np.arange(NODES) + 0.5) / NODES
    log_posterior = _log_likelihood(counts, likely, root**2) + np.log((1 - root**2) * root)
    posterior = np.exp(log_posterior - log_posterior.max())
    kish = answers * (np.bincount(group, weights) ** 2).sum() / (weights**2).sum()
    return answers, (1 + root**2 * (kish - 1), posterior / posterior.sum())


def _log_likelihood(counts: np.ndarray, likely: np.ndarray, rho: np.ndarray) -> np.ndarray:
    """Dirichlet-multinomial log likelihood [R] of counts [G, K] with outcome probabilities [K] and correlation [R]."""
    from scipy.special import gammaln  # importing scipy.special takes 0.2 s, only where intervals are computed

    total = (1 / rho - 1)[:, None]
    alpha = total * likely
    by_outcome = (gammaln(counts[:, None] + alpha) - gammaln(alpha)).sum(axis=(0, 2))
    return by_outcome - (gammaln(counts.sum(axis=1) + total) - gammaln(total)).sum(axis=1)


def _accepted(
    mean: float, variance: Callable[[float], float], effects: Effects | None, lowest: float
) -> tuple[float, float]:
    """Return the interval of true values, between `lowest` and 1, that the observed mean does not reject at 5 %.

    variance: the variance of the mean of independent clips, as a function of the true value.
    """
    from scipy.special import ndtr

    if effects is None:
        return lowest, 1.0
    deviations, posterior = np.sqrt(effects[0]), effects[1]

    def excess(truth: float) -> float:
        errors = max(variance(truth), 1e-300) ** 0.5 * deviations
        return float(2 * ndtr(-abs(mean - truth) / errors) @ posterior) - 0.05

    return _crossing(excess, lowest, mean), _crossing(excess, 1.0, mean)


def _crossing(excess: Callable[[float], float], outside: float, inside: float) -> float:
    """Return where a function crosses 0 between a point where it is negative and one where it is positive.

    By bisection: scipy.optimize takes longer to import than this takes for all intervals of an evaluation.
    """
    for _ in range(BISECTIONS):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if excess(middle) < 0 else (outside, middle)
    return outside
