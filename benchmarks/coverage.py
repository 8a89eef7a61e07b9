"""Coverage of the 95 % intervals: the share of simulated data sets whose interval contains the true accuracy.

Run `python -m benchmarks.coverage`. For each true accuracy and number of groups, it simulates 500 data sets with 1 to
7 clips per group; the clips of a group share its probability of a correct answer.
"""

import json

import numpy as np

from mocliplite.evaluation import intervals

SETS = 500


def main() -> None:
    table = {}
    print("accuracy  groups  groups resampled  clips resampled")
    for truth in (0.3, 0.7, 0.9, 0.97):
        for groups in (10, 20, 40, 200):
            rng = np.random.default_rng(int(1000 * truth) + groups)
            sets = [simulate(rng, truth, groups) for _ in range(SETS)]
            by_group = np.mean([holds(intervals.summary(correct, group), truth) for correct, group in sets])
            by_clip = np.mean(
                [holds(intervals.summary(correct, np.arange(len(group))), truth) for correct, group in sets]
            )
            table[f"{truth} {groups}"] = [float(by_group), float(by_clip)]
            print(f"{truth:8} {groups:7} {by_group:17.3f} {by_clip:16.3f}", flush=True)
    print(json.dumps({"sets": SETS, "covered_by_groups_and_by_clips": table}))


def simulate(rng: np.random.Generator, truth: float, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Correctness bool [N] and group [N] of clips in groups of 1 to 7; each group has its own true accuracy."""
    sizes = rng.integers(1, 8, size=groups)
    accuracy = rng.beta(3 * truth, 3 * (1 - truth), size=groups).repeat(sizes)
    return rng.random(len(accuracy)) < accuracy, np.arange(groups).repeat(sizes)


def holds(row: dict[str, float], truth: float) -> bool:
    """Whether the interval contains the true accuracy."""
    return row["low"] <= truth <= row["high"]


if __name__ == "__main__":
    main()
