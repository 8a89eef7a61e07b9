"""Whether 95 % intervals hold the truth in 95 of 100 cases, and how wide they are, on simulated data sets.

`python -m benchmarks.coverage`: the clips of a group share a chance of being answered rightly, which differs between
groups by a beta distribution: the lower its concentration, the more alike the clips of a group. Our interval stands
beside that of a percentile bootstrap over groups, and ours with each clip as a group of its own. A star marks a
coverage outside 93 to 97 %. The last line is JSON.
"""

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import product

import numpy as np
from scipy.special import ndtr, stdtrit

from mocliplite.evaluation import intervals

SETS, MORE_SETS = 2000, 10_000  # the second for the 16 combinations of the docs: a standard error of 0.2 %
INDEPENDENT = 1e6  # a concentration at which all groups have the same chance
SIZES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "1 to 7": lambda rng, groups: rng.integers(1, 8, size=groups),
    "4": lambda rng, groups: np.full(groups, 4),
    "30": lambda rng, groups: np.full(groups, 30),
    "one huge": lambda rng, groups: np.r_[2 * groups, rng.integers(1, 8, size=groups - 1)],
}


def main() -> None:
    table = {}
    print("coverage in % and mean width of                      our interval   bootstrap    clips alone")
    print("accuracy  groups  clips per group  concentration")
    for case, sets in cases():
        table[" ".join(map(str, case))] = rows = accuracy(*case, sets)
        truth, groups, sizes, concentration = case
        shown = "independent" if concentration == INDEPENDENT else f"{concentration:g}"
        print(f"{truth:8} {groups:7} {sizes:>16} {shown:>14}   {line(rows)}", flush=True)
    print("gains  losses  groups   (paired differences, 1 to 7 clips per group, concentration 3)")
    for gains, losses in ((0.3, 0.3), (0.3, 0.1), (0.1, 0.1), (0.05, 0.02)):
        for groups in (10, 40, 200):
            table[f"difference {gains} {losses} {groups}"] = rows = paired(gains, losses, groups)
            print(f"{gains:5} {losses:7} {groups:7} {'':29} {line(rows)}", flush=True)
    print(json.dumps({"coverage_and_width": table}))


def cases() -> Iterator[tuple[tuple[float, int, str, float], int]]:
    """Accuracy, groups, clips per group and concentration; and how many sets. First the 16 combinations of the docs."""
    for truth, groups in product((0.3, 0.7, 0.9, 0.97), (10, 20, 40, 200)):
        yield (truth, groups, "1 to 7", 3), MORE_SETS
    for sizes, spread, (truth, groups) in product(SIZES, (1, 3, 10, INDEPENDENT), ((0.7, 10), (0.97, 10), (0.97, 40))):
        if (sizes, spread) != ("1 to 7", 3):
            yield (truth, groups, sizes, spread), SETS
    for truth, spread in product((0.7, 0.9, 0.97), (1, 3, 10)):
        yield (truth, 5, "30", spread), SETS


def accuracy(truth: float, groups: int, sizes: str, concentration: float, sets: int) -> list[tuple[float, float]]:
    """Coverage and mean width of the accuracy's interval: ours, the bootstrap's, and ours without groups."""
    rng = np.random.default_rng(int(1000 * truth) + groups)
    simulated = [simulate(rng, truth, groups, sizes, concentration) for _ in range(sets)]
    return [
        judge([intervals.summary(*one) for one in simulated], truth),
        judge([bootstrap_or_wilson(*one) for one in simulated], truth),
        judge([intervals.summary(correct, np.arange(len(member))) for correct, member in simulated], truth),
    ]


def paired(gains: float, losses: float, groups: int) -> list[tuple[float, float]]:
    """Coverage and mean width of a paired difference's interval: ours and the bootstrap's."""
    rng = np.random.default_rng(int(1000 * gains) + groups)
    sets = [simulate_pair(rng, gains, losses, groups) for _ in range(SETS)]
    drawn = [bootstrap(first.astype(float) - second, member) for first, second, member in sets]
    return [judge([intervals.difference(*one) for one in sets], gains - losses), judge(drawn, gains - losses)]


def simulate(
    rng: np.random.Generator, truth: float, groups: int, sizes: str = "1 to 7", concentration: float = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Correctness bool [N] of clips, each group with its own chance; and their groups [N]."""
    counts = SIZES[sizes](rng, groups)
    chance = rng.beta(concentration * truth, concentration * (1 - truth), size=groups).repeat(counts)
    return rng.random(len(chance)) < chance, np.arange(groups).repeat(counts)


def simulate_pair(
    rng: np.random.Generator, gains: float, losses: float, groups: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correctness bool [N] of two methods, each group with its own chances of a gain and of a loss; and groups [N]."""
    counts = rng.integers(1, 8, size=groups)
    chances = rng.dirichlet(3 * np.array([gains, losses, 1 - gains - losses]), size=groups).repeat(counts, axis=0)
    drawn = rng.random(len(chances))
    first = drawn < chances[:, 0]
    return first, ~first & (drawn < chances[:, :2].sum(axis=1)), np.arange(groups).repeat(counts)


def bootstrap_or_wilson(correct: np.ndarray, member: np.ndarray) -> dict[str, float]:
    """The bootstrap's interval; Wilson's, each group one draw, where fewer than 3 hold an error or a right answer."""
    if min(len(np.unique(member[~correct])), len(np.unique(member[correct]))) >= 3:
        return bootstrap(correct.astype(float), member)
    groups, share, z2 = int(member.max()) + 1, correct.mean(), 1.959964**2
    middle = (share + z2 / (2 * groups)) / (1 + z2 / groups)
    half = (z2 * share * (1 - share) / groups + z2**2 / (4 * groups**2)) ** 0.5 / (1 + z2 / groups)
    return {"low": float(middle - half), "high": float(middle + half)}


def bootstrap(values: np.ndarray, member: np.ndarray) -> dict[str, float]:
    """The mean's 95 % interval from 2000 draws of whole groups, with expanded percentiles (Hesterberg 2015)."""
    groups = int(member.max()) + 1
    drawn = times_drawn(groups)
    means = (drawn @ np.bincount(member, values)) / (drawn @ np.bincount(member).astype(float))
    level = float(ndtr((groups / (groups - 1)) ** 0.5 * stdtrit(groups - 1, 0.025)))
    low, high = np.quantile(means, [level, 1 - level])
    return {"low": float(low), "high": float(high)}


@lru_cache(maxsize=1)
def times_drawn(groups: int) -> np.ndarray:
    """How often each group is in each resample, float64 [2000, G]."""
    return np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), size=2000).astype(float)


def judge(rows: list[dict[str, float]], truth: float) -> tuple[float, float]:
    """Share of the intervals that hold the truth, and their mean width."""
    covered = np.mean([holds(row, truth) for row in rows])
    return float(covered), float(np.mean([row["high"] - row["low"] for row in rows]))


def holds(row: dict[str, float], truth: float) -> bool:
    """Whether the interval holds the truth."""
    # Without the margin, whether [0, 0.2] holds 0.3 - 0.1 would depend on rounding.
    return row["low"] - 1e-9 <= truth <= row["high"] + 1e-9


def line(rows: list[tuple[float, float]]) -> str:
    """Coverage and width of each method as text."""
    marked = ((100 * covered, " " if 0.93 <= covered <= 0.97 else "*", width) for covered, width in rows)
    return "   ".join(f"{covered:5.1f}{mark}{width:5.3f}" for covered, mark, width in marked)


if __name__ == "__main__":
    main()
