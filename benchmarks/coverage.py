"""Whether 95 % intervals hold the truth in 95 of 100 cases: simulated data sets whose truth is known.

`python -m benchmarks.coverage`: for each true accuracy and number of groups, 500 data sets of 1 to 7 clips a group,
whose clips share their group's chance of being answered rightly.
"""

import json

import numpy as np

from mocliplite.evaluation import intervals

SETS = 500


def main() -> None:
    table = {}
    print("accuracy  groups  whole groups drawn  clips drawn alone")
    for truth in (0.3, 0.7, 0.9, 0.97):
        for groups in (10, 20, 40, 200):
            rng = np.random.default_rng(int(1000 * truth) + groups)
            sets = [simulate(rng, truth, groups) for _ in range(SETS)]
            ours = np.mean([holds(intervals.summary(correct, member), truth) for correct, member in sets])
            alone = np.mean(
                [holds(intervals.summary(correct, np.arange(len(member))), truth) for correct, member in sets]
            )
            table[f"{truth} {groups}"] = [float(ours), float(alone)]
            print(f"{truth:8} {groups:7} {ours:19.3f} {alone:18.3f}", flush=True)
    print(json.dumps({"sets": SETS, "covered_by_groups_and_by_clips": table}))


def simulate(rng: np.random.Generator, truth: float, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Correctness bool [N] of clips in groups of 1 to 7, each group with its own chance; and their groups [N]."""
    sizes = rng.integers(1, 8, size=groups)
    chance = rng.beta(3 * truth, 3 * (1 - truth), size=groups).repeat(sizes)
    return rng.random(len(chance)) < chance, np.arange(groups).repeat(sizes)


def holds(row: dict[str, float], truth: float) -> bool:
    """Whether the interval holds the truth."""
    return row["low"] <= truth <= row["high"]


if __name__ == "__main__":
    main()
